"""Reading a cluster: by GET, in pages, and on without rights."""

import pytest

from driver.cli.checkup.gather import gather
from driver.errors import IdentityRefused, Unavailable
from driver.kube import Cluster
from driver.sync.cluster import Api
from tests.clusterside import Site, failed_mount, klass, user

READS = [
    "csidrivers",
    "customresourcedefinitions",
    "clusterroles",
    "nodes",
    "daemonsets",
    "deployments",
    "secretproviderclasses",
    "externalsecrets",
    "secretproviderclasspodstatuses",
    "serviceaccounts",
    "pods",
    "events",
    "leases",
    "secrets",
]


def test_nothing_is_written(site: Site) -> None:
    site.put(user(phase="Pending"), failed_mount("app-1", "no"))
    before = site.api.objects.version
    site.rows()
    assert {request.method for request in site.api.requests} == {"GET"}
    assert {request.kind.rpartition("/")[2] for request in site.api.requests} == set(READS)
    assert site.api.objects.version == before


@pytest.mark.parametrize("resource", READS)
def test_a_missing_right_is_named_and_stops_nothing(site: Site, resource: str) -> None:
    site.put(user(phase="Pending"))
    site.api.fail(f"/{resource}$", 403, times=9)
    told = site.told()
    assert [line for line in told if line.startswith(f"unknown: list {resource}")]
    assert [line for line in told if not line.startswith("unknown")] == []
    assert {request.kind.rpartition("/")[2] for request in site.api.requests} >= {
        "pods",
        "csidrivers",
        "serviceaccounts",
    }


def test_without_any_right_all_is_unknown(site: Site) -> None:
    site.api.fail("", 403, times=99)
    assert {line.partition(":")[0] for line in site.told()} == {"unknown"}


def test_a_kind_that_the_cluster_does_not_know_is_not_there(site: Site) -> None:
    site.api.fail("/(externalsecrets|secretproviderclasspodstatuses)$", 404, times=9)
    assert site.told() == []


@pytest.mark.parametrize(("outcome", "kind"), [(401, IdentityRefused), ("cut", Unavailable), (503, Unavailable)])
def test_an_api_server_that_never_answers_ends_it(site: Site, outcome: int | str, kind: type[Exception]) -> None:
    site.api.fail("", outcome, times=99)
    with pytest.raises(kind):
        site.rows()


def test_a_failure_in_the_middle_does_not(site: Site) -> None:
    site.api.fail("/nodes$", 500, times=9)
    assert site.told() == ["unknown: list nodes: the API server answered 500"]


def test_lists_are_read_page_by_page(site: Site) -> None:
    site.put(*(klass(f"c{number}") for number in range(7)))
    found = gather(Api(Cluster(site.api.url), page=3), ())
    assert len(found.classes or ()) == 8
    pages = [one for one in site.api.requests if one.kind.endswith("secretproviderclasses")]
    assert [one.query.get("continue", "") for one in pages] == ["", "3", "6"]


def test_only_the_namespaces_asked_for_are_read(site: Site) -> None:
    """And of the rest what both doors consist of."""
    site.put({**klass("else"), "metadata": {"name": "else", "namespace": "web"}})
    found = gather(Api(Cluster(site.api.url)), ("shop",))
    assert [one["metadata"]["name"] for one in found.classes or ()] == ["db"]
    assert {one.metadata.namespace for one in found.crews or ()} == {"kube-system"}
    everywhere = {one.kind.rpartition("/")[2] for one in site.api.requests if not one.namespace}
    assert everywhere.isdisjoint({"pods", "secrets", "serviceaccounts", "events", "secretproviderclasses"})
    assert site.told("shop") == []
