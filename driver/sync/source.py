"""Reading a source object: its fields without stopping at the first problem, and the annotations that are ours."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from driver.spc.fields import Problems, quoted
from driver.sync.plan import (
    DELETION_POLICY,
    NAMED_SECRETS,
    POLL_INTERVAL,
    PREFIX,
    SERVICE_ACCOUNT,
    SYNC,
    Mode,
    Origin,
)

_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII)
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_SETTINGS = (SYNC, SERVICE_ACCOUNT, NAMED_SECRETS, DELETION_POLICY, POLL_INTERVAL)

_KEY_LIMIT = 2_048

LEAST_INTERVAL = 1.0
"""Shortest poll interval in seconds."""


def is_name(text: str) -> bool:
    """Tell whether a text can be the name of a Secret or service account (RFC 1123 subdomain)."""
    return len(text) <= 253 and _NAME.fullmatch(text) is not None


class Fields:
    """One mapping of a manifest. What is wrong goes to ``problems`` under the field's path; the field is then unset."""

    def __init__(self, node: object, path: str, problems: Problems) -> None:
        self.path = path
        self.problems = problems
        if node is not None and not isinstance(node, Mapping):
            problems.add(path, "not a mapping of fields", "write its fields below it, indented")
        self._node: Mapping[str, Any] = node if isinstance(node, Mapping) else {}

    def at(self, field: str) -> str:
        """Return a field's path."""
        return f"{self.path}.{field}" if self.path else field

    def refuse(self, field: str, cause: str, remedy: str) -> None:
        """Note a problem of a field."""
        self.problems.add(self.at(field), cause, remedy)

    def names(self) -> list[str]:
        """Return the fields that are there."""
        return [str(name) for name, value in self._node.items() if value is not None]

    def raw(self, field: str) -> object:
        """Return a field as it is; None when it is absent."""
        return self._node.get(field)

    def text(self, field: str) -> str | None:
        """Return a text, None when it is absent."""
        value = self._node.get(field)
        if value is None or isinstance(value, str):
            return value
        self.refuse(field, f"not a text but {_kind(value)}", "put it in quotes")
        return None

    def flag(self, field: str) -> bool:
        """Return a truth value; absent is false."""
        value = self._node.get(field)
        if value is None or isinstance(value, bool):
            return bool(value)
        self.refuse(field, f"not true or false but {_kind(value)}", "write true or false, without quotes")
        return False

    def below(self, field: str) -> "Fields":
        """Return a mapping, empty when it is absent."""
        return Fields(self._node.get(field), self.at(field), self.problems)

    def entries(self, field: str) -> Sequence[object]:
        """Return a list, empty when it is absent."""
        value = self._node.get(field)
        if isinstance(value, list):
            return value
        if value is not None:
            self.refuse(field, f"not a list but {_kind(value)}", "begin each entry with '- '")
        return ()

    def texts(self) -> dict[str, str]:
        """Return the fields of a mapping of texts (labels, annotations, data)."""
        found = {str(name): self.text(name) for name in self._node}
        return {name: value for name, value in found.items() if value is not None}


def _kind(value: object) -> str:
    kinds = ((bool, "true or false"), ((int, float), "a number"), (str, "a text"), (list, "a list"))
    return next((word for kind, word in kinds if isinstance(value, kind)), "a mapping")


def origin(source: Mapping[str, Any]) -> Origin:
    """Return who an object is; missing parts are empty. Raises nothing: a status or Event needs it in any case."""
    found = source.get("metadata")
    metadata: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    generation = metadata.get("generation")
    return Origin(
        api_version=str(source.get("apiVersion") or ""),
        kind=str(source.get("kind") or ""),
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        uid=str(metadata.get("uid") or ""),
        generation=generation if isinstance(generation, int) else 0,
    )


class Settings(msgspec.Struct, frozen=True):
    """The annotations of a source that are ours; unset ones are empty or None."""

    service_account: str
    interval: float | None
    retain: bool
    mode: Mode | None


def settings(metadata: Fields, *, modes: bool = True) -> Settings:
    """Read the annotations. ``modes``: named Secrets are a matter of this kind."""
    annotations = metadata.below("annotations")
    for name in annotations.names():
        if name.startswith(PREFIX) and name not in _SETTINGS:
            known = ", ".join(word.removeprefix(PREFIX) for word in _SETTINGS)
            annotations.refuse(name, "not an annotation of a source", f"after {PREFIX} these are known: {known}")
    account = annotations.text(SERVICE_ACCOUNT) or ""
    if account and not is_name(account):
        annotations.refuse(SERVICE_ACCOUNT, f"{quoted(account)} is not the name of a service account", "correct it")
    policy = _word(annotations, DELETION_POLICY, ("delete", "retain"))
    mode = _word(annotations, NAMED_SECRETS, tuple(Mode)) if modes else ""
    return Settings(
        service_account=account,
        interval=_interval(annotations),
        retain=policy == "retain",
        mode=Mode(mode) if mode else None,
    )


def _word(annotations: Fields, name: str, words: Iterable[str]) -> str:
    text = annotations.text(name) or ""
    if not text or text in words:
        return text
    annotations.refuse(name, f"it is {quoted(text)}", "write " + " or ".join(f'"{word}"' for word in words))
    return ""


def _interval(annotations: Fields) -> float | None:
    text = annotations.text(POLL_INTERVAL)
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    interval = hours * 3600 + minutes * 60 + seconds
    if interval < LEAST_INTERVAL:
        annotations.refuse(POLL_INTERVAL, f"{quoted(text)} is not a time of at least 1s", "write 30s, 5m or 1h30m")
        return None
    return interval


def require_region(region: str, field: str, problems: Problems) -> None:
    """Note that no region is known."""
    if not region:
        problems.add(field, "no region is named", f"set {field}, or the controller's AWS_REGION")


def check_key(fields: Fields, field: str) -> str:
    """Return the name of something in AWS; empty when there is none, which is a problem."""
    key = fields.text(field)
    if not key:
        if fields.raw(field) is None or key is not None:
            fields.refuse(field, "it is missing" if key is None else "it is empty", "write the name or ARN to read")
        return ""
    if not key.isprintable() or len(key) > _KEY_LIMIT:
        fields.refuse(field, f"{quoted(key)} cannot be a name in AWS", f"write at most {_KEY_LIMIT:,} printable signs")
        return ""
    return key
