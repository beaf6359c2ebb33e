"""The two STS operations that turn an identity into credentials.

API pages: STS "AssumeRoleWithWebIdentity" (unsigned: the token is the proof) and "AssumeRole". The Query protocol
answers in XML; an answer with a document type is refused, since only that can hold entities.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from driver.aws.failures import Asked, who
from driver.aws.request import Operation, Order, Reply
from driver.aws.transport import Transport
from driver.model import Access, Clock, Credentials, Deadline, Principal, Role

_NOT_IN_SESSION_NAME = re.compile(r"[^\w+=,.@-]", re.ASCII)


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """Credentials as a service gives them out; ``expires`` is wall clock seconds."""

    access_key: str
    secret_key: str
    token: str
    expires: float

    def __post_init__(self) -> None:
        parts = (self.access_key, self.secret_key, self.token)
        if not all(part and part.isascii() and part.isprintable() for part in parts):
            raise ValueError("not usable as credentials")

    def credentials(self, moment: float, now: float) -> Credentials:
        """Return them in monotonic time: ``moment`` is the giver's wall clock, ``now`` our monotonic one."""
        return Credentials(self.access_key, self.secret_key, self.token, now + self.expires - moment, now)


def _session(body: bytes) -> Session:
    if b"<!" in body:
        raise ValueError("no document type is expected")
    try:
        root = ET.fromstring(body)  # noqa: S314 - there are no entities without a document type
    except ET.ParseError:
        raise ValueError("not XML") from None
    found = root.find(".//{*}Credentials")
    if found is None:
        raise ValueError("no credentials")
    key, secret, token, expires = (
        found.findtext("{*}" + name, "") for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    )
    return Session(key, secret, token, timestamp(expires))


def timestamp(text: str) -> float:
    """Return the seconds of an ISO 8601 time with zone. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no time zone")
    return moment.timestamp()


WEB_IDENTITY = Operation("sts", "AssumeRoleWithWebIdentity", _session)
ASSUME_ROLE = Operation("sts", "AssumeRole", _session)


def session_name(access: Access) -> str:
    """Return the name by which CloudTrail shows the pod: ``keyferry@<namespace>.<pod>``, in STS's characters."""
    name = access.pod.name if access.pod else access.service_account
    return _NOT_IN_SESSION_NAME.sub("-", f"keyferry@{access.namespace}.{name}")[:64]


class Sts:
    """Asks STS. Lives as long as the process; safe for many threads."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock

    def with_token(self, access: Access, principal: Principal, region: str, deadline: Deadline) -> Credentials:
        """Return the credentials of the principal's role for the access's token.

        Raises IdentityRefused (token), AccessDenied (trust policy), Unavailable.
        """
        subject = f"system:serviceaccount:{access.namespace}:{access.service_account}"
        asked = Asked(WEB_IDENTITY.permission, principal.role, region, subject)
        form = {
            "RoleArn": principal.role,
            "RoleSessionName": session_name(access),
            "WebIdentityToken": access.token.reveal() if access.token else "",
        }
        return self._call(WEB_IDENTITY, form, Order(region, None, principal, deadline, asked))

    def assume(
        self, role: Role, caller: Credentials, *, access: Access, principal: Principal, region: str, deadline: Deadline
    ) -> Credentials:
        """Return the credentials of a role, assumed with the caller's. Raises AccessDenied, Unavailable."""
        asked = Asked(ASSUME_ROLE.permission, role.arn, region, who(principal))
        form = {"RoleArn": role.arn, "RoleSessionName": session_name(access)}
        if role.external_id:
            form["ExternalId"] = role.external_id
        return self._call(ASSUME_ROLE, form, Order(region, caller, principal, deadline, asked))

    def _call(self, operation: Operation[Session], form: Mapping[str, str], order: Order) -> Credentials:
        body = urlencode({"Action": operation.name, "Version": "2011-06-15", **form}).encode()
        reply: Reply[Session] = self._transport.call(operation, body, order)
        return reply.result.credentials(reply.moment, self._clock())
