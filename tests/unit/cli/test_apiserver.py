"""The demo's API server and kubectl, over HTTP, as ``keyferry sync`` and the demo use them."""

import threading
from collections.abc import Iterator

import pytest

from driver.cli import apiserver
from driver.cli.apiserver import Resource
from driver.cli.kubectl import Kubectl
from driver.errors import NotFound, Unusable
from driver.kube import Cluster
from driver.sync.answers import Conflict
from driver.sync.cluster import Api
from driver.sync.kinds import EVENTS, EXTERNAL_SECRETS, SECRETS, Header, Whole
from tests.fakeobjects import Json
from tests.syncside import external_secret, secret


@pytest.fixture
def url() -> Iterator[str]:
    with apiserver.serve() as found:
        yield found


@pytest.fixture
def api(url: str) -> Iterator[Api]:
    found = Api(Cluster(url))
    yield found
    found._pool.close()


@pytest.fixture
def kubectl(url: str) -> Iterator[Kubectl]:
    found = Kubectl(Cluster(url), "shop")
    found.create_namespace()
    yield found
    found.close()


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api/v1/namespaces", Resource("/api/v1/namespaces", "", "", "")),
        ("/api/v1/namespaces/shop", Resource("/api/v1/namespaces", "", "shop", "")),
        ("/api/v1/namespaces/shop/secrets", Resource("/api/v1/secrets", "shop", "", "")),
        ("/api/v1/namespaces/shop/secrets/a%2Fb", Resource("/api/v1/secrets", "shop", "a/b", "")),
        ("/apis/apps/v1/deployments", Resource("/apis/apps/v1/deployments", "", "", "")),
        ("/apis/g/v1/namespaces/n/es/x/status", Resource("/apis/g/v1/es", "n", "x", "status")),
    ],
)
def test_a_path_tells_kind_namespace_and_name(path: str, found: Resource) -> None:
    assert Resource.of(path) == found


def test_what_is_not_there_is_not_found(api: Api) -> None:
    with pytest.raises(NotFound):
        api.get(SECRETS, "shop", "none")
    with pytest.raises(NotFound):
        api.merge(EXTERNAL_SECRETS, "shop", "none", {"status": {}}, sub="status")


def test_an_apply_makes_an_object_changes_it_and_moves_no_version_without_news(api: Api) -> None:
    first = api.apply(SECRETS, "shop", "s", secret("s", data={"a": "YQ=="}))
    second = api.apply(SECRETS, "shop", "s", secret("s", data={"b": "Yg=="}))
    again = api.apply(SECRETS, "shop", "s", secret("s", data={"b": "Yg=="}))
    assert second["data"] == {"a": "YQ==", "b": "Yg=="}
    assert first["metadata"]["uid"] == second["metadata"]["uid"]
    versions = [one["metadata"]["resourceVersion"] for one in (first, second, again)]
    assert len(set(versions)) == 2
    assert versions[1] == versions[2]


def test_an_old_version_is_a_conflict(api: Api) -> None:
    before = api.apply(SECRETS, "shop", "s", secret("s"))
    api.apply(SECRETS, "shop", "s", secret("s", data={"a": "YQ=="}))
    stale: Json = secret("s", data={"a": "Yg=="})
    stale["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
    with pytest.raises(Conflict):
        api.apply(SECRETS, "shop", "s", stale)


def test_a_created_object_is_created_once(api: Api) -> None:
    event = {"kind": "Event", "metadata": {"name": "e"}}
    api.create(EVENTS, "shop", event)
    with pytest.raises(Conflict):
        api.create(EVENTS, "shop", event)


def test_only_a_new_spec_is_a_new_generation(api: Api) -> None:
    made = api.apply(EXTERNAL_SECRETS, "shop", "e", external_secret("e"))
    told = api.merge(EXTERNAL_SECRETS, "shop", "e", {"status": {"status": "SUCCESS"}}, sub="status")
    changed = api.apply(EXTERNAL_SECRETS, "shop", "e", external_secret("e", region="eu-west-1"))
    assert [one["metadata"]["generation"] for one in (made, told, changed)] == [1, 1, 2]


def test_a_watch_tells_what_changed_after_the_list(api: Api, kubectl: Kubectl) -> None:
    kubectl.apply(secret("before"))
    ((objects, version),) = api.list(SECRETS, Header)
    kubectl.apply(external_secret("other kind"))
    kubectl.apply(secret("s"))
    later = threading.Timer(0.1, kubectl.edit, ("Secret", "s", {"data": {"a": "YQ=="}}))
    later.start()
    watch = api.watch(SECRETS, Whole, version, seconds=30, silence=30, namespace="shop")
    changes = ((what, found.metadata.name) for what, found, _ in watch if found)
    seen = [next(changes), next(changes)]
    watch.close()  # type: ignore[attr-defined]  # it is a generator
    later.join()
    assert [one.metadata.name for one in objects] == ["before"]
    assert seen == [("ADDED", "s"), ("MODIFIED", "s")]


def test_a_watch_ends_when_its_time_is_over(api: Api) -> None:
    watch = api.watch(SECRETS, Header, "0", seconds=1, silence=10)
    assert [found for _, found, _ in watch if found] == []


def test_a_dry_run_changes_nothing(kubectl: Kubectl) -> None:
    kubectl.apply(secret("s"), dry_run=True)
    assert kubectl.get("Secret", "s") is None


def test_texts_of_a_secret_become_data(kubectl: Kubectl) -> None:
    kubectl.apply(secret("s", stringData={"a": "a"}))
    found = kubectl.get("Secret", "s") or {}
    assert (found["data"], "stringData" in found) == ({"a": "YQ=="}, False)


def test_with_a_namespace_goes_all_that_is_in_it(kubectl: Kubectl) -> None:
    kubectl.apply(secret("s"))
    kubectl.delete_namespace()
    assert kubectl.all("Secret") == []
    kubectl.create_namespace()


def test_a_refused_call_says_which_and_what_to_do(kubectl: Kubectl) -> None:
    with pytest.raises(Unusable, match=r"POST /api/v1/namespaces: the API server answered 409: it is there already"):
        kubectl.create_namespace()


def test_an_api_server_that_is_not_there_is_told() -> None:
    kubectl = Kubectl(Cluster("http://127.0.0.1:1"), "shop")
    with pytest.raises(Unusable, match="did not answer"):
        kubectl.get("Secret", "s")
