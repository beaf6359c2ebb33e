"""Calls to AWS: signed, paced, retried, translated. One transport for every operation that keyferry makes.

Credentials are an argument of each call and nothing else holds any: a call without them cannot be signed at all, and
none can be signed with another's. A botocore client does the same work for five times the CPU, keeps one retry budget
for all identities, and costs 12 MB.
"""

import time
from collections.abc import Callable, Sequence
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Generic, TypeVar

import msgspec

from driver.aws.failures import Asked, ClockSkewed, translate
from driver.aws.pace import FirstContact, Paces, RetryBudgets, in_time, pause
from driver.aws.refusals import refusal_of
from driver.aws.request import Ask, Ending, Operation, Order, Reply, encoded
from driver.aws.session import Endpoint, Endpoints, Sdk, ServiceId
from driver.errors import Internal, KeyferryError, Throttled, Unavailable
from driver.http.connections import Connections, Timeouts
from driver.http.exchange import Answer, Broken
from driver.http.loop import Loop
from driver.model import Clock

T = TypeVar("T")
Observe = Callable[[str, str, float], None]
"""Told of each attempt: operation, result (``ok`` or an error's reason), seconds."""

ATTEMPTS = 6
"""With the waits between them (full jitter, doubling) they outlast a fault of a few seconds."""
THROTTLED_ATTEMPTS = 8
PAUSE = 0.25
LONGEST_PAUSE = 4.0
"""Seconds between attempts at most: at first, and ever."""
ANSWER_LIMIT = 8 << 20
"""Bytes of an answer: twenty secrets of 64 KiB are 1.3 MiB, as JSON text at most six times that."""


class _Burst(Generic[T]):
    """Calls of one operation, made together, and how they ended so far."""

    __slots__ = ("calls", "endings", "key", "operation", "order")

    def __init__(self, operation: Operation[T], calls: Sequence[Ask]) -> None:
        self.operation = operation
        self.calls = calls
        self.order = calls[0].order
        payer = None if self.order.credentials is None else self.order.payer
        self.key = (operation.name, self.order.region, payer)
        self.endings: list[Ending[T]] = [Internal()] * len(calls)


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
        self._loop = Loop()
        self._pools: dict[tuple[bool, str, int], Connections] = {}
        self._budgets = RetryBudgets(clock)
        self._paces = Paces(clock, sleep)
        self._contacts: dict[str, FirstContact] = {}

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
        (ending,) = self.call_all(operation, (Ask(body, order),))
        if isinstance(ending, KeyferryError):
            raise ending
        return ending

    def call_all(self, operation: Operation[T], calls: Sequence[Ask]) -> list[Ending[T]]:
        """Make calls side by side, each as ``call`` does; return how they ended, in order.

        Their orders may differ in ``asked`` only. Raises InvalidInput for what concerns them all.
        """
        burst = _Burst(operation, calls)
        left: Sequence[int] = range(len(calls))
        for attempt in count(1):
            self._round(burst, left)
            seconds = pause(attempt, PAUSE, LONGEST_PAUSE)
            left = [i for i in left if self._worth_trying(burst.order, burst.endings[i], attempt, seconds)]
            if not left:
                break
            self._sleep(seconds)
        return burst.endings

    def _worth_trying(self, order: Order, ending: Ending[T], attempt: int, seconds: float) -> bool:
        if not isinstance(ending, Unavailable) or isinstance(ending, _Lasting | _NoTurn):
            return False
        if not in_time(seconds, order.deadline):
            return False
        if isinstance(ending, Throttled):
            return attempt < THROTTLED_ATTEMPTS
        return attempt < ATTEMPTS and self._budgets.spend((order.payer, order.region))

    def _round(self, burst: _Burst[T], left: Sequence[int]) -> None:
        """Make an attempt of the calls that are left: side by side, or one by one where AWS has to be spared."""
        width = 1 if burst.order.credentials is None or self._paces.slowed(burst.key) else max(1, len(left))
        for start in range(0, len(left), width):
            part = left[start : start + width]
            self._in_turn(burst, part)
            skewed = [i for i in part if isinstance(burst.endings[i], ClockSkewed)]
            if skewed:
                self._in_turn(burst, skewed)  # the offset is known now

    def _in_turn(self, burst: _Burst[T], part: Sequence[int]) -> None:
        """Make an attempt when its turn has come, and learn from how it ended."""
        order = burst.order
        contact = self._contact(order.region) if order.credentials is None else None
        ticket = contact.enter(order.deadline) if contact else None
        answered = False
        try:
            if (contact and not ticket) or not self._paces.wait(burst.key, order.deadline):
                for i in part:
                    burst.endings[i] = _no_turn(burst.calls[i].order.asked)
                return
            began = self._clock()
            self._once(burst, part)
            answered = not isinstance(burst.endings[part[0]], Unavailable)
        finally:
            if contact and ticket:
                contact.leave(ticket, served=answered)
        for i in part:
            self._learn(burst, burst.endings[i], began)

    def _learn(self, burst: _Burst[T], ending: Ending[T], began: float) -> None:
        if isinstance(ending, Throttled):
            self._paces.throttled(burst.key, began)
        elif not isinstance(ending, KeyferryError):
            self._paces.served(burst.key)
            self._budgets.earn((burst.order.payer, burst.order.region))

    def _contact(self, region: str) -> FirstContact:
        if region not in self._contacts and len(self._contacts) < 1_000:
            self._contacts.setdefault(region, FirstContact(self._clock))
        return self._contacts.get(region) or FirstContact(self._clock)

    def _once(self, burst: _Burst[T], part: Sequence[int]) -> None:
        """Make an attempt; report it."""
        operation, order = burst.operation, burst.order
        endpoint = self._endpoints.of(operation.service, order.region)
        bodies = (burst.calls[i].body for i in part)
        requests = encoded(endpoint, operation, bodies, order.credentials, self._wall() + self._offset)
        arrivals = self._pool(endpoint).send_all(requests, order.deadline, ANSWER_LIMIT)
        for i, (outcome, seconds) in zip(part, arrivals, strict=True):
            burst.endings[i] = ending = self._ending(operation, outcome, burst.calls[i].order.asked)
            result = ending.reason if isinstance(ending, KeyferryError) else "ok"
            self._observe(operation.name, result, seconds)

    def _ending(self, operation: Operation[T], outcome: Answer | Broken, asked: Asked) -> Ending[T]:
        if isinstance(outcome, Broken):
            kind = _Lasting if outcome.lasting else Unavailable
            return kind(asked.name, f"{asked.permission}: {outcome.cause}", outcome.remedy)
        if outcome.status != 200:
            error = translate(refusal_of(outcome), asked)
            if isinstance(error, ClockSkewed):
                self._offset = self._moment(outcome) - self._wall()
            return error
        try:
            result = operation.read(outcome.body)
        except (ValueError, msgspec.MsgspecError, RecursionError):
            cause = f"{asked.permission} in {asked.region}: the answer makes no sense"
            return Unavailable(asked.name, cause, "check what answers at the endpoint")
        moment = self._moment(outcome) if operation.service == "sts" else 0.0
        return Reply(result, outcome.headers.get("x-amzn-requestid", ""), moment)

    def _pool(self, endpoint: Endpoint) -> Connections:
        key = (endpoint.tls, endpoint.host, endpoint.port)
        pool = self._pools.get(key)
        if pool is None:
            made = Connections(endpoint, self._endpoints.tls, self._timeouts, self._limit, self._clock, self._loop)
            pool = self._pools.setdefault(key, made)
        return pool

    def _moment(self, answer: Answer) -> float:
        try:
            return parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return self._wall() + self._offset

    def close(self) -> None:
        """Close the kept connections."""
        for pool in list(self._pools.values()):
            pool.close()
        self._loop.close()


class _Lasting(Unavailable):
    """An outage that the next attempt will meet too."""


class _NoTurn(Throttled):
    """AWS was not even asked: at the pace that it allows, the turn would come after the deadline."""


def _no_turn(asked: Asked) -> _NoTurn:
    cause = f"AWS asks for fewer calls: {asked.permission} in {asked.region} had no turn before the deadline"
    return _NoTurn(asked.name, cause, "it is tried again by itself; raise the account's quota if it stays")
