"""Passes over one object, one after the other, against a real HTTP API server stand-in."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pytest

from driver.errors import AccessDenied, NotFound, Unavailable
from driver.model import Deadline
from driver.sync import externalsecret, secretproviderclass
from driver.sync.identity import Identities
from driver.sync.informer import Key
from driver.sync.kinds import CLASSES, EXTERNAL_SECRETS, SECRETS, Whole
from driver.sync.policy import Rules
from driver.sync.reading import Reading
from driver.sync.reconcile import Pass, Reconciler
from driver.sync.report import Reports
from driver.sync.roster import Kind, Roster
from driver.sync.targets import NotLeading, Targets
from tests.fakeapi import FakeApi
from tests.fakeobjects import Json
from tests.syncside import REGION, Lab, external_secret, named, secret

CLIENTS = """
apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata: {name: my-external-secret, namespace: shop}
spec:
  backendType: secretsManager
  data:
    - {key: my-secret, name: my-external-secret-data}
"""
KEY = ("ExternalSecret", "shop", "my-external-secret")
CREDENTIALS = {"username": "admin", "password": "1234"}


class Bench(Lab):
    """Passes on demand: every pass sees the cluster as it is."""

    def __init__(self, api: FakeApi) -> None:
        super().__init__(api, fresh=0.0, refused=0.0)
        self.leads = True
        self.start()

    def start(self) -> None:
        """Begin with an empty memory, as after a restart."""
        kinds = (
            self.kind("ExternalSecret", "kubernetes-client.io/v1", externalsecret.parse),
            self.kind("SecretProviderClass", "secrets-store.csi.x-k8s.io/v1", secretproviderclass.parse),
        )
        self.reconciler = Reconciler(
            Roster(kinds),
            Reading(self.resolver, Identities(self.client), self.fanout, self.permissions, Rules()),
            Targets(self.client, lambda: self.leads),
            Reports(self.client, lambda: self.leads),
            secret_version=lambda *key: (self.api.get("secrets", *key) or NONE)["metadata"]["resourceVersion"],
        )

    def kind(self, name: str, version: str, parse: Callable[..., Any]) -> Kind:
        plural = "externalsecrets" if name == "ExternalSecret" else "secretproviderclasses"
        resource = EXTERNAL_SECRETS if name == "ExternalSecret" else CLASSES
        find = partial(self.find, plural)
        return Kind(version, name, resource, partial(parse, region=REGION), find, has_status=name == "ExternalSecret")

    def find(self, plural: str, key: Key) -> Whole | None:
        found = self.api.get(plural, *key)
        return msgspec.json.decode(msgspec.json.encode(found), type=Whole) if found else None

    def permissions(self, namespace: str) -> Json:
        found = self.api.get("namespaces", "", namespace)
        assert found
        return found["metadata"].get("annotations") or {}

    def run(self, key: tuple[str, str, str] = KEY) -> Pass | None:
        """Make one pass."""
        ready = self.reconciler.read([key], Deadline(5))
        return self.reconciler.reconcile(key, ready[key]) if key in ready else None


NONE: Json = {"metadata": {"resourceVersion": ""}}


@pytest.fixture
def bench() -> Iterator[Bench]:
    with FakeApi() as api:
        bench = Bench(api)
        bench.store("my-secret", CREDENTIALS)
        yield bench


def test_the_clients_example_fills_the_named_secret_and_the_objects_own(bench: Bench) -> None:
    bench.api.put(CLIENTS)
    bench.api.put(secret("my-external-secret-data"))
    bench.run()
    assert bench.api.data("shop", "my-external-secret-data") == CREDENTIALS
    own = bench.api.data("shop", "my-external-secret")
    assert own
    assert list(own) == ["my-external-secret-data"]
    assert bench.status("my-external-secret")["status"] == "SUCCESS"


def test_a_hundred_polls_and_a_restart_write_nothing(bench: Bench) -> None:
    """Scenario 32's twin for writes, 32 objects of the kinds that settle, hint, fail and are refused."""
    bench.api.put(CLIENTS)
    bench.api.put(external_secret("refused", {"key": "my-secret", "name": "a"}))
    bench.api.put(secret("refused", data={"x": "eA=="}))
    bench.api.put(external_secret("missing", {"key": "none", "name": "a"}))
    bench.api.put(external_secret("wrong", {"key": "", "name": "a"}))
    bench.aws.outcomes["none"] = NotFound("none", "not there", "make it")
    keys = [("ExternalSecret", "shop", name) for name in (KEY[2], "refused", "missing", "wrong")]
    for key in keys:
        bench.run(key)
    before = bench.api.writes()
    for polls in range(100):
        if polls == 50:
            bench.start()
        for key in keys:
            bench.run(key)
    assert bench.api.writes() == before


def test_a_settled_object_costs_no_kubernetes_call_at_all(bench: Bench) -> None:
    bench.api.put(CLIENTS)
    bench.run()
    bench.run()
    before = len(bench.api.requests)
    bench.run()
    assert len(bench.api.requests) == before


def test_a_rotation_writes_each_secret_once_and_the_status_once(bench: Bench) -> None:
    bench.api.put(CLIENTS)
    bench.api.put(secret("my-external-secret-data"))
    bench.run()
    before = len(bench.api.writes())
    bench.store("my-secret", CREDENTIALS | {"password": "5678"}, version="v2")
    bench.run()
    assert (bench.api.data("shop", "my-external-secret-data") or {})["password"] == "5678"
    assert sorted(bench.api.writes()[before:]) == [
        "PATCH /api/v1/namespaces/shop/secrets/my-external-secret",
        "PATCH /api/v1/namespaces/shop/secrets/my-external-secret-data",
        "PATCH /apis/kubernetes-client.io/v1/namespaces/shop/externalsecrets/my-external-secret/status",
    ]


@pytest.mark.parametrize(
    "failure",
    [
        NotFound("my-secret", "not there", "make it"),
        AccessDenied("my-secret", "denied", "allow it"),
        Unavailable("my-secret", "away", "wait"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_what_cannot_be_read_leaves_the_last_good_secret_and_says_so(bench: Bench, failure: Exception) -> None:
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "a", "property": "username"}))
    bench.run()
    bench.aws.outcomes["my-secret"] = failure  # type: ignore[assignment]  # one of ours
    if isinstance(failure, Unavailable):
        bench.resolver._values.drop(lambda *_: True)  # else the last good value serves
    ended = bench.run()
    assert bench.api.data("shop", KEY[2]) == {"a": "admin"}
    assert bench.status(KEY[2])["status"].startswith("ERROR, ")
    assert ended
    assert ended.retry is isinstance(failure, Unavailable)
    assert any(event.startswith("Warning ") for event in bench.events())


def test_an_event_is_made_once_and_again_when_the_failure_comes_back(bench: Bench) -> None:
    bench.api.put(external_secret(KEY[2], {"key": "none", "name": "a"}))
    bench.aws.outcomes["none"] = NotFound("none", "not there", "make it")
    for _ in range(3):
        bench.run()
    assert len(bench.events()) == 1
    bench.store("none", "x")
    bench.run()
    bench.aws.outcomes["none"] = NotFound("none", "not there", "make it")
    bench.run()
    assert len(bench.events()) == 2


def test_one_bad_item_hides_no_other_and_no_partial_secret_is_written(bench: Bench) -> None:
    good = {"key": "my-secret", "name": "user", "property": "username"}
    bench.api.put(external_secret(KEY[2], good, {"key": "none", "name": "b"}, {"key": "denied", "name": "c"}))
    bench.aws.outcomes["none"] = NotFound("none", "not there", "make it")
    bench.aws.outcomes["denied"] = AccessDenied("denied", "denied", "allow it")
    bench.run()
    assert bench.api.data("shop", KEY[2]) is None
    items = {item["key"]: item for item in bench.status(KEY[2])["items"]}
    assert items["my-secret"]["version"] == "v1"
    assert "error" not in items["my-secret"]
    assert items["none"].keys() & {"error", "message", "reason"}


def test_scenario_29_a_foreign_secret_is_untouched(bench: Bench) -> None:
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "a", "property": "username"}))
    foreign = bench.api.put(secret(KEY[2], data={"theirs": "eA=="}))
    bench.run()
    assert bench.api.get("secrets", "shop", KEY[2]) == foreign
    assert bench.status(KEY[2])["status"].startswith("ERROR, ")
    assert len(bench.events()) == 1


@pytest.mark.parametrize("kind", ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"])
def test_scenario_29_dangerous_types_are_refused(bench: Bench, kind: str) -> None:
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "a"}, type=kind))
    ended = bench.run()
    assert ended == Pass(None)
    assert bench.api.all("secrets") == []
    assert bench.aws.calls == []
    assert bench.status(KEY[2])["status"].startswith("ERROR, ")


def test_scenario_30_two_objects_that_claim_one_secret_do_not_take_turns(bench: Bench) -> None:
    bench.store("other", {"username": "other"})
    bench.api.put(external_secret("one", {"key": "my-secret", "name": "target"}))
    bench.api.put(external_secret("two", {"key": "other", "name": "target"}))
    bench.api.put(secret("target"))
    for _ in range(3):
        for name in ("one", "two"):
            bench.run(("ExternalSecret", "shop", name))
    assert bench.api.data("shop", "target") == CREDENTIALS
    writes = [w for w in bench.api.writes() if w.endswith("/secrets/target")]
    assert len(writes) == 1


def test_scenario_30_an_immutable_secret_is_left_and_told(bench: Bench) -> None:
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "a", "property": "password"}))
    bench.run()
    bench.client.merge(SECRETS, "shop", KEY[2], {"immutable": True})
    bench.store("my-secret", {"password": "new"}, version="v2")
    bench.run()
    assert bench.api.data("shop", KEY[2]) == {"a": "1234"}
    assert bench.status(KEY[2])["status"].startswith("ERROR, ")


def test_scenario_30_a_secret_edited_or_deleted_by_hand_is_healed(bench: Bench) -> None:
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "a", "property": "password"}))
    bench.run()
    bench.client.merge(SECRETS, "shop", KEY[2], {"data": {"a": "eA==", "extra": "eA=="}})
    bench.run()
    assert bench.api.data("shop", KEY[2]) == {"a": "1234", "extra": "x"}
    bench.api.delete("secrets", "shop", KEY[2])
    bench.run()
    assert bench.api.data("shop", KEY[2]) == {"a": "1234"}


def test_scenario_30_a_secret_that_we_made_goes_with_its_object_and_a_filled_one_stays(bench: Bench) -> None:
    bench.api.put(CLIENTS)
    bench.api.put(secret("my-external-secret-data"))
    bench.run()
    bench.api.delete("externalsecrets", "shop", KEY[2])
    assert bench.run() is None
    assert [s["metadata"]["name"] for s in bench.api.all("secrets")] == ["my-external-secret-data"]


def test_a_secret_to_be_retained_stays(bench: Bench) -> None:
    annotations = {"keyferry.dev/deletion-policy": "retain"}
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "a"}, annotations=annotations))
    bench.run()
    bench.api.delete("externalsecrets", "shop", KEY[2])
    assert bench.api.get("secrets", "shop", KEY[2])


def test_scenario_28_a_service_account_is_one_of_the_objects_own_namespace(bench: Bench) -> None:
    bench.api.put(named("ServiceAccount", "reader", "other"))
    annotations = {"keyferry.dev/service-account": "reader"}
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "a"}, annotations=annotations))
    bench.run()
    assert bench.aws.calls == []
    assert bench.api.all("secrets") == []
    assert [r.path for r in bench.api.requests if r.sub == "token"] == [
        "/api/v1/namespaces/shop/serviceaccounts/reader/token"
    ]


def test_scenario_28_the_accounts_token_is_the_identity_and_is_kept(bench: Bench) -> None:
    account = bench.api.put(named("ServiceAccount", "reader", "shop"))
    annotations = {"keyferry.dev/service-account": "reader"}
    for name in ("a", "b"):
        bench.api.put(external_secret(name, {"key": "my-secret", "name": "x"}, annotations=annotations))
        bench.run(("ExternalSecret", "shop", name))
    principals = {call.principal for call, _ in bench.aws.calls}
    assert {(p.namespace, p.service_account, p.uid) for p in principals} == {
        ("shop", "reader", account["metadata"]["uid"])
    }
    assert bench.api.tokens == 1


def test_scenario_28_a_namespace_permits_keys_before_anything_is_read(bench: Bench) -> None:
    pattern = {"externalsecrets.kubernetes-client.io/permitted-key-name": "team/.*"}
    bench.api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "annotations": pattern}})
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "a"}))
    bench.run()
    assert bench.aws.calls == []
    assert "not allowed to fetch secret" in bench.status(KEY[2])["status"]


def test_scenario_33_a_template_that_runs_code_is_refused_before_anything_is_read(bench: Bench) -> None:
    evil = {"stringData": {"a": "<%= process.env.AWS_SECRET_ACCESS_KEY %>"}}
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "b"}, template=evil))
    bench.run()
    assert bench.aws.calls == []
    assert bench.api.all("secrets") == []
    assert bench.status(KEY[2])["status"].startswith("ERROR, ")


def a_class(*names: str) -> Json:
    objects = [{"objectName": name, "objectType": "secretsmanager"} for name in names]
    return {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": {"name": "c", "namespace": "shop", "annotations": SYNCED},
        "spec": {
            "provider": "aws",
            "parameters": {"objects": msgspec.json.encode(objects).decode()},
            "secretObjects": [
                {
                    "secretName": "from-class",
                    "type": "Opaque",
                    "data": [{"objectName": name, "key": f"{name}.key"} for name in names],
                }
            ],
        },
    }


SYNCED = {"keyferry.dev/sync": "true", "keyferry.dev/service-account": "reader"}
CLASS_KEY = ("SecretProviderClass", "shop", "c")


def test_scenario_34_a_class_that_drops_and_adds_objects_is_followed_in_one_write(bench: Bench) -> None:
    bench.api.put(named("ServiceAccount", "reader", "shop"))
    for name in ("one", "two", "three"):
        bench.store(name, f"value of {name}")
    bench.api.put(a_class("one", "two"))
    bench.run(CLASS_KEY)
    assert bench.api.data("shop", "from-class") == {"one.key": "value of one", "two.key": "value of two"}
    before = len(bench.api.writes())
    bench.api.put(a_class("two", "three"))
    bench.run(CLASS_KEY)
    assert bench.api.data("shop", "from-class") == {"two.key": "value of two", "three.key": "value of three"}
    assert len(bench.api.writes()) == before + 1


def test_scenario_34_a_failing_object_of_a_class_leaves_the_secret_and_makes_one_event(bench: Bench) -> None:
    bench.api.put(named("ServiceAccount", "reader", "shop"))
    bench.store("one", "1")
    bench.api.put(a_class("one"))
    bench.run(CLASS_KEY)
    bench.aws.outcomes["one"] = NotFound("one", "not there", "make it")
    for _ in range(5):
        bench.run(CLASS_KEY)
    assert bench.api.data("shop", "from-class") == {"one.key": "1"}
    assert len(bench.events()) == 1


def test_nothing_is_written_without_the_lease(bench: Bench) -> None:
    bench.api.put(CLIENTS)
    bench.leads = False
    with pytest.raises(NotLeading):
        bench.run()
    assert bench.api.writes() == []
    bench.leads = True
    bench.run()
    assert bench.api.data("shop", KEY[2])


def test_an_object_that_is_deleted_while_it_is_read_is_no_failure(bench: Bench) -> None:
    bench.api.put(CLIENTS)
    ready = bench.reconciler.read([KEY], Deadline(5))
    bench.api.delete("externalsecrets", "shop", KEY[2])
    assert bench.reconciler.reconcile(KEY, ready[KEY]) is None
    assert bench.api.writes() == []


def test_an_object_that_changed_since_it_was_read_for_is_not_written_from_the_old_reads(bench: Bench) -> None:
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "a"}))
    ready = bench.reconciler.read([KEY], Deadline(5))
    bench.api.put(external_secret(KEY[2], {"key": "my-secret", "name": "a"}, {"key": "other", "name": "b"}))
    ended = bench.reconciler.reconcile(KEY, ready[KEY])
    assert ended
    assert ended.retry
    assert bench.api.writes() == []


FAULTS = ["cut", "lost", 409, 429, 500, 503]


@pytest.mark.parametrize("outcome", FAULTS, ids=str)
@pytest.mark.parametrize("position", range(6))
def test_whatever_call_fails_the_next_passes_get_there(bench: Bench, outcome: int | str, position: int) -> None:
    """Every call of a first pass, one after the other, fails or loses its answer; then keyferry is started anew."""
    bench.api.put(CLIENTS)
    bench.api.put(secret("my-external-secret-data"))
    # twice: the first failure of a connection is made up for at once
    bench.api.fail("", outcome, times=2, skip=position)
    for _ in range(4):
        try:
            bench.run()
        except Unavailable:
            bench.start()
    bench.api.faults.clear()
    bench.run()
    assert bench.api.data("shop", "my-external-secret-data") == CREDENTIALS
    assert bench.status(KEY[2])["status"] == "SUCCESS"
