"""``keyferry doctor`` before a real API server, with no more rights than its documented role gives.

Runs when KEYFERRY_TEST_KUBECONFIG names a kubeconfig that may make roles and namespaces.
"""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from driver.cli.checkup.kinds import Titled
from driver.cli.doctor import examine
from driver.errors import NotFound
from driver.kube import from_kubeconfig
from driver.sync.cluster import Api
from driver.sync.kinds import ACCOUNTS, NAMESPACES, SECRETS, Resource
from tests.clusterside import secret, thing
from tests.unit.cli.test_doctor import roles

KUBECONFIG = os.environ.get("KEYFERRY_TEST_KUBECONFIG", "")
RBAC = "rbac.authorization.k8s.io"
ROLES = Resource(f"/apis/{RBAC}/v1", "clusterroles")
BINDINGS = Resource(f"/apis/{RBAC}/v1", "clusterrolebindings")

pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="KEYFERRY_TEST_KUBECONFIG names no API server")


@pytest.fixture
def admin() -> Api:
    return Api(from_kubeconfig(Path(KUBECONFIG)))


@pytest.fixture
def namespace(admin: Api) -> Iterator[str]:
    """Make a namespace with a service account ``doctor``; it and the roles of its name go in the end."""
    name = f"keyferry-{uuid.uuid4().hex[:8]}"
    admin.create(NAMESPACES, "", thing("Namespace", name))
    admin.create(ACCOUNTS, name, thing("ServiceAccount", "doctor", name))
    yield name
    for number in range(2):
        for resource in (BINDINGS, ROLES):
            with suppress(NotFound):
                admin._send("DELETE", resource.path("", f"{name}-{number}"), name)
    admin._send("DELETE", NAMESPACES.path("", name), name)


def doctor(admin: Api, namespace: str, folder: Path) -> Api:
    """Return what the service account sees, which has the documented roles."""
    subject = {"kind": "ServiceAccount", "name": "doctor", "namespace": namespace}
    for number, role in enumerate(roles()):
        name = f"{namespace}-{number}"
        ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
        admin.create(ROLES, "", thing("ClusterRole", name, version=f"{RBAC}/v1", rules=role["rules"]))
        admin.create(BINDINGS, "", _binding(name, ref, subject))
    path = ACCOUNTS.path(namespace, "doctor", "token")
    token = admin._json("POST", path, "token", {"spec": {"expirationSeconds": 600}})["status"]["token"]
    # the admin's server and CA without the admin's certificate
    document = yaml.safe_load(Path(KUBECONFIG).read_text())
    users = [{"name": one["name"], "user": {"token": token}} for one in document["users"]]
    (folder / "config").write_text(yaml.safe_dump(document | {"users": users}))
    return Api(from_kubeconfig(folder / "config"))


def _binding(name: str, ref: dict[str, Any], subject: dict[str, Any]) -> dict[str, Any]:
    return thing("ClusterRoleBinding", name, version=f"{RBAC}/v1", roleRef=ref, subjects=[subject])


def test_the_documented_rights_are_enough(admin: Api, namespace: str, tmp_path: Path) -> None:
    rows = examine(doctor(admin, namespace, tmp_path), (), "aws", now=time.time())
    assert rows
    assert [row.subject for row in rows if row.area == "rights"] == []


def test_the_api_server_sends_no_data_of_secrets(admin: Api, namespace: str) -> None:
    admin.create(SECRETS, namespace, secret("s") | {"metadata": {"name": "s"}})
    path = f"{SECRETS.path(namespace)}?limit=5"
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    items = msgspec.json.decode(admin._send("GET", path, "secrets", accept=accept))["items"]
    assert [set(item) - {"kind", "apiVersion"} for item in items] == [{"metadata"}]
    found = [one for page, _ in admin.list(SECRETS, Titled, namespace=namespace) for one in page]
    assert [one.metadata.name for one in found] == ["s"]
