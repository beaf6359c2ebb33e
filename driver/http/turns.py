"""Whose request gets a connection next. Pure but for the lock on which a caller waits for his answers.

Each caller has one connection for sure, as long as there are any. Once a request of his was answered he has more while
there are spare ones: a caller whose requests hang takes nothing that another needs in order to get on.
"""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from driver.http.exchange import Answer, Broken


class Arrival(NamedTuple):
    """How an exchange ended, and the seconds that it took."""

    outcome: Answer | Broken
    seconds: float


class Burst:
    """Requests that one caller makes together, and then waits for. ``until`` is a moment in the owner's clock."""

    __slots__ = ("_done", "_left", "answered", "arrivals", "body_limit", "out", "until", "waiting")

    def __init__(self, requests: Sequence[bytes], until: float, body_limit: int) -> None:
        self.waiting = deque(enumerate(requests))
        self.until = until
        self.body_limit = body_limit
        self.out = 0
        self.answered = False
        self.arrivals = [Arrival(Broken("no answer in time"), 0.0)] * len(requests)
        self._left = len(requests)
        self._done = threading.Lock()
        self._done.acquire()

    def arrive(self, index: int, arrival: Arrival) -> None:
        """Take note of how a request ended."""
        self.arrivals[index] = arrival
        self._left -= 1
        if not self._left:
            self._done.release()

    def wait(self, seconds: float) -> None:
        """Wait until all requests ended, or so long."""
        self._done.acquire(timeout=seconds)


class Turns:
    """Bursts with requests that wait. Not for more than one thread."""

    def __init__(self, limit: int, spare: int) -> None:
        self._free = limit
        self._spare = spare
        self._first: deque[Burst] = deque()
        self._more: deque[Burst] = deque()

    def join(self, burst: Burst) -> None:
        """Let a burst wait for its turn."""
        self._first.append(burst)

    def take(self) -> Burst | None:
        """Return the burst whose turn it is and which now has one connection more, if there is one to have."""
        while self._free:
            if self._first:
                burst = self._first.popleft()
            elif self._more and self._spare:
                burst = self._more.popleft()
            else:
                return None
            if burst.waiting:
                self._free -= 1
                self._spare -= burst.out > 0
                burst.out += 1
                if burst.answered and len(burst.waiting) > 1:
                    self._more.append(burst)
                return burst
        return None

    def leave(self, burst: Burst, *, answered: bool) -> Burst | None:
        """Take note that a request of a burst ended; return as ``take`` who has its connection now."""
        if answered and not burst.answered:
            burst.answered = True
            self._more.append(burst)
        if burst.waiting:
            return burst
        burst.out -= 1
        self._spare += burst.out > 0
        self._free += 1
        return self.take()

    def waiting(self) -> Iterable[Burst]:
        """Return the bursts with requests that wait."""
        return [burst for burst in (*self._first, *self._more) if burst.waiting]
