"""What the API server lets a Secret hold (kubernetes.io, "Secret types" and the validation of core/v1), and what we do.

Checked before anything is sent, so that the message names the field and never quotes a value.
"""

import json
import re
from collections.abc import Mapping

from driver.errors import InvalidInput, KeyferryError, TooLarge, Unusable
from driver.spc.fields import quoted

OPAQUE = "Opaque"

BYTES_LIMIT = 1024 * 1024
"""Bytes of all values of one Secret."""

KEYS_LIMIT = 64 * 1024
"""Characters of all keys of one Secret: our record of them is an annotation, and those may have 256 KiB together."""

_KEY = re.compile(r"[-._a-zA-Z0-9]+", re.ASCII)
_LABEL_KEY = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?", re.ASCII)

_REQUIRED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_JSON_KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}
_DANGEROUS = frozenset({"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"})
_DANGEROUS_PREFIX = "helm.sh/"


def type_problem(kind: str) -> tuple[str, str] | None:
    """Return cause and remedy when a Secret may not have this type; None when it may."""
    if kind in _DANGEROUS or kind.startswith(_DANGEROUS_PREFIX):
        cause = f"a Secret of type {quoted(kind)} would give or change rights in the cluster"
        return cause, "choose another type; this one is only for the cluster's own controllers"
    if "<%" in kind or "${" in kind:
        return "a type is not rendered as a template", "write the type itself"
    if not kind.isprintable() or len(kind) > 253:
        return f"{quoted(kind)} is not a type", "write a type such as Opaque or kubernetes.io/tls"
    return None


def key_problem(key: str) -> str | None:
    """Return what is wrong with a key of ``data``; None: nothing."""
    if len(key) > 253:
        return "a key of a Secret has at most 253 characters"
    if not _KEY.fullmatch(key):
        return "a key of a Secret has only letters, digits and the signs - . _"
    return "a key of a Secret does not begin with two dots and is not a dot" if key == "." or key[:2] == ".." else None


def metadata_problem(labels: Mapping[str, str], annotations: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the name of the first label or annotation that cannot be one, and why; None: all can."""
    for name in (*labels, *annotations):
        if not _LABEL_KEY.fullmatch(name) or len(name.rpartition("/")[2]) > 63 or len(name) > 317:
            return name, "it is not a valid name"
    for name, value in labels.items():
        if not _LABEL_VALUE.fullmatch(value) or len(value) > 63:
            rule = "a label has at most 63 letters, digits and signs - . _, and begins and ends with a letter or digit"
            return name, rule
    if sum(map(len, (*annotations, *annotations.values()))) > 128 * 1024:
        return max(annotations, key=lambda name: len(annotations[name])), "the annotations have more than 128 KiB"
    return None


def check(subject: str, kind: str, data: Mapping[str, bytes]) -> KeyferryError | None:
    """Return why a Secret of this type cannot hold this data; None when it can."""
    for key in data:
        trouble = key_problem(key)
        if trouble:
            # Which key is not said: a key that cannot be one was perhaps not meant to be seen
            return InvalidInput(subject, trouble, "rename it in the store, or take the properties singly")
    total = sum(map(len, data.values()))
    if total > BYTES_LIMIT:
        return TooLarge(subject, f"{total:,} bytes of at most {BYTES_LIMIT:,} in a Secret", "take fewer or less")
    if sum(map(len, data)) > KEYS_LIMIT:
        return TooLarge(subject, f"the names of its {len(data):,} keys have more than 64 KiB", "take fewer keys")
    return _misses(subject, kind, data)


def _misses(subject: str, kind: str, data: Mapping[str, bytes]) -> KeyferryError | None:
    missing = [key for key in _REQUIRED.get(kind, ()) if key not in data]
    if kind == "kubernetes.io/basic-auth" and not data.keys() & {"username", "password"}:
        missing = ["username", "password"]
    if missing:
        cause = f"type {kind} needs the key {' and '.join(missing)}"
        return InvalidInput(subject, cause, "add it, or remove the type")
    key = _JSON_KEYS.get(kind)
    if key and not _is_json(data[key]):
        return Unusable(subject, f"type {kind} needs JSON in {key}", "store the whole JSON text")
    return None


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return False
    return True
