"""The CustomResourceDefinition: structural, and no narrower than that of kubernetes-external-secrets 8.5.5.

Its CEL rules run only in an API server; here is tested which fields there are and of what type.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from driver.errors import Unusable
from driver.sync.plan import Origin
from driver.sync.status import TargetOutcome, body
from tests.unit.sync.material import external_secret, rendered

ROOT = Path(__file__).parents[3]
CRD: dict[str, Any] = yaml.safe_load((ROOT / "deploy/chart/crd/externalsecrets.yaml").read_text())
VERSION: dict[str, Any] = CRD["spec"]["versions"][0]
SCHEMA: dict[str, Any] = VERSION["schema"]["openAPIV3Schema"]
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def problems(value: object, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield what does not fit a structural schema, unknown fields (which would be pruned) included."""
    if not isinstance(value, TYPES[schema["type"]]):
        yield f"{path} is not {schema['type']}"
    elif isinstance(value, dict):
        known = schema.get("properties", {})
        open_ = schema.get("x-kubernetes-preserve-unknown-fields", not known)
        yield from (f"{path}.{name} is missing" for name in schema.get("required", ()) if name not in value)
        for name, member in value.items():
            if name in known:
                yield from problems(member, known[name], f"{path}.{name}")
            elif not open_:
                yield f"{path}.{name} is unknown"
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from problems(member, schema["items"], f"{path}[{index}]")
    elif value not in schema.get("enum", [value]):
        yield f"{path} is not one of its words"


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from nodes(member, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


def test_it_is_the_api_of_kes() -> None:
    names = CRD["spec"]["names"]
    assert (
        CRD["metadata"]["name"] == f"{names['plural']}.{CRD['spec']['group']}" == "externalsecrets.kubernetes-client.io"
    )
    assert (names["kind"], names["shortNames"], CRD["spec"]["scope"]) == ("ExternalSecret", ["es"], "Namespaced")
    assert (VERSION["name"], VERSION["served"], VERSION["storage"]) == ("v1", True, True)
    assert VERSION["subresources"] == {"status": {}}


def test_every_node_has_a_type() -> None:
    assert [path for path, schema in nodes(SCHEMA) if schema.get("type") not in TYPES] == []


def test_every_field_of_the_spec_is_described() -> None:
    spec = SCHEMA["properties"]["spec"]
    assert [path for path, schema in nodes(spec) if path and path[-2:] != "[]" and "description" not in schema] == []


def test_columns_point_to_fields_of_the_status() -> None:
    columns = {column["name"]: column["jsonPath"] for column in VERSION["additionalPrinterColumns"]}
    assert list(columns) == ["Status", "Last Sync", "Ready", "Age"]
    assert columns["Last Sync"] == ".status.lastSync"


ACCEPTED = [
    pytest.param({"data": [{"key": "k", "name": "n"}]}, id="a key"),
    pytest.param({"data": []}, id="an empty list"),
    pytest.param(
        {
            "controllerId": "c",
            "type": "Opaque",
            "region": "r",
            "roleArn": "a",
            "data": [
                {"key": "k", "name": "n", "property": "p", "isBinary": True, "versionStage": "s", "versionId": "v"}
            ],
            "dataFrom": ["k"],
            "dataFromWithOptions": [{"key": "k", "isBinary": True, "versionStage": "s", "versionId": "v"}],
            "template": {"metadata": {"labels": {"a": "b"}}, "stringData": {"x": "<%= data.n %>"}},
        },
        id="every field of Secrets Manager",
    ),
    pytest.param({"backendType": "systemManager", "data": [{"path": "/p", "recursive": True}]}, id="a path"),
    pytest.param({"backendType": "secretManager", "properties": [{"key": "k", "name": "n"}]}, id="old spellings"),
    pytest.param(
        {"backendType": "vault", "vaultRole": "r", "vaultMountPoint": "m", "kvVersion": 2, "data": []}, id="Vault"
    ),
    pytest.param(
        {"backendType": "gcpSecretsManager", "projectId": "p", "data": [{"key": "k", "name": "n", "version": "1"}]},
        id="GCP",
    ),
    pytest.param(
        {
            "backendType": "ibmcloudSecretsManager",
            "keyByName": True,
            "data": [{"key": "k", "name": "n", "secretType": "s"}],
        },
        id="IBM",
    ),
    pytest.param({"backendType": "azureKeyVault", "keyVaultName": "v", "data": []}, id="Azure"),
]


@pytest.mark.parametrize("spec", ACCEPTED)
def test_accepts_what_kes_accepted(spec: dict[str, Any]) -> None:
    assert list(problems(external_secret({"backendType": "secretsManager", **spec}), SCHEMA)) == []


@pytest.mark.parametrize(
    "spec", [{"data": [{"key": 1}]}, {"dataFrom": [{}]}, {"backendType": "x"}, {"dataFromWithOptions": [{}]}, {"n": 1}]
)
def test_refuses_or_prunes_what_kes_did(spec: dict[str, Any]) -> None:
    assert list(problems(external_secret(spec), SCHEMA)) != []


def test_our_status_fits() -> None:
    found = rendered({"data": [{"key": "k", "name": "n", "property": "x"}]}, {"k": b"text"})
    refused = TargetOutcome("app", "failed", error=Unusable("Secret app", "it has data", "empty it"))
    skipped = TargetOutcome("d", "skipped", message="create it")
    status = body(
        Origin("v", "k", "ns", "n", "u", 1), found, [refused, skipped], now="2026-01-01T00:00:00Z", previous={}
    )
    schema = {**SCHEMA["properties"]["status"], "x-kubernetes-preserve-unknown-fields": False}
    assert list(problems(status, schema)) == []
