"""What can go wrong, by what the caller can do about it.

Every failure that leaves keyferry is one of these classes. Each names its subject (the object), the cause and the
remedy; none carries a value, a token or the text of a foreign exception. A foreign library's exceptions are
translated in one function next to the code that calls it, never here.

    KeyferryError
    ├── InvalidInput         the manifest or request is wrong: change it
    ├── IdentityRefused      the pod's token or role was not accepted: fix token, annotation or trust policy
    │   └── CredentialsExpired   AWS no longer takes these credentials: get new ones and try once more
    ├── AccessDenied         the identity may not read this: fix the IAM, resource or KMS policy
    ├── NotFound             the object, version or label does not exist
    ├── Unusable             it exists and cannot be used as asked: its state or its content must change
    ├── TooLarge             more bytes than the receiver takes
    ├── Unavailable          AWS, the agent or Kubernetes did not answer: try again later
    │   └── Throttled        AWS asks to slow down
    ├── Internal             a defect of ours: the log has the traceback
    └── Failures             several of these, one line each

gRPC codes: CANCELLED, DEADLINE_EXCEEDED, UNAVAILABLE, RESOURCE_EXHAUSTED and ABORTED are never used. The kubelet treats
them as "not final", keeps the volume's directory, and driver 1.6.0 then starts the pod with an empty volume that
nothing fills again.
"""

from collections.abc import Iterable
from typing import ClassVar

STATUS_LIMIT = 1_000
"""Longest status text in characters: it becomes a pod event, which Kubernetes cuts at 1,024."""

FORBIDDEN_CODES = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED"})
"""gRPC codes that start a pod with an empty volume (driver 1.6.0 with rotation on)."""


class KeyferryError(Exception):
    """A failure with a subject, a cause and a remedy, all in our own words."""

    code: ClassVar[str] = "INTERNAL"
    """Name of the gRPC status code."""
    reason: ClassVar[str] = "Internal"
    """CamelCase word for conditions, Events and metric labels."""
    retryable: ClassVar[bool] = False
    """Whether the same call can succeed later with nothing changed by a person."""

    def __init__(self, subject: str, cause: str, remedy: str) -> None:
        super().__init__(subject, cause, remedy)
        self.subject = subject
        self.cause = cause
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.subject}: {self.cause}: {self.remedy}"

    @property
    def errors(self) -> tuple["KeyferryError", ...]:
        """The single failures of which this one consists."""
        return (self,)

    @property
    def gravest(self) -> "KeyferryError":
        """The failure whose code and reason speak for all."""
        return self


class InvalidInput(KeyferryError):
    """The manifest or the request breaks a rule."""

    code = "INVALID_ARGUMENT"
    reason = "InvalidInput"


class IdentityRefused(KeyferryError):
    """The identity could not be proven: token, annotation, association or trust policy."""

    code = "UNAUTHENTICATED"
    reason = "IdentityRefused"


class CredentialsExpired(IdentityRefused):
    """AWS refused the credentials as expired or unknown. The resolver gets new ones and tries once more."""

    reason = "CredentialsExpired"


class AccessDenied(KeyferryError):
    """The proven identity may not read the object."""

    code = "PERMISSION_DENIED"
    reason = "AccessDenied"


class NotFound(KeyferryError):
    """The object, its version or its label does not exist for this identity."""

    code = "NOT_FOUND"
    reason = "NotFound"


class Unusable(KeyferryError):
    """The object exists; its state or content does not allow what was asked."""

    code = "FAILED_PRECONDITION"
    reason = "Unusable"


class TooLarge(KeyferryError):
    """More bytes than the receiver accepts."""

    code = "OUT_OF_RANGE"
    reason = "TooLarge"


class Unavailable(KeyferryError):
    """An upstream did not give a usable answer in time. The only class for which a kept value may be served."""

    code = "INTERNAL"
    reason = "Unavailable"
    retryable = True


class Throttled(Unavailable):
    """The upstream asks for fewer calls."""

    reason = "Throttled"


class Internal(KeyferryError):
    """A defect of keyferry."""

    def __init__(self, subject: str = "keyferry") -> None:
        super().__init__(subject, "internal error", "see the provider's log for the traceback and report it")


class Failures(KeyferryError):
    """Several failures as one: sorted, without repeats, one line each.

    The gRPC code is that of the failure that most needs a person; a retry alone never hides it.
    """

    reason = "Several"
    _gravity = (InvalidInput, IdentityRefused, AccessDenied, NotFound, Unusable, TooLarge, Internal, Unavailable)

    def __init__(self, errors: Iterable[KeyferryError]) -> None:
        flat: list[KeyferryError] = []
        for error in errors:
            flat.extend(error.errors)
        self._errors = tuple(sorted({str(e): e for e in flat}.values(), key=str))
        first = self._errors[0]
        super().__init__(first.subject, first.cause, first.remedy)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)

    @property
    def errors(self) -> tuple[KeyferryError, ...]:
        """The single failures of which this one consists."""
        return self._errors

    @property
    def gravest(self) -> KeyferryError:
        """The failure whose code and reason speak for all."""
        return min(self.errors, key=lambda e: next(i for i, kind in enumerate(self._gravity) if isinstance(e, kind)))


def all_of(errors: Iterable[KeyferryError]) -> KeyferryError:
    """Return one error for one or more: itself when there is one, else ``Failures``."""
    found = Failures(errors)
    return found if len(found.errors) > 1 else found.errors[0]


def status_of(error: KeyferryError) -> tuple[str, str]:
    """Return the gRPC code name and the status text: a line ``keyferry: <object>: <cause>: <remedy>`` per failure.

    The text has at most ``STATUS_LIMIT`` characters; what does not fit is counted in its last line.
    """
    lines = [f"keyferry: {_one_line(str(e))}" for e in error.errors]
    text = "\n".join(lines)
    kept = len(lines)
    while len(text) > STATUS_LIMIT and kept > 1:
        kept -= 1
        text = "\n".join([*lines[:kept], f"keyferry: and {len(lines) - kept} more: see the provider's log"])
    return error.gravest.code, text[:STATUS_LIMIT]


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
