"""What the doctor says of ``keyferry sync``."""

import pytest

from tests.clusterside import Change, Site, controller, crd, each, kes, klass, lease

CRD = "externalsecrets.kubernetes-client.io"


def removed(*what: tuple[str, str]) -> Change:
    def change(site: Site) -> None:
        for kind, name in what:
            site.api.delete(kind, "" if kind.startswith("custom") else "kube-system", name)

    return change


GONE = removed(("deployments", "keyferry-sync"))
BROKEN: dict[str, tuple[Change, str]] = {
    "none": (GONE, "problem: keyferry sync: none runs, and these wait for it: shop/api"),
    "still the old one": (
        each(GONE, lambda s: s.put(kes())),
        "note: Deployment kube-system/kes: it serves the ExternalSecrets; keyferry sync is not installed",
    ),
    "the old one serves no classes": (
        each(GONE, lambda s: s.put(kes(), klass("two", synced="app", secret="two"))),
        "problem: keyferry sync: none runs, and these wait for it: shop/two",
    ),
    "both": (lambda s: s.put(kes()), "problem: two controllers: kube-system/kes and kube-system/keyferry-sync serve"),
    "two of ours": (
        lambda s: s.put(controller(name="second")),
        "warning: two Deployments of keyferry sync: kube-system/keyferry-sync, kube-system/second serve the same",
    ),
    "one of two": (
        lambda s: s.put(controller(ready=1)),
        "warning: Deployment kube-system/keyferry-sync: 1 of 2 replicas",
    ),
    "none ready": (lambda s: s.put(controller(ready=0)), "problem: Deployment kube-system/keyferry-sync: 0 of 2"),
    "scaled down": (
        lambda s: s.put(controller(replicas=0, ready=0)),
        "problem: Deployment kube-system/keyferry-sync: it is",
    ),
    "no Lease": (removed(("leases", "keyferry-sync")), "problem: Lease kube-system/keyferry-sync: no replica holds it"),
    "given back": (lambda s: s.put(lease(holder="")), "problem: Lease kube-system/keyferry-sync: no replica holds it"),
    "old Lease": (
        lambda s: s.put(lease(age=900)),
        "problem: Lease kube-system/keyferry-sync: keyferry-sync-1 renewed it 90",
    ),
    "no CRD": (removed(("customresourcedefinitions", CRD)), f"problem: CRD {CRD}: it does not exist"),
    "the old CRD": (lambda s: s.put(crd(CRD, "v1")), f"warning: CRD {CRD}: it is that of kubernetes-external-secrets"),
    "elsewhere": (
        lambda s: s.put(controller("--namespace=web,shop-2")),
        "warning: Deployment kube-system/keyferry-sync: it serves shop-2, web only, and not shop/api",
    ),
}


@pytest.mark.parametrize(("change", "found"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_wrong_with_the_controller_is_told(site: Site, change: Change, found: str) -> None:
    change(site)
    assert [line for line in site.told() if line.startswith(found)], site.told()


FINE: dict[str, Change] = {
    "tried beside the old one": lambda s: s.put(kes(), controller("--controller-id=new")),
    "the old one stands still": lambda s: s.put(kes() | {"spec": kes()["spec"] | {"replicas": 0}}),
    "no leader wanted": each(removed(("leases", "keyferry-sync")), lambda s: s.put(controller("--no-leader-elect"))),
    "nothing to sync and no controller": each(GONE, lambda s: s.api.delete("externalsecrets", "shop", "api")),
}


@pytest.mark.parametrize("change", FINE.values(), ids=FINE.keys())
def test_what_is_well_is_not_told(site: Site, change: Change) -> None:
    change(site)
    assert site.told() == []
