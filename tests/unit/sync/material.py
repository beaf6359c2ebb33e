"""Objects, reads and live Secrets that the tests of the sync door share."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any

from driver.errors import KeyferryError
from driver.model import Read, SecretValue, Source
from driver.sync import externalsecret
from driver.sync.plan import FIELD_MANAGER, Mode, Reads, Rendering, SyncPlan
from driver.sync.render import render

REGION = "eu-west-1"
UID = "5e0f2a44-0000-4000-8000-000000000001"

Stored = Mapping[str, bytes | KeyferryError | Mapping[str, bytes]]
"""What AWS has, by name: bytes, an error, or the parameters below a path."""


def external_secret(spec: object, name: str = "app", **annotations: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "shop", "uid": UID, "generation": 1}
    if annotations:
        metadata["annotations"] = {f"keyferry.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
    return {"apiVersion": "kubernetes-client.io/v1", "kind": "ExternalSecret", "metadata": metadata, "spec": spec}


def planned(spec: Mapping[str, Any], *, mode: Mode = Mode.KEY, **annotations: str) -> SyncPlan:
    """Return the plan of a spec; ``backendType`` is secretsManager unless it says otherwise."""
    source = external_secret({"backendType": "secretsManager", **spec}, **annotations)
    return externalsecret.parse(source, region=REGION, mode=mode)


def value(found: bytes | Mapping[str, bytes]) -> SecretValue:
    if isinstance(found, bytes):
        return SecretValue(found, "arn:x", "v1")
    return SecretValue(b"", "arn:x", "v1", children=tuple((name, value(child)) for name, child in found.items()))


def reads(plan: SyncPlan, stored: Stored) -> Reads:
    """Return what came of a plan's wants."""
    result: dict[Any, Any] = {}
    for want in plan.wants:
        found = stored[want.ref.name]
        error = isinstance(found, KeyferryError)
        result[want.ref] = found if error else Read(want.ref, value(found), Source.AWS, 0.0)  # type: ignore[arg-type]  # told by the flag
    return result


def rendered(spec: Mapping[str, Any], stored: Stored, *, mode: Mode = Mode.KEY) -> Rendering:
    plan = planned(spec, mode=mode)
    return render(plan, reads(plan, stored))


def secrets(rendering: Rendering) -> dict[str, dict[str, bytes]]:
    return {one.name: dict(one.data) for one in rendering.secrets}


def failure(call: Callable[[], object]) -> str:
    """Return the text of the error of ours that a call raises, empty when it raises none."""
    try:
        call()
    except KeyferryError as error:
        return str(error)
    return ""


def lines(error: KeyferryError) -> list[str]:
    return [str(one) for one in error.errors]


def live(name: str = "app", data: Mapping[str, bytes] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a Secret as the API server has it; ``fields`` whose names are metadata go there."""
    secret: dict[str, Any] = {
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": "7", "uid": "live"},
        "type": fields.pop("type", "Opaque"),
    }
    if data is not None:
        secret["data"] = {key: b64encode(content).decode() for key, content in data.items()}
    if "immutable" in fields:
        secret["immutable"] = fields.pop("immutable")
    secret["metadata"] |= fields
    return secret


def applied(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Secret that the API server has after an apply to nothing."""
    metadata = body["metadata"]
    fields = {
        "f:data": {f"f:{key}": {} for key in body.get("data", {})},
        "f:metadata": {
            f"f:{kind}": {f"f:{name}": {} for name in metadata.get(kind, {})} for kind in ("labels", "annotations")
        },
    }
    entry = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields}
    return {**body, "metadata": {**metadata, "resourceVersion": "8", "uid": "live", "managedFields": [entry]}}
