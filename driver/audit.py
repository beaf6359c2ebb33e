"""Audit records: one JSON line per secret that was read, and for whom. Pure; never a value.

The part of a line that belongs to a value is made once and joined with the part that tells for whom it was read.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

import msgspec

from driver.model import Pod, Read, SecretRef, SecretValue, Source
from driver.telemetry import NAMESPACE, POD, REQUEST_ID, SECRET, SERVICE_ACCOUNT, SOURCE, TIME, UID, VERSION

_encode = msgspec.json.encode


def head(pod: Pod, service_account: str, now: float) -> bytes:
    """Return the start of every line of one Mount; ``now`` is wall-clock seconds."""
    return head_of({NAMESPACE: pod.namespace, POD: pod.name, UID: pod.uid, SERVICE_ACCOUNT: service_account}, now)


def head_of(reader: Mapping[str, str], now: float) -> bytes:
    """Return the start of every line of a reader that these fields describe."""
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
