"""The chart's roles grant what the doors call, all of it, and nothing that they do not call.

Every other test that runs a door checks its calls too, by ``tests.rights.check``.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import yaml

from driver.sync.leader import Leader
from tests.driverside import attributes, channel, mount
from tests.fakeapi import FakeApi, Request
from tests.fakeaws import FakeAws
from tests.rights import EVERYTHING, Grant, Right, grants, manifests, needed, ungranted
from tests.syncside import Lab, external_secret, named, until
from tests.wire.test_process import Process

ROOT = Path(__file__).parents[2]
PROVIDER = grants(manifests("deploy/keyferry-provider.yaml"), "keyferry-provider")
SYNC = grants(manifests("deploy/keyferry-sync.yaml"), "keyferry-sync")
SYNC_WITH_ALL = grants(manifests(EVERYTHING), "keyferry-sync")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")

SELDOM = {
    ("", "namespaces", "get"): "an object was seen before its namespace",
    ("", "serviceaccounts", "get"): "the role in the annotation of a service account that an object names",
}
"""Calls that the scenario below does not make, and when they are made: tests/e2e and tests/unit/sync have both."""


def unused(granted: Iterable[Grant], calls: Iterable[Request]) -> set[tuple[str, str, str]]:
    """Return the grants that no call needs."""
    rights = [right for call in calls for right in needed(call)]
    return {(g.group, g.resource, g.verb) for g in granted if not any(g.covers(right) for right in rights)}


def test_every_call_of_the_mount_door_is_granted_and_every_grant_is_used(tmp_path: Path) -> None:
    """A pod mounts by IRSA in a class without a region; later its rotation fails for good."""
    with FakeAws() as aws, FakeApi() as api:
        aws.world.generous = True
        aws.world.put("db", "v", "eu-west-1")
        aws.world.annotations["shop", "app"] = "arn:aws:iam::111122223333:role/shop"
        role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/shop"}
        api.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("app", "shop", annotations=role)})
        api.put({"apiVersion": "v1", "kind": "Node", "metadata": meta("n", labels={REGION_LABEL: "eu-west-1"})})
        with Process(tmp_path, aws, "--freshness", "0", kubernetes=api.url, NODE_NAME="n") as provider:
            provider.until('"serving"')
            live(provider, aws)
            until(lambda: api.all("events"))
        assert ungranted(PROVIDER, api.requests) == []
        assert unused(PROVIDER, api.requests) == set()


REGION_LABEL = "topology.kubernetes.io/region"


def meta(name: str, namespace: str = "", **more: dict[str, str]) -> dict[str, object]:
    return {"name": name, **({"namespace": namespace} if namespace else {}), **more}


def live(provider: Process, aws: FakeAws) -> None:
    """Mount once; then let the same volume fail until the provider tells of it."""
    given = attributes('- objectName: db\n  objectType: "secretsmanager"\n')
    del given["region"]
    with channel(provider.socket) as dialled:
        assert mount(dialled, given)["db"].contents == b"v"
        aws.world.deny("secretsmanager:GetSecretValue")
        aws.world.deny("secretsmanager:BatchGetSecretValue")
        for _ in range(3):
            with pytest.raises(Exception, match="PERMISSION_DENIED"):
                mount(dialled, given)


def test_every_call_of_the_sync_door_is_granted_and_every_grant_is_used() -> None:
    """With all that can be switched on: restarts, and identities of service accounts."""
    with FakeApi() as api:
        calls = lived_through(api, "kube-system", identities=True, restarts=True)
    assert ungranted(SYNC_WITH_ALL, calls) == []
    assert unused(SYNC_WITH_ALL, calls) == SELDOM.keys()


def test_the_sync_door_as_it_is_by_default_has_no_more_than_it_uses() -> None:
    with FakeApi() as api:
        calls = lived_through(api, "keyferry", identities=False, restarts=False)
    assert ungranted(SYNC, calls) == []
    assert unused(SYNC, calls) == {("", "namespaces", "get")}


def lived_through(api: FakeApi, home: str, *, identities: bool, restarts: bool) -> list[Request]:
    """One of several replicas makes a Secret, tells of a failure and rolls out its users, if it may."""
    lab = Lab(api)
    lab.store("my-secret", "old")
    annotations = {"keyferry.dev/service-account": "reader"} if identities else {}
    api.put(named("ServiceAccount", "reader", "shop"))
    api.put(external_secret("e", {"key": "my-secret", "name": "k"}, annotations=annotations))
    api.put(external_secret("wrong", {"key": "my-secret", "name": "no key!"}))
    leader = Leader(lab.client, home, "keyferry-sync", "one", uniform=lambda least, _: least / 20)
    with lab.running(leader=leader, restarts=restarts, interval=600) as controller:
        until(lambda: api.data("shop", "e"))
        if restarts:
            roll(api, controller._roll_one)
        until(lambda: len({r.kind for r in api.requests if "watch" in r.query}) == (7 if restarts else 4))
        until(lambda: api.all("events") and any(r.method == "PUT" for r in api.requests))
    return api.requests


def roll(api: FakeApi, roll_one: Callable[[tuple[str, str, str]], object]) -> None:
    for kind in WORKLOADS:
        asked = {"keyferry.dev/restart-on-change": "e"}
        api.put({"apiVersion": "apps/v1", "kind": kind, "metadata": meta("app", "shop", annotations=asked)})

    def rolled() -> bool:
        for kind in WORKLOADS:
            roll_one((kind, "shop", "app"))  # without the wait for further changes
        return len([r for r in api.requests if r.method == "PATCH" and "/apps/" in r.kind]) == len(WORKLOADS)

    until(rolled)


def test_the_mount_door_may_not_touch_secrets() -> None:
    assert not any(grant.resource.startswith("secrets") for grant in PROVIDER)


@pytest.mark.parametrize("granted", [PROVIDER, SYNC, SYNC_WITH_ALL], ids=["provider", "sync", "sync with all"])
def test_nobody_may_delete_anything_or_use_a_wildcard(granted: list[Grant]) -> None:
    assert not {grant.verb for grant in granted} & {
        "*",
        "delete",
        "deletecollection",
        "escalate",
        "bind",
        "impersonate",
    }
    assert not any("*" in grant.resource or "*" in grant.group for grant in granted)


def test_by_default_the_sync_door_can_become_no_service_account() -> None:
    assert not any(grant.resource == "serviceaccounts/token" for grant in SYNC)


def test_whoever_may_list_secrets_in_the_whole_cluster_says_why() -> None:
    """The rule in the manifest has a comment above it."""
    rule = (ROOT / "deploy/keyferry-sync.yaml").read_text().partition("resources: [secrets]")
    assert rule[1]
    assert "# " in rule[0].splitlines()[-3]


def test_a_list_of_namespaces_needs_no_right_outside_of_them() -> None:
    """But to look at these namespaces themselves, by name."""
    granted = grants(manifests("tests/golden/chart-namespaces.yaml"), "keyferry-sync")
    outside = [grant for grant in granted if not grant.namespace]
    assert {grant.resource for grant in outside} == {"namespaces"}
    assert all(grant.names == {"shop", "web"} for grant in outside)
    with FakeApi() as api:
        lab = Lab(api)
        lab.store("my-secret", "old")
        api.put(external_secret("e", {"key": "my-secret", "name": "k"}))
        with lab.running(namespaces=("shop", "web")):
            until(lambda: api.data("shop", "e"))
            until(lambda: len([r for r in api.requests if "watch" in r.query]) >= 8)
    assert ungranted(granted, api.requests) == []


def test_a_right_in_one_namespace_covers_no_call_in_another() -> None:
    held = Grant("", "secrets", "list", "shop")
    assert held.covers(Right("", "secrets", "list", "shop"))
    assert not held.covers(Right("", "secrets", "list"))
    assert not held.covers(Right("", "secrets", "list", "web"))


def test_a_right_for_a_name_covers_no_call_without_it() -> None:
    held = Grant("", "namespaces", "watch", names=frozenset({"shop"}))
    assert held.covers(Right("", "namespaces", "watch", name="shop"))
    assert not held.covers(Right("", "namespaces", "watch"))


def test_all_manifests_of_these_tests_are_there() -> None:
    assert list(yaml.safe_load_all((ROOT / EVERYTHING).read_text()))
