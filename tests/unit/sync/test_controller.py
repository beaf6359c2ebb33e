"""The sync door as a whole: real threads, real HTTP, a scripted AWS."""

import threading
import time
from collections.abc import Iterator

import pytest

from driver.errors import AccessDenied, IdentityRefused, NotFound, Unavailable
from driver.sync.controller import Controller
from driver.sync.leader import Leader
from driver.sync.restart import ON_CHANGE, VERSIONS
from tests.fakeapi import FakeApi
from tests.fakeobjects import Json
from tests.syncside import Lab, external_secret, named, secret, until

CLIENTS = """
apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata: {name: my-external-secret, namespace: shop}
spec:
  backendType: secretsManager
  data:
    - {key: my-secret, name: my-external-secret-data}
"""
EMPTY = secret("my-external-secret-data")
CREDENTIALS = {"username": "admin", "password": "1234"}
PASSWORD = {"key": "my-secret", "name": "pass", "property": "password"}


@pytest.fixture
def lab() -> Iterator[Lab]:
    with FakeApi(bookmarks=0.5) as api:
        lab = Lab(api)
        lab.store("my-secret", CREDENTIALS)
        yield lab


# the main job


@pytest.mark.parametrize("pause", [0.0, 0.5], ids=["at once", "with a pause"])
@pytest.mark.parametrize("order", [(CLIENTS, EMPTY), (EMPTY, CLIENTS)], ids=["object first", "secret first"])
def test_the_clients_example_is_reached_in_every_order(lab: Lab, order: tuple[str | Json, ...], pause: float) -> None:
    with lab.running(interval=60):
        for manifest in order:
            time.sleep(pause)
            lab.api.put(manifest)
        until(lambda: lab.api.data("shop", EMPTY["metadata"]["name"]) == CREDENTIALS, 2)
        until(lambda: lab.status("my-external-secret").get("status") == "SUCCESS")


def test_what_was_there_before_the_start_is_reached(lab: Lab) -> None:
    lab.api.put(CLIENTS)
    lab.api.put(EMPTY)
    with lab.running(interval=60):
        until(lambda: lab.api.data("shop", "my-external-secret-data") == CREDENTIALS, 2)


def test_applying_the_empty_secret_again_takes_nothing_away(lab: Lab) -> None:
    lab.api.put(CLIENTS)
    lab.api.put(EMPTY)
    with lab.running(interval=60):
        until(lambda: lab.api.data("shop", "my-external-secret-data") == CREDENTIALS)
        lab.api.put(EMPTY)
        time.sleep(0.2)
        assert lab.api.data("shop", "my-external-secret-data") == CREDENTIALS


def test_a_rotation_is_followed_within_an_interval(lab: Lab) -> None:
    lab.api.put(CLIENTS)
    lab.api.put(EMPTY)
    with lab.running(interval=0.5):
        until(lambda: lab.api.data("shop", "my-external-secret-data") == CREDENTIALS)
        new = CREDENTIALS | {"password": "5678"}
        lab.store("my-secret", new, version="v2")
        until(lambda: lab.api.data("shop", "my-external-secret-data") == new, 2.5)


def test_an_object_can_name_its_own_interval(lab: Lab) -> None:
    lab.api.put(external_secret("quick", PASSWORD, annotations={"keyferry.dev/poll-interval": "1s"}))
    with lab.running(interval=600):
        until(lambda: lab.api.data("shop", "quick"))
        lab.store("my-secret", {"password": "5678"}, version="v2")
        until(lambda: lab.api.data("shop", "quick") == {"pass": "5678"}, 3)


def test_a_change_of_the_object_is_followed_at_once(lab: Lab) -> None:
    lab.api.put(external_secret("e", PASSWORD))
    with lab.running(interval=600):
        until(lambda: lab.api.data("shop", "e"))
        lab.api.put(external_secret("e", PASSWORD | {"name": "other"}))
        until(lambda: lab.api.data("shop", "e") == {"other": "1234"}, 1)


# healing (scenario 30)


def test_scenario_30_a_secret_deleted_by_hand_is_back_within_a_second(lab: Lab) -> None:
    lab.api.put(external_secret("e", PASSWORD))
    with lab.running(interval=600):
        until(lambda: lab.api.data("shop", "e"))
        lab.api.delete("secrets", "shop", "e")
        until(lambda: lab.api.data("shop", "e") == {"pass": "1234"}, 1)


def test_scenario_30_a_secret_edited_by_hand_is_healed_within_a_second(lab: Lab) -> None:
    lab.api.put(external_secret("e", PASSWORD))
    with lab.running(interval=600):
        until(lambda: lab.api.data("shop", "e"))
        lab.api.put(secret("e", data={"pass": "eA=="}), manager="hand")
        until(lambda: lab.api.data("shop", "e") == {"pass": "1234"}, 1)


def test_our_own_writes_cause_no_further_pass(lab: Lab) -> None:
    lab.api.put(external_secret("e", PASSWORD))
    with lab.running(interval=600):
        until(lambda: lab.status("e"))
        time.sleep(0.3)
        assert len(lab.api.writes()) == 2
        assert lab.reads() == 1


def test_objects_deleted_together_are_nothing_special(lab: Lab) -> None:
    names = [f"e{n}" for n in range(200)]
    for name in names:
        lab.api.put(external_secret(name, PASSWORD))
    with lab.running(interval=0.2) as controller:
        until(lambda: len(lab.api.all("secrets")) == 200, 10)
        for name in names:
            lab.api.delete("externalsecrets", "shop", name)
        until(lambda: controller.objects() == 0)
        lab.api.put(external_secret("after", PASSWORD))
        until(lambda: lab.api.data("shop", "after"))
        assert [s["metadata"]["name"] for s in lab.api.all("secrets")] == ["after"]


# cost


def test_scenario_32_polls_and_a_restart_write_nothing(lab: Lab) -> None:
    for n in range(10):
        lab.api.put(external_secret(f"e{n}", PASSWORD))
    lab.api.put(CLIENTS)
    with lab.running(interval=0.05):
        until(lambda: len([1 for o in lab.api.all("externalsecrets") if o.get("status")]) == 11)
        time.sleep(0.3)
        before = lab.api.writes()
        time.sleep(1)
    with lab.running(interval=0.05):
        time.sleep(1)
    assert lab.api.writes() == before


def test_two_hundred_objects_on_one_secret_cost_one_read_a_poll(lab: Lab) -> None:
    for n in range(200):
        lab.api.put(external_secret(f"e{n}", PASSWORD))
    lab.resolver._lifetimes = type(lab.resolver._lifetimes)(fresh=1.0)
    with lab.running(interval=2):
        until(lambda: len(lab.api.all("secrets")) == 200)
        assert lab.reads() == 1
        until(lambda: lab.reads() == 2)
        time.sleep(0.5)
        assert lab.reads() == 2


def test_many_objects_with_a_secret_each_are_read_twenty_at_a_time(lab: Lab) -> None:
    for n in range(300):
        lab.store(f"s{n}", CREDENTIALS)
        lab.api.put(external_secret(f"e{n}", {"key": f"s{n}", "name": "u", "property": "username"}))
    lab.resolver._lifetimes = type(lab.resolver._lifetimes)(fresh=1.0)
    with lab.running(interval=2):
        until(lambda: len(lab.api.all("secrets")) == 300)
        assert lab.reads() <= 18
        cold = lab.reads()
        until(lambda: lab.reads() > cold)
        time.sleep(0.5)
        assert lab.reads() - cold <= 18


# faults (scenario 32)


def test_scenario_32_the_api_server_refuses_connections_for_a_while(lab: Lab) -> None:
    lab.api.put(external_secret("e", PASSWORD))
    with lab.running(interval=0.2):
        until(lambda: lab.api.data("shop", "e"))
        lab.api.refuse()
        lab.store("my-secret", {"password": "5678"}, version="v2")
        lab.api.put(external_secret("new", PASSWORD))
        time.sleep(1)
        lab.api.accept()
        until(lambda: lab.api.data("shop", "e") == {"pass": "5678"} and lab.api.data("shop", "new"), 5)


def test_scenario_32_history_is_gone_after_a_cut(lab: Lab) -> None:
    lab.api.put(external_secret("e", PASSWORD))
    with lab.running(interval=600):
        until(lambda: lab.api.data("shop", "e"))
        lab.api.refuse()
        lab.api.delete("secrets", "shop", "e")
        lab.api.put(external_secret("new", PASSWORD))
        lab.api.forget()
        lab.api.accept()
        until(lambda: lab.api.data("shop", "e") and lab.api.data("shop", "new"), 4)


@pytest.mark.parametrize("outcome", [429, 500, "cut"], ids=str)
def test_scenario_32_failing_writes_are_made_up_for(lab: Lab, outcome: int | str) -> None:
    lab.api.put(external_secret("e", PASSWORD))
    lab.api.fail("PATCH", outcome, times=3)
    with lab.running(interval=600):
        until(lambda: lab.status("e").get("status") == "SUCCESS", 10)
        assert lab.api.data("shop", "e") == {"pass": "1234"}


def test_scenario_32_the_age_of_progress_tells_that_the_api_server_is_away(lab: Lab) -> None:
    with lab.running(interval=0.2) as controller:
        until(lambda: lab.api.requests)
        assert controller.progress_age() < 2
        lab.api.refuse()
        time.sleep(1.2)
        assert controller.progress_age() > 1
        assert controller.progress_ages()["queue"] < controller.progress_ages()["watch"]
        lab.api.accept()
        until(lambda: controller.progress_age() < 1)


def test_objects_that_fail_are_counted_by_reason_until_they_work(lab: Lab) -> None:
    """Whether they cannot be parsed, read or written; and one that is deleted fails no longer."""
    lab.api.put(external_secret("wrong", {"key": "", "name": "k"}))
    lab.api.put(external_secret("missing", {"key": "none", "name": "k"}))
    lab.aws.outcomes["none"] = NotFound("none", "it does not exist", "create it")
    lab.api.put(external_secret("taken", PASSWORD))
    lab.api.put(secret("taken", data={"x": "eA=="}))
    with lab.running() as controller:
        until(lambda: controller.failing() == {"InvalidInput": 1, "NotFound": 1, "Unusable": 1})
        lab.store("none", "1")
        lab.api.delete("externalsecrets", "shop", "wrong")
        until(lambda: controller.failing() == {"Unusable": 1})


def test_the_age_of_stale_values_is_known_as_long_as_they_are_used(lab: Lab) -> None:
    lab.api.put(external_secret("e", PASSWORD))
    with lab.running(interval=0.2) as controller:
        until(lambda: lab.api.data("shop", "e"))
        found = lab.aws.outcomes["my-secret"]
        lab.aws.outcomes["my-secret"] = Unavailable("my-secret", "AWS does not answer", "wait")
        until(lambda: controller.oldest_stale() > 0.1)
        lab.aws.outcomes["my-secret"] = found
        until(lambda: controller.oldest_stale() == 0)


def test_a_replica_that_does_not_lead_counts_no_failures(lab: Lab) -> None:
    lab.api.put(external_secret("wrong", {"key": "", "name": "k"}))
    controller = lab.controller(leader=Leader(lab.client, "keyferry", "keyferry-sync", "other"))
    assert (controller.failing(), controller.oldest_stale()) == ({}, 0.0)


def test_a_cluster_without_the_drivers_crd_is_served(lab: Lab) -> None:
    lab.api.fail("secretproviderclasses", 404, times=1000)
    lab.api.put(external_secret("e", PASSWORD))
    with lab.running(interval=600):
        until(lambda: lab.api.data("shop", "e"))


@pytest.mark.parametrize(
    "failure",
    [
        NotFound("bad", "not there", "make it"),
        AccessDenied("bad", "denied", "allow it"),
        Unavailable("bad", "away", "wait"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_one_bad_object_disturbs_no_other_and_recovers(lab: Lab, failure: Unavailable) -> None:
    lab.aws.outcomes["bad"] = failure
    lab.api.put(external_secret("bad", {"key": "bad", "name": "x"}))
    lab.api.put(external_secret("wrong", {"key": "my-secret", "name": "not a key!"}))
    lab.api.put(external_secret("good", PASSWORD))
    with lab.running():
        until(lambda: lab.api.data("shop", "good"))
        until(lambda: lab.status("bad").get("status", "").startswith("ERROR, "))
        lab.store("bad", "fine now")
        until(lambda: lab.api.data("shop", "bad") == {"x": "fine now"})


def test_an_identity_that_is_refused_is_told_by_each_object_and_asked_for_once_a_poll(lab: Lab) -> None:
    lab.auth.failure = IdentityRefused("role", "not trusted", "trust it")
    lab.api.put(external_secret("e", PASSWORD))
    with lab.running():
        until(lambda: "not trusted" in lab.status("e").get("status", ""))
        assert lab.reads() == 0
        lab.auth.failure = None
        until(lambda: lab.api.data("shop", "e"))


def test_scenario_28_a_namespaces_annotations_hold_from_the_moment_they_are_set(lab: Lab) -> None:
    lab.api.put(external_secret("e", PASSWORD))
    with lab.running(interval=600):
        until(lambda: lab.api.data("shop", "e"))
        rule = {"externalsecrets.kubernetes-client.io/permitted-key-name": "team/.*"}
        lab.api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "annotations": rule}})
        until(lambda: "not allowed to fetch secret" in lab.status("e").get("status", ""), 1)
        assert lab.api.data("shop", "e") == {"pass": "1234"}


def test_some_namespaces_can_be_all_that_is_served(lab: Lab) -> None:
    for namespace in ("shop", "web", "other"):
        lab.api.put(named("Namespace", namespace))
        lab.api.put(external_secret("e", PASSWORD, namespace=namespace))
    with lab.running(namespaces=("shop", "web")):
        until(lambda: lab.api.data("shop", "e") and lab.api.data("web", "e"))
        lab.api.delete("secrets", "web", "e")
        until(lambda: lab.api.data("web", "e"))
        time.sleep(0.2)
        assert lab.api.data("other", "e") is None
        clusterwide = [r for r in lab.api.requests if r.method == "GET" and not r.namespace and not r.name]
        assert {r.query.get("fieldSelector") for r in clusterwide} == {"metadata.name=shop", "metadata.name=web"}


def test_objects_of_another_controller_are_left_alone(lab: Lab) -> None:
    lab.api.put(external_secret("theirs", PASSWORD, controllerId="other"))
    lab.api.put(external_secret("ours", PASSWORD, controllerId="mine"))
    with lab.running(controller_id="mine"):
        until(lambda: lab.api.data("shop", "ours"))
        time.sleep(0.1)
    assert lab.api.data("shop", "theirs") is None
    assert lab.status("theirs") == {}


def test_a_wrong_object_of_another_controller_is_left_alone_too(lab: Lab) -> None:
    lab.api.put(external_secret("theirs", {"key": "my-secret", "name": "not a key!"}, controllerId="other"))
    lab.api.put(external_secret("ours", PASSWORD))
    with lab.running():
        until(lambda: lab.status("ours").get("status") == "SUCCESS")
    assert lab.status("theirs") == {}


def test_an_object_with_the_old_top_level_descriptor_gets_its_secret(lab: Lab) -> None:
    old = external_secret("old")
    old["secretDescriptor"] = {"backendType": "secretsManager", "data": [PASSWORD]}
    del old["spec"]
    lab.api.put(old)
    with lab.running():
        until(lambda: lab.api.data("shop", "old") == {"pass": "1234"})


# leading (scenario 32)


def leader(lab: Lab, identity: str) -> Leader:
    return Leader(lab.client, "kube-system", "keyferry", identity, uniform=lambda least, _: least / 20)


def test_scenario_32_of_two_replicas_one_writes_and_the_other_takes_over(lab: Lab) -> None:
    lab.api.put(external_secret("e", PASSWORD))
    one, two = leader(lab, "one"), leader(lab, "two")
    with lab.running(leader=two, interval=0.2):
        until(two.is_leader)
        with lab.running(leader=one, interval=0.2):
            until(lambda: lab.status("e"))
            time.sleep(0.3)
            assert len(lab.api.writes()) == 2
            assert not one.is_leader()
            two.release()  # as at the end of its process
            until(lambda: one.is_leader() or two.is_leader())
            assert one.is_leader() != two.is_leader()
            lab.api.delete("secrets", "shop", "e")
            until(lambda: lab.api.data("shop", "e"))
            time.sleep(0.3)
            assert len(lab.api.writes()) == 4


def test_scenario_32_a_lost_lease_stops_writes_at_once_and_a_new_one_resumes(lab: Lab) -> None:
    mine = leader(lab, "one")
    with lab.running(leader=mine, interval=0.1) as controller:
        lab.api.put(external_secret("e", PASSWORD))
        until(lambda: lab.status("e"))
        lab.api.fail("leases", 503, times=10_000)
        mine._until = time.monotonic()  # the renew deadline passes
        before = len(lab.api.writes())
        assert not controller.may_write()
        lab.api.delete("secrets", "shop", "e")
        lab.store("my-secret", {"password": "5678"}, version="v2")
        time.sleep(0.5)
        assert len(lab.api.writes()) == before
        lab.api.faults.clear()
        until(lambda: lab.api.data("shop", "e") == {"pass": "5678"})


def test_the_end_comes_soon_and_gives_the_lease_back(lab: Lab) -> None:
    with lab.running(leader=leader(lab, "one")):
        until(lambda: lab.api.all("leases"))
        start = time.monotonic()
    assert time.monotonic() - start < 3
    assert lab.api.all("leases")[0]["spec"]["holderIdentity"] == ""


# restarts


def deployment(**annotations: str) -> Json:
    spec = {"template": {"metadata": {"labels": {"app": "a"}}}}
    meta = {"name": "web", "namespace": "shop", "annotations": annotations}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def rolled(lab: Lab) -> tuple[str, str]:
    found = lab.api.get("deployments", "shop", "web") or {}
    template = found["spec"]["template"]["metadata"].get("annotations", {})
    return found["metadata"].get("annotations", {}).get(VERSIONS, ""), template.get(VERSIONS, "")


def test_a_workload_is_rolled_out_for_a_new_version_and_not_for_the_first(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driver.sync.controller.DEBOUNCE", 0.2)
    lab.api.put(external_secret("e", PASSWORD))
    lab.api.put(deployment(**{ON_CHANGE: "e"}))
    with lab.running(restarts=True):
        until(lambda: rolled(lab)[0])
        first = rolled(lab)
        assert first[1] == ""
        lab.store("my-secret", {"password": "5678"}, version="v2")
        until(lambda: rolled(lab)[1])
        second = rolled(lab)
        assert second[0] == second[1] != first[0]
    before = len(lab.api.writes())
    with lab.running(restarts=True):
        time.sleep(0.8)
    assert len(lab.api.writes()) == before


def test_workloads_are_not_watched_unless_that_is_wanted(lab: Lab) -> None:
    with lab.running():
        until(lambda: len(lab.api.requests) >= 8)
    assert not any(r.kind.startswith("/apis/apps") for r in lab.api.requests)


def test_a_controller_that_is_stopped_before_it_ever_saw_the_cluster_ends(lab: Lab) -> None:
    lab.api.refuse()
    controller: Controller = lab.controller()
    stop = threading.Event()
    thread = threading.Thread(target=controller.run, args=(stop,))
    thread.start()
    time.sleep(0.1)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    lab.api.accept()
