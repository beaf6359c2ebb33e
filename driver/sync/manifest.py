"""What to do about a Secret that is wanted, given the one that is there; and the body to send.

Server-side apply with one field manager: we own our keys and nothing else. A Secret is the source's when our record on
it says so (``plan.SOURCE``), or an owner reference has the source's uid: then kubernetes-external-secrets (KES) made it
for the same object, and it is taken over. Any other Secret is written only when it is empty, and the record is then
the proof. What was written by hand over our keys is healed; what others added stays.
"""

import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

import msgspec

from driver.errors import KeyferryError
from driver.sync import standing
from driver.sync.plan import FIELD_MANAGER, KEYS, SOURCE, SOURCE_UID, Claim, Desired
from driver.sync.standing import Standing


@dataclass(frozen=True, slots=True)
class Write:
    """Send ``body`` by server-side apply with ``plan.FIELD_MANAGER``, with ``force`` as said.

    A ``body`` for an existing Secret holds its resourceVersion: a 409 means that it changed meanwhile, reconcile again.
    (Without ``force`` a 409 can also be a conflict with another field manager: its answer's message tells which.)
    ``first``, when not None, is a JSON merge patch to send before, because server-side apply removes nothing that
    another manager owns too; the body's resourceVersion must then be replaced with that of the answer.
    """

    action: Literal["create", "fill", "update", "adopt"]
    body: dict[str, Any] = field(repr=False)
    force: bool = False
    first: dict[str, Any] | None = field(default=None, repr=False)


class Keep(msgspec.Struct, frozen=True):
    """The Secret is as it should be: no call."""


class Skip(msgspec.Struct, frozen=True):
    """``auto`` found no Secret that it may fill. No failure; one Normal Event tells ``message``, if there is one."""

    reason: str = ""
    message: str = ""


class Refuse(msgspec.Struct, frozen=True):
    """The Secret may not be written: a condition and a Warning Event tell ``error``. The others are not affected."""

    error: KeyferryError


Decision = Write | Keep | Skip | Refuse


def decide(desired: Desired, live: Mapping[str, Any] | None) -> Decision:
    """Return what to do. ``live`` is the Secret as the API server returns it (v1 JSON), None when there is none.

    ``live`` should have its managedFields: without them, labels and annotations that are no longer wanted stay.
    A Secret that is not the source's and not empty is never written.
    """
    if live is None:
        return Write("create", _body(desired, None, owned=not desired.retain)) if _makes(desired) else _hint(desired)
    found = standing.of(desired, live)
    if isinstance(found, KeyferryError):
        return _unfit(desired, live, found)
    if found is Standing.EMPTY:
        return _fill(desired, live)
    return _update(desired, live, found)


def _makes(desired: Desired) -> bool:
    return desired.claim is Claim.MAKE


def _hint(desired: Desired) -> Skip:
    if desired.flaw:
        return Skip()
    message = (
        f"to get the properties as keys of a Secret of its own, create an empty Secret {desired.name} in namespace"
    )
    message += f" {desired.namespace}, or set the annotation keyferry.dev/named-secrets to secret (to key: never)"
    return Skip("NoSecretToFill", message)


def _unfit(desired: Desired, live: Mapping[str, Any], error: KeyferryError) -> Decision:
    """Tell why a Secret is not written; a failure only when it was asked for, or when another source has it."""
    recorded = SOURCE in standing.annotations(live)
    if _makes(desired) or (recorded and not desired.flaw):
        return Refuse(error)
    return Skip() if desired.flaw else Skip("SecretNotFilled", str(error))


def _fill(desired: Desired, live: Mapping[str, Any]) -> Decision:
    if desired.flaw:
        return Skip("SecretNotFilled", str(desired.flaw))
    return Write("fill", _body(desired, live, owned=False))


def _update(desired: Desired, live: Mapping[str, Any], found: Standing) -> Decision:
    if desired.flaw:
        return Refuse(desired.flaw)
    error = standing.obstacle(desired, live, found)
    changed = differs(desired, live)
    if error and (changed or desired.type != standing.type_of(live)):
        return Refuse(error)
    if not changed:
        return Keep()
    owned = standing.is_owner(desired, live) and not desired.retain
    action: Literal["update", "adopt"] = "adopt" if found is Standing.KES else "update"
    return Write(action, _body(desired, live, owned=owned), force=True, first=_first(desired, live))


def differs(desired: Desired, live: Mapping[str, Any]) -> bool:
    """Tell whether a Secret that is ours is not as it should be, in what is ours of it."""
    has = standing.data(live)
    if any(has.get(key) != value for key, value in _encoded(desired).items()) or _gone(desired, live):
        return True
    wanted_annotations = {**desired.annotations, **_record(desired)}
    for wanted, present, kind in (
        (desired.labels, standing.labels(live), "f:labels"),
        (wanted_annotations, standing.annotations(live), "f:annotations"),
    ):
        if any(present.get(name) != value for name, value in wanted.items()):
            return True
        if standing.applied_metadata(live, kind, FIELD_MANAGER) - wanted.keys():
            return True
    return standing.is_owner(desired, live) and desired.retain


def _gone(desired: Desired, live: Mapping[str, Any]) -> set[str]:
    """Return our keys that are no longer wanted and still there."""
    return (standing.own_keys(desired, live) - desired.data.keys()) & standing.data(live).keys()


def _first(desired: Desired, live: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the merge patch that removes what another field manager owns too."""
    keys = {key: None for key in sorted(_gone(desired, live)) if standing.is_held(live, "f:data", f"f:{key}")}
    metadata: dict[str, Any] = {}
    if desired.retain and standing.is_owner(desired, live):
        others = [one for one in standing.owners(live) if one.get("uid") != desired.origin.uid]
        metadata["ownerReferences"] = others or None
    if not keys and not metadata:
        return None
    metadata["resourceVersion"] = standing.resource_version(live)
    return {"metadata": metadata, "data": keys} if keys else {"metadata": metadata}


def _body(desired: Desired, live: Mapping[str, Any] | None, *, owned: bool) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": desired.name,
        "namespace": desired.namespace,
        "annotations": {**desired.annotations, **_record(desired)},
    }
    if desired.labels:
        metadata["labels"] = dict(desired.labels)
    if owned:
        metadata["ownerReferences"] = [desired.origin.owner_reference()]
    if live is not None:
        metadata["resourceVersion"] = standing.resource_version(live)
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": desired.type}
    return {**body, "data": _encoded(desired)} if desired.data else body


def _record(desired: Desired) -> dict[str, str]:
    keys = ",".join(sorted(desired.data))
    return {SOURCE: desired.origin.claim, SOURCE_UID: desired.origin.uid, KEYS: keys}


def _encoded(desired: Desired) -> dict[str, str]:
    return {key: b64encode(value).decode() for key, value in desired.data.items()}


def digest(desired: Desired, key: bytes) -> str:
    """Return 32 hex digits of an HMAC-SHA256 over type and data: equal exactly when these are, for who has ``key``.

    For annotations that restart workloads and for remembering what was last written. ``key`` must be secret and random:
    a plain hash of a weak value can be guessed by anyone who reads the object.
    """
    mac = hmac.new(key, digestmod=sha256)
    for part in (desired.type.encode(), *(p for k in sorted(desired.data) for p in (k.encode(), desired.data[k]))):
        mac.update(len(part).to_bytes(8, "big") + part)
    return mac.hexdigest()[:32]
