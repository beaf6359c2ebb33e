"""Credentials from the EKS Pod Identity agent on the node (EKS User Guide, "How EKS Pod Identity works").

The agent is asked at link-local addresses, never through a proxy, and its answers are never followed elsewhere.
"""

import ssl
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from driver.aws.pace import in_time, pause
from driver.aws.refusals import refusal_of
from driver.aws.request import USER_AGENT
from driver.aws.session import Endpoint, endpoint_of
from driver.aws.sts import Session, timestamp
from driver.aws.transport import Observe
from driver.errors import IdentityRefused, KeyferryError, Throttled, Unavailable
from driver.http.connections import Connections, Timeouts
from driver.http.exchange import Answer, Broken
from driver.http.tls import client_context
from driver.model import Access, Clock, Credentials, Deadline

AGENTS = ("http://169.254.170.23", "http://[fd00:ec2::23]")
PATH = "/v1/credentials"
UNASSOCIATED = 8.0
"""Seconds that a new association has to become visible to the agent."""
ANSWER_LIMIT = 64 << 10


class _Body(msgspec.Struct):
    AccessKeyId: str
    SecretAccessKey: str
    Token: str
    Expiration: str


class _NotAssociated(IdentityRefused):
    """The agent knows no role for the service account, or not yet."""


class _Agent(NamedTuple):
    endpoint: Endpoint
    connections: Connections


class PodIdentity:
    """Asks the agent. Lives as long as the process; safe for many threads."""

    def __init__(
        self,
        agents: Sequence[str] = AGENTS,
        *,
        observe: Observe = lambda _operation, _result, _seconds: None,
        timeouts: Timeouts | None = None,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        limits = timeouts or Timeouts(connect=1.0)
        endpoints = [endpoint_of(url, "the Pod Identity agent's address") for url in agents]
        self._agents = [_Agent(each, Connections(each, _no_tls, limits, clock=clock)) for each in endpoints]
        self._observe = observe
        self._clock = clock
        self._sleep = sleep
        self._working: _Agent | None = None

    def with_token(self, access: Access, deadline: Deadline) -> Credentials:
        """Return the credentials of the association of the access's service account.

        Retries until the deadline what may pass; an association that is not there, for ``UNASSOCIATED`` seconds.
        Raises IdentityRefused, Unavailable.
        """
        patience = deadline.within(UNASSOCIATED)
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._observed(access, deadline)
            except (Unavailable, _NotAssociated) as error:
                seconds = pause(attempt, 0.1, 1.0)
                if not in_time(seconds, patience if isinstance(error, _NotAssociated) else deadline):
                    raise
            self._sleep(seconds)

    def close(self) -> None:
        """Close the kept connections."""
        for agent in self._agents:
            agent.connections.close()

    def _observed(self, access: Access, deadline: Deadline) -> Credentials:
        began, result = self._clock(), "ok"
        try:
            return self._once(access, deadline)
        except KeyferryError as error:
            result = error.reason
            raise
        finally:
            self._observe("PodIdentity", result, self._clock() - began)

    def _once(self, access: Access, deadline: Deadline) -> Credentials:
        """Ask one address after the other, the one that worked first, until one answers."""
        cause = "no address of it answers"
        for agent in self._order(access):
            try:
                answer = agent.connections.send(_request(agent, access), deadline, ANSWER_LIMIT)
            except Broken as broken:
                cause = broken.cause
                continue
            self._working = agent
            return _session(answer, access).credentials(time.time(), self._clock())
        raise _unavailable(access, cause)

    def _order(self, access: Access) -> list[_Agent]:
        version6 = [agent for agent in self._agents if ":" in agent.endpoint.host]
        version4 = [agent for agent in self._agents if agent not in version6]
        if access.address_type != "auto":
            return (version6 if access.address_type == "ipv6" else version4) or self._agents
        return sorted(self._agents, key=lambda agent: agent is not self._working)


def _no_tls() -> ssl.SSLContext:
    return client_context()  # the agent speaks plain HTTP; a setting may name another


def _request(agent: _Agent, access: Access) -> bytes:
    token = access.token.reveal() if access.token else ""
    if not token or not token.isascii() or not token.isprintable():
        raise IdentityRefused(_subject(access), "its token is no token", "check the driver's tokenRequests")
    path = agent.endpoint.path.rstrip("/") + PATH
    lines = f"GET {path} HTTP/1.1\r\nhost: {agent.endpoint.authority}\r\nuser-agent: {USER_AGENT}\r\n"
    return f"{lines}authorization: {token}\r\n\r\n".encode()


def _session(answer: Answer, access: Access) -> Session:
    if answer.status != 200:
        raise _refused(answer, access)
    try:
        body = msgspec.json.decode(answer.body, type=_Body)
        return Session(body.AccessKeyId, body.SecretAccessKey, body.Token, timestamp(body.Expiration))
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise _unavailable(access, "its answer makes no sense") from None


def _refused(answer: Answer, access: Access) -> KeyferryError:
    """Return what the agent's refusal means; never its text."""
    code = refusal_of(answer).code
    code = code if code.isascii() and code.isalnum() else f"HTTP {answer.status}"
    if answer.status == 429:
        return Throttled(_subject(access), "the Pod Identity agent asks for fewer calls", "it is tried again by itself")
    if answer.status == 404:
        cause = f"the Pod Identity agent knows no role for it ({code})"
        return _NotAssociated(_subject(access), cause, "create a pod identity association for it in EKS")
    if 400 <= answer.status < 500:
        cause = f"the Pod Identity agent refused its token ({code})"
        remedy = "check its pod identity association, and the audience pods.eks.amazonaws.com in tokenRequests"
        return IdentityRefused(_subject(access), cause, remedy)
    return _unavailable(access, f"it answered {code}")


def _unavailable(access: Access, cause: str) -> Unavailable:
    remedy = "check that the EKS Pod Identity agent runs on the node and that keyferry may reach it"
    return Unavailable(_subject(access), f"no credentials from the Pod Identity agent: {cause}", remedy)


def _subject(access: Access) -> str:
    return f"service account {access.namespace}/{access.service_account}"
