"""What the sync door relies on in an API server: the stand-in of the tests and a real one must both do it.

The real half runs when KEYFERRY_TEST_KUBECONFIG names a kubeconfig that may do all in a namespace that it makes, with
the ExternalSecret CRD installed.
"""

import base64
import json
import os
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from driver.errors import InvalidInput, NotFound, Unavailable
from driver.kube import Cluster, from_kubeconfig
from driver.sync.answers import Conflict, Gone, OwnedByOthers
from driver.sync.cluster import Api
from driver.sync.kinds import ACCOUNTS, EVENTS, EXTERNAL_SECRETS, LEASES, NAMESPACES, SECRETS, Header, Whole
from tests.fakeapi import FakeApi
from tests.fakeobjects import Json
from tests.syncside import external_secret, named, secret

KUBECONFIG = os.environ.get("KEYFERRY_TEST_KUBECONFIG", "")


@dataclass
class Server:
    """An API server and a namespace in it that is the test's own."""

    api: Api
    namespace: str
    fake: FakeApi | None = None

    def secret(self, name: str, **fields: object) -> Json:
        return secret(name, namespace=self.namespace, **fields)


@pytest.fixture(
    params=[
        "fake",
        pytest.param(
            "real", marks=pytest.mark.skipif(not KUBECONFIG, reason="KEYFERRY_TEST_KUBECONFIG names no API server")
        ),
    ]
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    namespace = f"keyferry-{uuid.uuid4().hex[:8]}"
    if request.param == "fake":
        with FakeApi() as fake:
            yield made(Server(Api(Cluster(fake.url)), namespace, fake))
        return
    yield made(Server(Api(from_kubeconfig(Path(KUBECONFIG))), namespace))


def made(server: Server) -> Server:
    server.api.create(NAMESPACES, "", named("Namespace", server.namespace))
    return server


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_what_is_missing_is_not_found(server: Server) -> None:
    with pytest.raises(NotFound):
        server.api.get(SECRETS, server.namespace, "none")


def test_apply_makes_an_object_and_then_changes_it(server: Server) -> None:
    for text in "ab":
        server.api.apply(SECRETS, server.namespace, "s", server.secret("s", data={"k": b64(text)}))
    assert server.api.get(SECRETS, server.namespace, "s")["data"] == {"k": b64("b")}


def test_an_apply_that_changes_nothing_moves_no_version(server: Server) -> None:
    body = server.secret("s", data={"k": b64("a")})
    one, two = (server.api.apply(SECRETS, server.namespace, "s", body) for _ in range(2))
    assert one["metadata"]["resourceVersion"] == two["metadata"]["resourceVersion"]


def test_apply_removes_what_it_set_before_and_leaves_what_others_set(server: Server) -> None:
    server.api.apply(SECRETS, server.namespace, "s", server.secret("s", data={"old": b64("a")}))
    server.api.merge(SECRETS, server.namespace, "s", {"data": {"theirs": b64("b")}, "metadata": {"labels": {"l": "1"}}})
    after = server.api.apply(SECRETS, server.namespace, "s", server.secret("s", data={"new": b64("c")}))
    assert after["data"] == {"theirs": b64("b"), "new": b64("c")}
    assert after["metadata"]["labels"] == {"l": "1"}


def test_a_field_of_another_manager_is_not_taken_without_force(server: Server) -> None:
    created = server.secret("s", data={"k": b64("theirs")})
    server.api._json("POST", f"{SECRETS.path(server.namespace)}?fieldManager=hand", "x", created)
    with pytest.raises(OwnedByOthers, match=r"\.data\.k belongs to hand"):
        server.api.apply(SECRETS, server.namespace, "s", server.secret("s", data={"k": b64("ours")}))
    assert server.api.get(SECRETS, server.namespace, "s")["data"] == {"k": b64("theirs")}
    server.api.apply(SECRETS, server.namespace, "s", server.secret("s", data={"k": b64("ours")}), force=True)
    assert server.api.get(SECRETS, server.namespace, "s")["data"] == {"k": b64("ours")}


def test_apply_with_an_old_version_is_a_conflict(server: Server) -> None:
    old = server.api.apply(SECRETS, server.namespace, "s", server.secret("s", data={"k": b64("a")}))
    server.api.merge(SECRETS, server.namespace, "s", {"data": {"x": b64("b")}})
    body = server.secret("s", data={"k": b64("c")})
    body["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
    with pytest.raises(Conflict) as caught:
        server.api.apply(SECRETS, server.namespace, "s", body)
    assert not isinstance(caught.value, OwnedByOthers)


@pytest.mark.parametrize(
    ("fields", "named_field"),
    [
        ({"data": {"a b": b64("SECRET-TEXT")}}, "data[a b]"),
        ({"type": "kubernetes.io/tls", "data": {"tls.crt": b64("SECRET-TEXT")}}, "data[tls.key]"),
    ],
    ids=["key", "type"],
)
def test_a_refused_object_names_the_field_and_no_value(server: Server, fields: Json, named_field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        server.api.apply(SECRETS, server.namespace, "s", server.secret("s", **fields))
    assert named_field in str(caught.value)
    assert "SECRET-TEXT" not in str(caught.value)


def test_metadata_alone_can_be_listed_in_pages_and_watched(server: Server) -> None:
    api = Api(server.api._cluster, page=2)
    for n in range(5):
        api.create(SECRETS, server.namespace, server.secret(f"s{n}", data={"k": b64("a")}))
    pages = list(api.list(SECRETS, Header, namespace=server.namespace))
    found = [each.metadata.name for page, _ in pages for each in page]
    assert {f"s{n}" for n in range(5)} <= set(found)
    assert len(pages) >= 3
    api.merge(SECRETS, server.namespace, "s1", {"data": {"k": b64("b")}})
    changes = api.watch(SECRETS, Header, pages[-1][1], namespace=server.namespace, seconds=5, silence=5)
    assert next(changes)[0] == "OPEN"
    kind, changed, version = next(changes)
    assert (kind, changed.metadata.name if changed else "") == ("MODIFIED", "s1")
    assert version == (changed.metadata.resource_version if changed else "")


def test_a_watch_tells_of_deletions_and_ends_after_its_time(server: Server) -> None:
    server.api.create(SECRETS, server.namespace, server.secret("s"))
    *_, (_, version) = server.api.list(SECRETS, Header, namespace=server.namespace)
    server.api._json("DELETE", SECRETS.path(server.namespace, "s"), "x")
    told = list(server.api.watch(SECRETS, Header, version, namespace=server.namespace, seconds=2, silence=10))
    assert [kind for kind, found, _ in told if found] == ["DELETED"]
    assert told[-1][0] in ("BOOKMARK", "DELETED")


def test_a_watch_from_an_unknown_past_is_gone(server: Server) -> None:
    if server.fake:
        server.fake.forget()
    with pytest.raises(Gone):
        list(server.api.watch(SECRETS, Header, "1", namespace=server.namespace, seconds=2, silence=10))


def test_a_field_selector_picks_one_namespace(server: Server) -> None:
    fields = f"metadata.name={server.namespace}"
    found = [each for page, _ in server.api.list(NAMESPACES, Header, fields=fields) for each in page]
    assert [each.metadata.name for each in found] == [server.namespace]


def test_a_status_is_written_apart_and_moves_no_generation(server: Server) -> None:
    body = external_secret("e", {"key": "k", "name": "n"}, namespace=server.namespace)
    made = server.api.create(EXTERNAL_SECRETS, server.namespace, body)
    patch = {"status": {"status": "SUCCESS"}, "spec": {"roleArn": "x"}}
    server.api.merge(EXTERNAL_SECRETS, server.namespace, "e", patch, sub="status")
    [[found]] = [page for page, _ in server.api.list(EXTERNAL_SECRETS, Whole, namespace=server.namespace)]
    assert found.metadata.generation == made["metadata"]["generation"]
    assert msgspec.json.decode(found.status) == {"status": "SUCCESS"}
    assert "roleArn" not in msgspec.json.decode(found.spec)


def test_a_token_of_a_service_account_can_be_had(server: Server) -> None:
    server.api.create(ACCOUNTS, server.namespace, named("ServiceAccount", "app", server.namespace))
    token = server.api.create_token(server.namespace, "app", "sts.amazonaws.com", 3600).reveal()
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == ["sts.amazonaws.com"]
    assert claims["sub"] == f"system:serviceaccount:{server.namespace}:app"
    assert claims["kubernetes.io"]["serviceaccount"]["uid"]


def test_there_is_no_token_of_an_account_that_is_not_there(server: Server) -> None:
    with pytest.raises(NotFound):
        server.api.create_token(server.namespace, "none", "sts.amazonaws.com", 3600)


def test_a_lease_is_replaced_only_from_its_present_version(server: Server) -> None:
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "l", "namespace": server.namespace},
        "spec": {"holderIdentity": "one", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"},
    }
    made = dict(server.api.create(LEASES, server.namespace, lease))
    with pytest.raises(Conflict):
        server.api.create(LEASES, server.namespace, lease)
    made["spec"] = {**made["spec"], "holderIdentity": "two"}
    server.api.replace(LEASES, server.namespace, "l", made)
    with pytest.raises(Conflict):
        server.api.replace(LEASES, server.namespace, "l", {**made, "spec": {**made["spec"], "holderIdentity": "x"}})


def test_events_can_be_made(server: Server) -> None:
    about = {"kind": "ExternalSecret", "namespace": server.namespace, "name": "e", "uid": "u"}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e.1", "namespace": server.namespace},
        "involvedObject": {"apiVersion": "kubernetes-client.io/v1", **about},
        "type": "Warning",
        "reason": "NotFound",
        "message": "m",
        "source": {"component": "keyferry"},
        "reportingComponent": "keyferry",
        "count": 1,
    }
    assert server.api.create(EVENTS, server.namespace, event)["reason"] == "NotFound"


# only the stand-in can be told to fail


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    with FakeApi() as fake:
        yield fake


def test_a_kept_connection_that_was_closed_is_replaced_within_the_call(fake: FakeApi) -> None:
    api = Api(Cluster(fake.url))
    fake.put(secret("s"))
    api.get(SECRETS, "shop", "s")
    fake.fail("GET", "cut")
    assert api.get(SECRETS, "shop", "s")["metadata"]["name"] == "s"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failing_api_server_is_unavailable_and_not_quoted(fake: FakeApi, status: int) -> None:
    fake.fail("GET", status)
    with pytest.raises(Unavailable) as caught:
        Api(Cluster(fake.url)).get(SECRETS, "shop", "s")
    assert "SECRET-TEXT" not in str(caught.value)


def test_a_silent_api_server_costs_no_more_than_an_attempt(fake: FakeApi) -> None:
    fake.fail("GET", "hang", times=5)
    done = threading.Event()

    def call() -> None:
        with pytest.raises(Unavailable):
            Api(Cluster(fake.url), attempt=0.3).get(SECRETS, "shop", "s")
        done.set()

    threading.Thread(target=call).start()
    assert done.wait(2)


def test_the_token_is_read_anew_for_every_call(fake: FakeApi) -> None:
    tokens = iter(["one", "two"])
    api = Api(Cluster(fake.url, token=lambda: next(tokens)))
    for _ in range(2):
        with pytest.raises(NotFound):
            api.get(SECRETS, "shop", "s")
    assert [r.headers["authorization"] for r in fake.requests] == ["Bearer one", "Bearer two"]
