"""The values that travel between the layers. All are immutable; none does I/O.

A value that is a credential or a secret shows neither in ``repr`` nor in ``str``.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import msgspec

from driver.errors import KeyferryError

Clock = Callable[[], float]
"""Monotonic seconds."""


class Token:
    """A bearer token. Prints as ``Token(<redacted>)``; ``reveal`` is the only way to its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the token's text, for the request that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Token(<redacted>)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


class Store(StrEnum):
    """Where a value is kept; the words are those of ``objectType``."""

    SECRETS_MANAGER = "secretsmanager"
    PARAMETER = "ssmparameter"
    PARAMETER_PATH = "ssmpath"


class AuthMethod(StrEnum):
    """How a workload proves who it is."""

    IRSA = "irsa"
    POD_IDENTITY = "pod-identity"
    AMBIENT = "ambient"
    """The process's own AWS credentials: people's commands and the sync door, never a pod's mount."""


AUDIENCES: Mapping[AuthMethod, str] = {
    AuthMethod.IRSA: "sts.amazonaws.com",
    AuthMethod.POD_IDENTITY: "pods.eks.amazonaws.com",
}
"""For whom a workload's token is made."""


class Role(msgspec.Struct, frozen=True, cache_hash=True):
    """One step of an assume-role chain."""

    arn: str
    external_id: str = ""


class Pod(msgspec.Struct, frozen=True):
    """The pod that a Mount is for. For logs, Events and session names; never part of a cache key."""

    namespace: str
    name: str
    uid: str


class Access(msgspec.Struct, frozen=True):
    """Who asks: a workload's identity, how it proves it, and the proof it brings.

    ``uid`` is the service account's uid from the token's claims, empty if the token has none. ``region`` is where STS
    is asked first, ``failover_region`` where it is asked when that is down (empty: nowhere). ``token`` is None for
    ``AuthMethod.AMBIENT`` only.
    """

    method: AuthMethod
    namespace: str
    service_account: str
    uid: str
    region: str
    failover_region: str = ""
    token: Token | None = None
    address_type: Literal["auto", "ipv4", "ipv6"] = "auto"
    pod: Pod | None = None


class Principal(msgspec.Struct, frozen=True, cache_hash=True):
    """A proven identity: the key under which values are kept. Two different principals never share a value.

    ``role`` is the ARN that the identity holds (IRSA), empty where AWS does not tell it (Pod Identity, ambient).
    """

    method: AuthMethod
    namespace: str
    service_account: str
    uid: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Credentials:
    """AWS credentials. ``expires`` is monotonic seconds; ``obtained`` too."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires: float
    obtained: float


@dataclass(frozen=True, slots=True)
class Proof:
    """That AWS accepted a token of a principal, and the credentials that came of it; handed to one call.

    ``credentials`` is None when the proof is still honoured but new credentials could not be had (an outage);
    ``failure`` then says why. Such a proof lets kept values be served as stale, and nothing be read.
    """

    access: Access
    principal: Principal
    credentials: Credentials | None
    failure: Exception | None = None


class SecretRef(msgspec.Struct, frozen=True, cache_hash=True):
    """One thing to read, and where: the unit of caching and of sharing a read.

    ``name`` is a friendly name or an ARN (for ``Store.PARAMETER_PATH`` the path). ``version`` is a Secrets Manager
    version id or an SSM version number, ``label`` a staging label or an SSM label; both empty mean the latest.
    ``chain`` are the roles to assume, in order, with the identity's own credentials.
    """

    store: Store
    name: str
    region: str
    version: str = ""
    label: str = ""
    chain: tuple[Role, ...] = ()


class Want(msgspec.Struct, frozen=True, cache_hash=True):
    """A read that a manifest asks for: the reference, its copy in the failover region, whether it may be missing."""

    ref: SecretRef
    failover: SecretRef | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SecretValue:
    """What AWS returned for a reference.

    ``version`` is the Secrets Manager VersionId or the SSM version number as text. ``stamp`` is what else tells two
    contents with the same ``version`` apart (SSM: ARN and date; a parameter that is deleted and made anew starts at 1
    again). ``children`` holds (path below the asked path, value) for ``Store.PARAMETER_PATH``; content is empty.
    """

    content: bytes = field(repr=False)
    arn: str
    version: str
    stamp: str = ""
    request_id: str = ""
    children: tuple[tuple[str, "SecretValue"], ...] = ()

    def weight(self) -> int:
        """Return the bytes that keeping this value costs, roughly."""
        return 600 + len(self.content) + sum(len(name) + child.weight() for name, child in self.children)


Outcome = SecretValue | KeyferryError
"""What reading a reference ended with. A failure is an answer like any other: it spoils nothing beside it."""


class Source(StrEnum):
    """Where a delivered value came from."""

    AWS = "aws"
    CACHE = "cache"
    STALE = "stale"


class Read(msgspec.Struct, frozen=True, eq=False):
    """One resolved reference: the value, where it came from and its age in seconds."""

    ref: SecretRef
    value: SecretValue
    source: Source
    age: float


class File(msgspec.Struct, frozen=True):
    """One file of a volume: clean relative path, permission bits, bytes, and the text that changes when they do."""

    path: str
    mode: int
    content: bytes
    version: str

    def __repr__(self) -> str:
        return f"File({self.path!r}, {self.mode:04o}, {len(self.content)} bytes, {self.version!r})"


class Deadline:
    """A moment by which an answer is due. Passed down, never reset."""

    __slots__ = ("_clock", "at")

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self.at = clock() + seconds

    def remaining(self) -> float:
        """Return the seconds left, at least 0."""
        return max(0.0, self.at - self._clock())

    def within(self, seconds: float) -> "Deadline":
        """Return a deadline ``seconds`` from now, or this one if it is nearer."""
        return Deadline(min(seconds, self.remaining()), self._clock)


class Call(msgspec.Struct, frozen=True):
    """What a backend needs: for whom (its retry budget and memory of denials), with what, where, until when."""

    principal: Principal
    credentials: Credentials
    region: str
    deadline: Deadline
