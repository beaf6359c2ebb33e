"""Whose a live Secret is, seen from one source: the guards before anything is written."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from driver.errors import InvalidInput, KeyferryError, Unavailable, Unusable
from driver.spc.fields import quoted
from driver.sync.plan import FIELD_MANAGER, KEYS, SOURCE, Desired, Origin
from driver.sync.secrettype import OPAQUE

DRIVER_LABEL = "secrets-store.csi.k8s.io/managed"
"""Set to ``true`` by driver 1.6.0 on the Secrets of its own sync."""


class Standing(StrEnum):
    """What a Secret is to a source."""

    OURS = "ours"
    """Our record says that this source fills it."""
    KES = "kes"
    """It has no record, and the source as its owner: made by kubernetes-external-secrets."""
    EMPTY = "empty"
    """It is nobody's and has no data."""


def of(desired: Desired, live: Mapping[str, Any]) -> Standing | KeyferryError:
    """Return what a Secret is to the source that wants it, or why it may not be written."""
    subject = f"Secret {desired.name}"
    error = _closed(live, subject) or _foreign_owner(desired, live, subject) or _foreign_record(desired, live, subject)
    if error:
        return error
    if SOURCE in annotations(live):
        return Standing.OURS
    return Standing.KES if is_owner(desired, live) else _untouched(desired, live, subject)


def _closed(live: Mapping[str, Any], subject: str) -> KeyferryError | None:
    if _metadata(live).get("deletionTimestamp"):
        return Unavailable(subject, "it is being deleted", "wait; it is made anew when it is gone")
    if labels(live).get(DRIVER_LABEL) == "true":
        cause = "it belongs to the Secrets Store CSI driver, which syncs it while a pod mounts the volume"
        return Unusable(subject, cause, "sync to another name, or leave the Secret to the driver")
    return None


def _foreign_record(desired: Desired, live: Mapping[str, Any], subject: str) -> KeyferryError | None:
    record = annotations(live).get(SOURCE, desired.origin.claim)
    if record == desired.origin.claim:
        return None
    remedy = f"use another name, or set its annotation {SOURCE} to {desired.origin.claim} if that object is gone"
    return Unusable(subject, f"it is filled by {quoted(record)} already", remedy)


def _foreign_owner(desired: Desired, live: Mapping[str, Any], subject: str) -> KeyferryError | None:
    for owner in owners(live):
        if owner.get("uid") == desired.origin.uid:
            continue
        if _is_former(owner, desired.origin):
            cause = "it belongs to a former object of this name and is deleted with it"
            return Unavailable(subject, cause, "wait for the garbage collector, or delete the Secret")
        if owner.get("controller") or annotations(live).get(SOURCE) != desired.origin.claim:
            cause = f"it is owned by {quoted(str(owner.get('kind')) + '/' + str(owner.get('name')))}"
            return Unusable(subject, cause, "use another name; a Secret has one owner")
    return None


def _is_former(owner: Mapping[str, Any], origin: Origin) -> bool:
    """Tell whether an owner is of the source's kind and name, and API group: others have an ExternalSecret too."""
    group = str(owner.get("apiVersion", "")).partition("/")[0]
    now = (origin.api_version.partition("/")[0], origin.kind, origin.name)
    return (group, owner.get("kind"), owner.get("name")) == now


def _untouched(desired: Desired, live: Mapping[str, Any], subject: str) -> Standing | KeyferryError:
    if data(live):
        cause = "it exists and has data that is not keyferry's"
        remedy = f"use another name, empty it, or give it up with the annotation {SOURCE}: {desired.origin.claim}"
        return Unusable(subject, cause, remedy)
    if live.get("immutable"):
        return _immutable(subject)
    if type_of(live) != OPAQUE or desired.type != OPAQUE:
        return _wrong_type(desired, live, subject)
    return Standing.EMPTY


def obstacle(desired: Desired, live: Mapping[str, Any], found: Standing) -> KeyferryError | None:
    """Return why a Secret that is the source's cannot be changed as wanted; None when it can."""
    subject = f"Secret {desired.name}"
    if type_of(live) != desired.type:
        return _wrong_type(desired, live, subject)
    if live.get("immutable"):
        return _immutable(subject)
    if found is Standing.KES:
        return None
    # A key that was not ours and that someone else added: to write it would be to steal it
    taken = sorted((desired.data.keys() & data(live).keys()) - own_keys(desired, live))
    if taken:
        cause = f"its key {quoted(taken[0])} was added by someone else"
        return Unusable(subject, cause, "remove that key from the Secret, or give ours another name")
    return None


def _immutable(subject: str) -> KeyferryError:
    return Unusable(subject, "it is immutable", "delete it; it is made anew when it is wanted")


def _wrong_type(desired: Desired, live: Mapping[str, Any], subject: str) -> KeyferryError:
    cause = f"its type is {quoted(type_of(live))}, {quoted(desired.type)} is wanted, and types cannot change"
    return InvalidInput(subject, cause, "delete the Secret, or write its type in the manifest")


def own_keys(desired: Desired, live: Mapping[str, Any]) -> set[str]:
    """Return the keys that are ours.

    By our record; all of them in a Secret that KES made. A Secret that someone gave up to this source (``SOURCE`` set
    by hand, so there is no list of keys yet): those that are wanted, and none of the others is ever removed.
    """
    recorded = annotations(live).get(KEYS)
    if SOURCE not in annotations(live):
        return set(data(live)) if is_owner(desired, live) else set()
    return set(desired.data) if recorded is None else set(filter(None, recorded.split(",")))


def applied_metadata(live: Mapping[str, Any], kind: str, manager: str) -> set[str]:
    """Return the labels (``f:labels``) or annotations (``f:annotations``) that a manager applied."""
    fields = _applied(live, manager).get("f:metadata", {}).get(kind, {})
    return {name.removeprefix("f:") for name in fields if name != "."}


def _applied(live: Mapping[str, Any], manager: str) -> Mapping[str, Any]:
    for entry in _managed(live):
        if entry.get("manager") == manager and entry.get("operation") == "Apply":
            return entry.get("fieldsV1") or {}
    return {}


def is_held(live: Mapping[str, Any], field: str, name: str) -> bool:
    """Tell whether a manager other than ours owns a field; so it is taken to be without managedFields."""
    entries = _managed(live)
    others = [e for e in entries if e.get("manager") != FIELD_MANAGER or e.get("operation") != "Apply"]
    return not entries or any(name in (e.get("fieldsV1") or {}).get(field, {}) for e in others)


def _managed(live: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return _metadata(live).get("managedFields") or ()


def _metadata(live: Mapping[str, Any]) -> Mapping[str, Any]:
    return live.get("metadata") or {}


def labels(live: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels of a live object."""
    return _metadata(live).get("labels") or {}


def annotations(live: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the annotations of a live object."""
    return _metadata(live).get("annotations") or {}


def owners(live: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the owner references of a live object."""
    return _metadata(live).get("ownerReferences") or ()


def is_owner(desired: Desired, live: Mapping[str, Any]) -> bool:
    """Tell whether the source is an owner of a live Secret."""
    uid = desired.origin.uid
    return bool(uid) and any(owner.get("uid") == uid for owner in owners(live))


def data(live: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the data of a live Secret, in base64."""
    return live.get("data") or {}


def type_of(live: Mapping[str, Any]) -> str:
    """Return the type of a live Secret."""
    return live.get("type") or OPAQUE


def resource_version(live: Mapping[str, Any]) -> str:
    """Return the resourceVersion of a live object."""
    return str(_metadata(live).get("resourceVersion", ""))
