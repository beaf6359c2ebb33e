"""Secrets that several want."""

from typing import Any

import pytest

from tests.clusterside import Change, Site, account, external_secret, klass, secret, thing

DRIVER_SYNC = thing("ClusterRole", "secretprovidersyncing-role", version="rbac.authorization.k8s.io/v1")
OURS = {"annotations": {"keyferry.dev/source": "ExternalSecret/api"}}
MANAGED = {"labels": {"secrets-store.csi.k8s.io/managed": "true"}}


def owner(found: dict[str, Any]) -> dict[str, Any]:
    meta = found["metadata"]
    one = {"apiVersion": found["apiVersion"], "kind": found["kind"], "name": meta["name"], "uid": meta["uid"]}
    return {"ownerReferences": [one]}


BROKEN: dict[str, tuple[Change, str]] = {
    "two objects": (
        lambda s: s.put(klass("two", synced="app", secret="api")),
        "problem: Secret shop/api: ExternalSecret/api, SecretProviderClass/two all want to fill it",
    ),
    "two named by mode": (
        lambda s: s.put(
            *(
                one | {"metadata": one["metadata"] | {"annotations": {"keyferry.dev/named-secrets": "secret"}}}
                for one in (external_secret("a"), external_secret("b"))
            )
        ),
        "problem: Secret shop/token: ExternalSecret/a, ExternalSecret/b all want to fill it",
    ),
    "two classes of the driver": (
        lambda s: s.put(DRIVER_SYNC, klass("one", secret="x"), klass("two", secret="x")),
        "problem: Secret shop/x: SecretProviderClass/one, SecretProviderClass/two all want to fill it",
    ),
    "driver and controller, one class": (
        lambda s: s.put(DRIVER_SYNC, klass(synced="app", secret="x")),
        "problem: SecretProviderClass shop/db: pods mount it while the driver's sync is on",
    ),
    "the driver's": (
        lambda s: s.put(secret("api", **MANAGED)),
        "problem: Secret shop/api: ExternalSecret/api wants to fill it, and it is the driver's",
    ),
    "another record": (
        lambda s: s.put(secret("api", annotations={"keyferry.dev/source": "ExternalSecret/old"})),
        "problem: Secret shop/api: ExternalSecret/api wants to fill it, and ExternalSecret/old does",
    ),
    "of an owner": (
        lambda s: s.put(secret("api", **owner(s.api.put(thing("SealedSecret", "x", "shop"))))),
        "problem: Secret shop/api: ExternalSecret/api wants to fill it, and it is also claimed by SealedSecret/x",
    ),
    "of the External Secrets Operator": (
        lambda s: s.put(secret("api", labels={"reconcile.external-secrets.io/managed": "true"})),
        "problem: Secret shop/api: ExternalSecret/api wants to fill it, and it is also claimed by the External",
    ),
    "of Helm": (
        lambda s: s.put(secret("api", labels={"app.kubernetes.io/managed-by": "Helm"})),
        "problem: Secret shop/api: ExternalSecret/api wants to fill it, and it is also claimed by Helm",
    ),
    "copied over by Reflector": (
        lambda s: s.put(
            secret("api", annotations=OURS["annotations"] | {"reflector.v1.k8s.emberstack.com/reflects": "a/b"})
        ),
        "warning: Secret shop/api: ExternalSecret/api wants to fill it, and it is also claimed by Reflector",
    ),
    "another writer": (
        lambda s: s.api.put(secret("api", **OURS), manager="argocd-controller"),
        "warning: Secret shop/api: ExternalSecret/api wants to fill it, and it is also claimed by Argo CD",
    ),
    "there before": (
        lambda s: s.put(secret("api")),
        "warning: Secret shop/api: ExternalSecret/api wants to fill it, and it was there before",
    ),
}


@pytest.mark.parametrize(("change", "found"), BROKEN.values(), ids=BROKEN.keys())
def test_a_secret_with_two_masters_is_told(site: Site, change: Change, found: str) -> None:
    change(site)
    assert [line for line in site.told() if line.startswith(found)], site.told()


FINE: dict[str, Change] = {
    "ours": lambda s: s.put(secret("api", **OURS)),
    "made by kubernetes-external-secrets": lambda s: s.put(
        secret("api", **owner(s.get("externalsecrets", "api", "shop")))
    ),
    "the driver's, by a class of the driver's": lambda s: s.put(DRIVER_SYNC, klass(secret="x"), secret("x", **MANAGED)),
    "named in two objects, in none of them a Secret": lambda s: s.put(external_secret("b")),
    "nobody's business": lambda s: s.put(secret("other", labels={"app.kubernetes.io/managed-by": "Helm"})),
    "of an account": lambda s: s.put(account("x")),
}


@pytest.mark.parametrize("change", FINE.values(), ids=FINE.keys())
def test_a_secret_with_one_is_not(site: Site, change: Change) -> None:
    change(site)
    assert site.told() == []


def test_of_secrets_only_metadata_is_asked_for_and_only_when_one_is_wanted(site: Site) -> None:
    site.rows()
    (request,) = [one for one in site.api.requests if one.kind == "/api/v1/secrets"]
    assert request.headers["accept"] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    site.api.delete("externalsecrets", "shop", "api")
    site.api.requests.clear()
    site.rows()
    assert [one for one in site.api.requests if one.kind == "/api/v1/secrets"] == []
