"""What a call to AWS is, and the bytes that it sends (pure)."""

import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from driver import __version__
from driver.aws.failures import Asked
from driver.aws.session import Endpoint, ServiceId
from driver.aws.signing import Scope, Signer
from driver.errors import KeyferryError
from driver.model import Credentials, Deadline

T = TypeVar("T")

USER_AGENT = f"keyferry/{__version__}"
_TARGETS = {"secretsmanager": "secretsmanager", "ssm": "AmazonSSM"}


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """An API operation and how to read its answer; ``read`` raises ValueError or MsgspecError."""

    service: ServiceId
    name: str
    read: Callable[[bytes], T]
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        if self.service in _TARGETS:
            target = f"{_TARGETS[self.service]}.{self.name}"
            headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        object.__setattr__(self, "headers", headers)

    @property
    def permission(self) -> str:
        """Return the IAM action."""
        return f"{self.service}:{self.name}"


@dataclass(frozen=True, slots=True)
class Order:
    """Where and for whom a call is made. ``credentials`` None: unsigned. ``payer``: whose retries and pace it uses."""

    region: str
    credentials: Credentials | None
    payer: Hashable
    deadline: Deadline
    asked: Asked


class Ask(NamedTuple):
    """A call: what it sends, and for whom."""

    body: bytes
    order: Order


class Reply(NamedTuple, Generic[T]):
    """What came back. ``moment`` is STS's wall clock, or ours where it sent none; 0 for other services."""

    result: T
    request_id: str
    moment: float


Ending = Reply[T] | KeyferryError
"""How a call ended."""


def encoded(
    endpoint: Endpoint,
    operation: Operation[T],
    bodies: Iterable[bytes],
    credentials: Credentials | None,
    now: float,
) -> list[bytes]:
    """Return a request for each body. ``now``: wall-clock seconds as AWS has them."""
    headers = {"host": endpoint.authority, **operation.headers}
    signer = None
    if credentials is not None:
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        scope = Scope(moment, endpoint.signing_region, endpoint.signing_name)
        signer = Signer(endpoint.path, headers, credentials, scope)
        headers |= signer.added
    headers["user-agent"] = USER_AGENT
    target = endpoint.path
    if endpoint.proxy and not endpoint.tls:  # a proxy for plain HTTP wants the whole address (RFC 9112, 3.2.2)
        target = f"http://{endpoint.authority}{endpoint.path}"
        if endpoint.proxy.authorization:
            headers["proxy-authorization"] = endpoint.proxy.authorization
    start = "\r\n".join([f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), ""])
    return [f"{start}{_own(signer, body)}\r\n".encode() + body for body in bodies]


def _own(signer: Signer | None, body: bytes) -> str:
    """Return the header lines that only this body's request has."""
    length = f"content-length: {len(body)}\r\n"
    return f"authorization: {signer.authorization(body)}\r\n{length}" if signer else length
