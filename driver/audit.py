"""Audit records: one JSON line per secret that was read, and for whom. Pure; never a value.

The part of a line that belongs to a value is made once and joined with the part that tells for whom it was read.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from driver.model import Pod, Read, SecretRef, SecretValue, Source
from driver.telemetry import KIND, NAME, NAMESPACE, POD, REQUEST_ID, SECRET, SERVICE_ACCOUNT, SOURCE, TIME, UID, VERSION

_encode = msgspec.json.encode

FIELDS = {
    TIME: "when it was delivered, UTC, RFC 3339 with milliseconds",
    NAMESPACE: "of the pod or object",
    POD: "the pod that mounts it (`keyferry provider`)",
    UID: "that pod's uid (`keyferry provider`)",
    KIND: "`ExternalSecret` or `SecretProviderClass` (`keyferry sync`)",
    NAME: "of that object (`keyferry sync`)",
    SERVICE_ACCOUNT: "as whom it was read; empty: with the role of `keyferry sync` itself",
    SECRET: "the secret's or parameter's ARN; its name where AWS gives none",
    VERSION: "Secrets Manager's VersionId, Parameter Store's version number",
    SOURCE: "`aws`: read now, `cache`: read less than `--freshness` ago, `stale`: AWS does not answer",
    REQUEST_ID: "of the call that read it, which CloudTrail has too; with `cache` and `stale` that of the earlier read",
}
"""The fields of a record and what they mean, in order."""


class Origin(Protocol):
    """An object of Kubernetes that is read for (``driver.sync.plan.Origin``)."""

    @property
    def kind(self) -> str:
        """Its kind."""
        ...

    @property
    def namespace(self) -> str:
        """Its namespace."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...


def head(pod: Pod, service_account: str, now: float) -> bytes:
    """Return the start of every line of one Mount; ``now`` is wall-clock seconds."""
    return _head({NAMESPACE: pod.namespace, POD: pod.name, UID: pod.uid, SERVICE_ACCOUNT: service_account}, now)


def head_of_object(origin: Origin, service_account: str, now: float) -> bytes:
    """Return the start of every line of one pass over an object."""
    reader = {NAMESPACE: origin.namespace, KIND: origin.kind, NAME: origin.name, SERVICE_ACCOUNT: service_account}
    return _head(reader, now)


def _head(reader: Mapping[str, str], now: float) -> bytes:
    when = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    return _encode({TIME: when, **reader})[:-1]


def tails(reads: Iterable[Read]) -> list[bytes]:
    """Return the end of every line: which secret, which version, from where; one per child of a parameter path."""
    return [_tail(name, value, read.source) for read in reads for name, value in _values(read.ref, read.value)]


def lines(start: bytes, ends: list[bytes]) -> bytes:
    """Return complete lines."""
    return start + start.join(ends) if ends else b""


def _values(ref: SecretRef, value: SecretValue) -> Iterator[tuple[str, SecretValue]]:
    if not value.children:
        yield ref.name, value
    for name, child in value.children:
        yield f"{ref.name.rstrip('/')}/{name}", child


def _tail(name: str, value: SecretValue, source: Source) -> bytes:
    rest = {SECRET: value.arn or name, VERSION: value.version, SOURCE: source, REQUEST_ID: value.request_id}
    return b"," + _encode(rest)[1:] + b"\n"
