"""What an API server's answers say: objects, pages, the lines of a watch, refusals.

kubernetes.io, "Kubernetes API Concepts". Of a refusal's body only field names and managers are told: it may quote
values.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

import msgspec
import urllib3

from driver.errors import (
    AccessDenied,
    IdentityRefused,
    InvalidInput,
    KeyferryError,
    NotFound,
    Throttled,
    TooLarge,
    Unavailable,
    Unusable,
)

T = TypeVar("T")


class Conflict(Unusable):
    """Another version of the object, or another owner of the field, was there first."""

    reason = "Conflict"


class OwnedByOthers(Conflict):
    """Another field manager has set one of the fields to another value."""

    reason = "OwnedByOthers"


class Gone(Unavailable):
    """The API server no longer knows this resourceVersion (410): list anew."""

    reason = "Gone"


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct, Generic[T]):
    """A part of a list."""

    metadata: _ListMeta
    items: list[T] | None = None


class _Line(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Bookmark(msgspec.Struct):
    metadata: _ListMeta


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] | None = None


class _Status(msgspec.Struct):
    code: int = 0
    reason: str = ""
    details: _Details | None = None


def changes(
    response: urllib3.BaseHTTPResponse, decoder: "msgspec.json.Decoder[T]", subject: str
) -> Iterator[tuple[str, T | None, str]]:
    """Yield the changes of a watch: type, object, resourceVersion. Raises what an ERROR line says."""
    for line in _lines(response):
        change = decoded(_LINES, line, subject)
        if change.type == "ERROR":
            raise refusal(decoded(_STATUSES, change.object, subject).code, bytes(change.object), subject)
        mark = decoded(_BOOKMARKS, change.object, subject)
        found = None if change.type == "BOOKMARK" else decoded(decoder, change.object, subject)
        yield change.type, found, mark.metadata.resource_version


_LINES = msgspec.json.Decoder(_Line)
_STATUSES = msgspec.json.Decoder(_Status)
_BOOKMARKS = msgspec.json.Decoder(_Bookmark)


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, lines)


def decoded(decoder: "msgspec.json.Decoder[T]", data: bytes | msgspec.Raw, subject: str) -> T:
    """Return what a decoder reads. Raises Unavailable."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Unavailable(subject, "the API server's answer is not understood", "check what answers there") from None


def silent(subject: str, error: BaseException | None = None) -> Unavailable:
    """Return the error for no answer at all, given what urllib3 made of it."""
    if isinstance(error, urllib3.exceptions.SSLError):
        remedy = "check the CA in ca.crt of the service account or in the kubeconfig"
        return Unavailable(subject, "the certificate of the Kubernetes API server is not trusted", remedy)
    return Unavailable(subject, "the Kubernetes API server did not answer", "check the path to the API server")


_REFUSALS: dict[int, tuple[type[KeyferryError], str, str]] = {
    401: (IdentityRefused, "the API server does not know keyferry", "check its service account token"),
    403: (AccessDenied, "keyferry may not do this", "apply keyferry's RBAC role and its binding"),
    404: (NotFound, "it does not exist", "create it or correct the name"),
    410: (Gone, "the API server no longer knows this version", "list anew"),
    413: (TooLarge, "the API server finds it too large", "make it smaller"),
    429: (Throttled, "the API server asks for fewer calls", "try again later"),
}


def refusal(status: int, body: bytes, subject: str) -> KeyferryError:
    """Return the error for a status code and the body that came with it."""
    if status in _REFUSALS:
        kind, cause, remedy = _REFUSALS[status]
        return kind(subject, cause, remedy)
    if status == 409:
        return _conflict(subject, _causes(body))
    if status in (400, 422):
        fields = ", ".join(sorted({cause.field for cause in _causes(body) if cause.field}))
        return InvalidInput(subject, f"the API server refuses {fields or 'it'}", "correct the manifest")
    return Unavailable(subject, f"the API server answered {status}", "check the API server's health")


def _causes(body: bytes) -> list[_Cause]:
    try:
        details = _STATUSES.decode(body).details
    except (msgspec.DecodeError, msgspec.ValidationError):
        return []
    return (details.causes if details else None) or []


def _conflict(subject: str, causes: list[_Cause]) -> Conflict:
    owned = sorted(f"{c.field} belongs to {c.message.split(chr(34))[1]}" for c in causes if c.message.count('"') >= 2)
    if owned:
        return OwnedByOthers(subject, ", ".join(owned), "let one of the two set the field")
    return Conflict(subject, "another version of it was written first", "wait for the next try")
