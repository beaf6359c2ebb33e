"""How fast to call: a budget for retries and pauses between, a gentle first contact, a measured pace once AWS asks.

Each identity has its own budget and pace, so that one in trouble slows no other. Calls wait for their turn; they are
turned away only when the turn would come after their deadline.
"""

import random
import threading
from collections.abc import Callable, Hashable

from cachetools import LRUCache

from driver.model import Clock, Deadline

QUICKEST = 0.02
"""Seconds without which no attempt is made: it would only replace the true cause by that of no time."""

RETRIES = 10.0
"""Retries that an identity has in hand for a region."""
EARNED = 0.2
"""Retries that a success earns; five seconds earn one too."""

FIRST_WINDOW = 2
"""Calls side by side at first contact, until ``PROVEN`` of them were answered; then each answer allows one more."""
PROVEN = 6
SLOW_ANSWER = 0.06
"""Seconds after which a call that is still out no longer holds others back: slow is not throttled."""

SLOWEST = 0.5
"""Calls per second that are always tried."""
UNMEASURED = 5.0
"""Calls per second that a quota is taken to allow when fewer were seen: one refusal among few calls says little."""
CALM = 60.0
"""Seconds after the last throttled answer until calls go unpaced again."""


def pause(attempt: int, first: float, longest: float) -> float:
    """Return the seconds to wait after an attempt, counted from 1: full jitter, doubling from ``first``.

    Follows the AWS Architecture Blog, "Exponential Backoff and Jitter".
    """
    return random.uniform(0, min(first * 2 ** (attempt - 1), longest))  # noqa: S311 - nobody gains by a guess


def in_time(seconds: float, deadline: Deadline) -> bool:
    """Return whether another attempt, made after so many seconds, has a chance before the deadline."""
    return seconds + QUICKEST < deadline.remaining()


class RetryBudgets:
    """Retries left, by key. Only keys that failed lately take room. Lives as long as the process; thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left: LRUCache[Hashable, tuple[float, float]] = LRUCache(4_096)

    def spend(self, key: Hashable) -> bool:
        """Take one retry; return False when none is left."""
        with self._lock:
            left = self._now(key)
            if left < 1:
                return False
            self._left[key] = (left - 1, self._clock())
            return True

    def earn(self, key: Hashable) -> None:
        """Count a success."""
        if key not in self._left:
            return
        with self._lock:
            left = self._now(key) + EARNED
            if left < RETRIES:
                self._left[key] = (left, self._clock())
            else:
                self._left.pop(key, None)

    def _now(self, key: Hashable) -> float:
        left, at = self._left.get(key, (RETRIES, self._clock()))
        return min(RETRIES, left + EARNED * (self._clock() - at))


class FirstContact:
    """Lets calls to an untried service out in small, growing numbers, as TCP does. Thread-safe.

    Without it, a node that starts 20 accounts at once finds a small quota by having most of the 20 calls refused.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = threading.Condition()
        self._out: dict[object, float] = {}
        self._window = FIRST_WINDOW
        self._answered = 0

    def enter(self, deadline: Deadline) -> object | None:
        """Wait for a turn and return a ticket for ``leave``; None when the deadline came first."""
        ticket = object()
        with self._turn:
            while not self._room():
                oldest = next(iter(self._out.values()))
                left = deadline.remaining()
                if left <= 0:
                    return None
                self._turn.wait(max(0.001, min(left, oldest + SLOW_ANSWER - self._clock())))
            self._out[ticket] = self._clock()
        return ticket

    def _room(self) -> bool:
        slow = self._clock() - SLOW_ANSWER
        for ticket in [t for t, began in self._out.items() if began <= slow]:
            del self._out[ticket]
            self._window += 1
        return len(self._out) < self._window

    def leave(self, ticket: object, *, served: bool) -> None:
        """End a call: a real answer to it, good or bad, lets more out."""
        with self._turn:
            self._out.pop(ticket, None)
            if served:
                self._answered += 1
                self._window += self._answered >= PROVEN
            self._turn.notify(2)


class Meter:
    """Calls served in about the last second."""

    __slots__ = ("_before", "_count", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._count = 0
        self._before = 0

    def count(self, now: float) -> None:
        """Count a call. Not locked: a lost count does not matter."""
        second = int(now)
        if second != self._second:
            self._before = self._count if second == self._second + 1 else 0
            self._second, self._count = second, 0
        self._count += 1

    def rate(self, now: float) -> float:
        """Return calls per second."""
        age = int(now) - self._second
        return float(max(self._count, self._before) if age == 0 else self._count if age == 1 else 0)


class Pace:
    """Turns at a rate that falls when AWS throttles and recovers along a cubic curve. Thread-safe.

    The curve is botocore's ``CubicCalculator`` (adaptive retry mode), made ten times flatter: a node has few calls, and
    each that is refused was one too many.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        from botocore.retries.throttling import CubicCalculator  # noqa: PLC0415 - slow to import, and rarely needed

        self._clock = clock
        self._lock = threading.Lock()
        self._rate = self._next = self._last_cut = self.throttled_at = 0.0
        now = clock()
        self._curve = CubicCalculator(starting_max_rate=rate, start_time=now, scale_constant=0.04)
        self._cut(rate, now)

    def _cut(self, rate: float, now: float) -> None:
        self._rate = max(SLOWEST, self._curve.error_received(rate, now))
        self._last_cut = now
        self._next = now + 1 / self._rate
        self.throttled_at = now

    def turn(self, deadline: Deadline) -> float | None:
        """Return the seconds to wait for the next turn, which is then taken; None if it comes after the deadline."""
        with self._lock:
            now = self._clock()
            wait = max(0.0, self._next - now)
            if wait > deadline.remaining():
                return None
            self._next = now + wait + 1 / self._rate
            return wait

    def served(self) -> None:
        """Count a success."""
        with self._lock:
            self._rate = max(SLOWEST, self._curve.success_received(self._clock()))

    def throttled(self, began: float) -> None:
        """Slow down, once for all calls that were out together: ``began`` is when this one was sent."""
        with self._lock:
            self.throttled_at = now = self._clock()
            if began > self._last_cut:
                self._cut(self._rate, now)

    @property
    def rate(self) -> float:
        """Return the calls per second now allowed."""
        return self._rate


class Paces:
    """Meters and paces by key. Lives as long as the process; thread-safe."""

    def __init__(self, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._meters: LRUCache[Hashable, Meter] = LRUCache(4_096)
        self._paces: LRUCache[Hashable, Pace] = LRUCache(4_096)

    def wait(self, key: Hashable, deadline: Deadline) -> bool:
        """Wait for a turn; return False when it would come after the deadline."""
        if not self._paces:
            return True
        with self._lock:
            pace = self._paces.get(key)
        if pace is None:
            return True
        seconds = pace.turn(deadline)
        if seconds:
            self._sleep(seconds)
        return seconds is not None

    def slowed(self, key: Hashable) -> bool:
        """Return whether AWS has lately asked to slow down."""
        with self._lock:
            return key in self._paces

    def served(self, key: Hashable) -> None:
        """Count a success."""
        now = self._clock()
        with self._lock:
            meter = self._meters.get(key)
            if meter is None:
                meter = self._meters[key] = Meter()
            pace = self._paces.get(key) if self._paces else None
            if pace is not None and now - pace.throttled_at > CALM:
                del self._paces[key]
                pace = None
        meter.count(now)
        if pace is not None:
            pace.served()

    def throttled(self, key: Hashable, began: float) -> None:
        """Count a call, sent at ``began``, that AWS refused as one too many."""
        with self._lock:
            pace = self._paces.get(key)
            if pace is None:
                meter = self._meters.get(key)
                seen = meter.rate(self._clock()) if meter else 0.0
                self._paces[key] = Pace(max(seen, UNMEASURED), self._clock)
                return
        pace.throttled(began)
