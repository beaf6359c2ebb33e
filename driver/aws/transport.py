"""Calls to AWS: signed, paced, retried, translated. One transport for every operation that keyferry makes.

Credentials are an argument of each call and nothing else holds any: a call without them cannot be signed at all, and
none can be signed with another's. A botocore client does the same work for five times the CPU, keeps one retry budget
for all identities, and costs 12 MB.
"""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import msgspec
from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from driver import __version__
from driver.aws.failures import Asked, ClockSkewed, translate
from driver.aws.pace import FirstContact, Paces, RetryBudgets
from driver.aws.refusals import refusal_of
from driver.aws.session import Endpoint, Endpoints, Sdk, ServiceId
from driver.aws.signing import Scope, sign
from driver.errors import KeyferryError, Throttled, Unavailable
from driver.http.connections import Connections, Timeouts
from driver.http.exchange import Answer, Broken
from driver.model import Clock, Credentials, Deadline

T = TypeVar("T")
Observe = Callable[[str, str, float], None]
"""Told of each attempt: operation, result (``ok`` or an error's reason), seconds."""

ATTEMPTS = 6
"""With the waits between them (full jitter, doubling from a quarter second) they outlast a fault of a few seconds."""
THROTTLED_ATTEMPTS = 8
ANSWER_LIMIT = 8 << 20
"""Bytes of an answer: twenty secrets of 64 KiB are 1.3 MiB, as JSON text at most six times that."""

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


class Reply(NamedTuple, Generic[T]):
    """What came back. ``moment`` is STS's wall clock, or ours where it sent none; 0 for other services."""

    result: T
    request_id: str
    moment: float


class Transport:
    """Makes calls. Lives as long as the process; safe for many threads."""

    def __init__(
        self,
        sdk: Sdk,
        *,
        observe: Observe = lambda _operation, _result, _seconds: None,
        timeouts: Timeouts | None = None,
        connections: int = 192,
        clock: Clock = time.monotonic,
        wall: Clock = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoints = Endpoints(sdk)
        self._observe = observe
        self._timeouts = timeouts or Timeouts()
        self._limit = connections
        self._clock = clock
        self._wall = wall
        self._sleep = sleep
        self._offset = 0.0
        self._pools: dict[tuple[bool, str, int], Connections] = {}
        self._budgets = RetryBudgets(clock)
        self._paces = Paces(clock, sleep)
        self._contacts: dict[str, FirstContact] = {}
        self._jitter = wait_random_exponential(multiplier=0.25, max=4)

    def warm_up(self, region: str) -> None:
        """Do the slow first steps for a region: imports, endpoint rules, CAs. Calls work before it has ended.

        Raises InvalidInput for settings that cannot work.
        """
        services: tuple[ServiceId, ...] = ("sts", "secretsmanager", "ssm")
        endpoints = [self._endpoints.of(service, region) for service in services]
        if any(endpoint.tls for endpoint in endpoints):
            self._endpoints.tls()

    def call(self, operation: Operation[T], body: bytes, order: Order) -> Reply[T]:
        """Make a call and return its reply, by the order's deadline.

        Retries what may pass: at most ``ATTEMPTS`` times, within the payer's budget; throttled calls wait for the pace
        instead. Raises a KeyferryError.
        """
        retrying = Retrying(
            retry=retry_if_exception_type(Unavailable),
            stop=partial(self._give_up, order),
            wait=self._jitter,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._attempt, operation, body, order)

    def _give_up(self, order: Order, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, (_Lasting, _NoTurn)) or state.upcoming_sleep >= order.deadline.remaining():
            return True
        if isinstance(error, Throttled):
            return state.attempt_number >= THROTTLED_ATTEMPTS
        return state.attempt_number >= ATTEMPTS or not self._budgets.spend((order.payer, order.region))

    def _attempt(self, operation: Operation[T], body: bytes, order: Order) -> Reply[T]:
        try:
            return self._in_turn(operation, body, order)
        except ClockSkewed:
            return self._in_turn(operation, body, order)  # the offset is known now

    def _in_turn(self, operation: Operation[T], body: bytes, order: Order) -> Reply[T]:
        """Make one attempt when its turn has come, and learn from how it ended."""
        unsigned = order.credentials is None
        key = (operation.name, order.region, None if unsigned else order.payer)
        contact = self._contact(order.region) if unsigned else None
        ticket = contact.enter(order.deadline) if contact else None
        began, answered = self._clock(), False
        try:
            if (contact and not ticket) or not self._paces.wait(key, order.deadline):
                raise _no_turn(order.asked)
            began = self._clock()
            reply = self._once(operation, body, order)
            answered = True
        except KeyferryError as error:
            answered = not isinstance(error, Unavailable)
            if isinstance(error, Throttled) and not isinstance(error, _NoTurn):
                self._paces.throttled(key, began)
            raise
        finally:
            if contact and ticket:
                contact.leave(ticket, served=answered)
        self._paces.served(key)
        self._budgets.earn((order.payer, order.region))
        return reply

    def _contact(self, region: str) -> FirstContact:
        if region not in self._contacts and len(self._contacts) < 1_000:
            self._contacts.setdefault(region, FirstContact(self._clock))
        return self._contacts.get(region) or FirstContact(self._clock)

    def _once(self, operation: Operation[T], body: bytes, order: Order) -> Reply[T]:
        """Make one attempt; report it."""
        began = self._clock()
        result = "Internal"
        try:
            endpoint = self._endpoints.of(operation.service, order.region)
            request = self._request(endpoint, operation, body, order.credentials)
            answer = self._pool(endpoint).send(request, order.deadline, ANSWER_LIMIT)
            reply = self._understood(operation, answer, order.asked)
            result = "ok"
        except Broken as broken:
            result = Unavailable.reason
            kind = _Lasting if broken.lasting else Unavailable
            raise kind(order.asked.name, f"{order.asked.permission}: {broken.cause}", broken.remedy) from None
        except KeyferryError as error:
            result = error.reason
            raise
        finally:
            self._observe(operation.name, result, self._clock() - began)
        return reply

    def _request(
        self, endpoint: Endpoint, operation: Operation[T], body: bytes, credentials: Credentials | None
    ) -> bytes:
        headers = {"host": endpoint.authority, **operation.headers}
        if credentials is not None:
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._wall() + self._offset))
            scope = Scope(moment, endpoint.signing_region, endpoint.signing_name)
            headers.update(sign(endpoint.path, headers, body, credentials, scope))
        headers["user-agent"] = USER_AGENT
        headers["content-length"] = str(len(body))
        target = endpoint.path
        if endpoint.proxy and not endpoint.tls:  # a proxy for plain HTTP wants the whole address (RFC 9112, 3.2.2)
            target = f"http://{endpoint.authority}{endpoint.path}"
            if endpoint.proxy.authorization:
                headers["proxy-authorization"] = endpoint.proxy.authorization
        lines = "\r\n".join([f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())])
        return f"{lines}\r\n\r\n".encode() + body

    def _pool(self, endpoint: Endpoint) -> Connections:
        key = (endpoint.tls, endpoint.host, endpoint.port)
        pool = self._pools.get(key)
        if pool is None:
            made = Connections(endpoint, self._endpoints.tls, self._timeouts, self._limit, self._clock)
            pool = self._pools.setdefault(key, made)
        return pool

    def _understood(self, operation: Operation[T], answer: Answer, asked: Asked) -> Reply[T]:
        if answer.status != 200:
            error = translate(refusal_of(answer), asked)
            if isinstance(error, ClockSkewed):
                self._offset = self._moment(answer) - self._wall()
            raise error
        try:
            result = operation.read(answer.body)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            cause = f"{asked.permission} in {asked.region}: the answer makes no sense"
            raise Unavailable(asked.name, cause, "check what answers at the endpoint") from None
        moment = self._moment(answer) if operation.service == "sts" else 0.0
        return Reply(result, answer.headers.get("x-amzn-requestid", ""), moment)

    def _moment(self, answer: Answer) -> float:
        try:
            return parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return self._wall() + self._offset

    def close(self) -> None:
        """Close the kept connections."""
        for pool in list(self._pools.values()):
            pool.close()


class _Lasting(Unavailable):
    """An outage that the next attempt will meet too."""


class _NoTurn(Throttled):
    """AWS was not even asked: at the pace that it allows, the turn would come after the deadline."""


def _no_turn(asked: Asked) -> _NoTurn:
    cause = f"AWS asks for fewer calls: {asked.permission} in {asked.region} had no turn before the deadline"
    return _NoTurn(asked.name, cause, "it is tried again by itself; raise the account's quota if it stays")
