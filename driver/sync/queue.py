"""A queue of keys: each waits at most once, and is worked on by one worker at a time.

A key that is added while it is worked on comes again afterwards. Keys that something happened to (``add``) go before
those whose time has come (``add_at``). Ready keys are taken in batches, so that one call to AWS can serve many.
"""

import heapq
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from driver.model import Clock

K = TypeVar("K", bound=Hashable)


class Queue(Generic[K]):
    """Lives as long as the process; safe for many threads.

    ``uniform`` returns a number between its two arguments. A failing key waits a random time of up to ``base``
    seconds, doubled with each failure, at most ``cap`` (full jitter).
    """

    def __init__(
        self,
        *,
        base: float = 1.0,
        cap: float = 300.0,
        clock: Clock = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._base = base
        self._cap = cap
        self._clock = clock
        self._uniform = uniform
        self._changed = threading.Condition()
        self._urgent: OrderedDict[K, float] = OrderedDict()
        self._ready: OrderedDict[K, float] = OrderedDict()
        self._due: dict[K, float] = {}
        self._timers: list[tuple[float, int, K]] = []
        self._working: dict[K, float] = {}
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._serial = 0
        self._closed = False

    def add(self, key: K) -> None:
        """Make a key ready now."""
        with self._changed:
            if key in self._working:
                self._again.add(key)
                return
            self._due.pop(key, None)
            if key not in self._urgent:
                since = self._ready.pop(key, None)
                self._urgent[key] = self._clock() if since is None else since
                self._changed.notify()

    def add_at(self, key: K, at: float) -> None:
        """Make a key ready at a moment of the clock; of several the last one given holds. A ready key stays ready."""
        with self._changed:
            if key in self._urgent or key in self._ready:
                return
            self._due[key] = at
            self._serial += 1
            heapq.heappush(self._timers, (at, self._serial, key))
            if self._timers[0][2] == key:
                self._changed.notify()

    def forget(self, key: K) -> None:
        """Forget when a key is due and how often it failed; a key that is ready, or was added meanwhile, stays so."""
        with self._changed:
            self._due.pop(key, None)
            self._failures.pop(key, None)

    def take(self, limit: int, *, linger: float = 0.0, timeout: float | None = None) -> list[K]:
        """Wait for ready keys and return up to ``limit`` of them; each must then be given to ``done``.

        Once one is ready, waits up to ``linger`` seconds more for others. Returns none after ``timeout`` seconds
        (None: never) or when the queue is closed.
        """
        with self._changed:
            if not self._wait(1, timeout):
                return []
            if linger:
                self._wait(limit, linger)
            now = self._clock()
            taken: list[K] = []
            for ready in (self._urgent, self._ready):
                while ready and len(taken) < limit:
                    taken.append(ready.popitem(last=False)[0])
            self._working.update(dict.fromkeys(taken, now))
            self._changed.notify()  # another worker takes over the watch on what is ready or due next
            return taken

    def done(self, key: K, news: Callable[[K], bool] = lambda _: True) -> None:
        """End the work on a key; one that was added meanwhile is ready again, if ``news`` says that it has to be.

        Between what ``news`` looks at and the end of the work nothing can be added unseen.
        """
        with self._changed:
            self._working.pop(key, None)
            due = self._due.get(key)
            if due is not None:  # its timer may have passed unseen while the key was worked on
                self._serial += 1
                heapq.heappush(self._timers, (due, self._serial, key))
            if key in self._again:
                self._again.discard(key)
                if news(key):
                    self._due.pop(key, None)
                    self._urgent[key] = self._clock()
            self._changed.notify()

    def failed(self, key: K) -> float:
        """Count a failure of a key and return the seconds to wait before the next try."""
        with self._changed:
            times = self._failures.get(key, 0)
            self._failures[key] = times + 1
        most = min(self._cap, self._base * 2 ** min(times, 30))
        return self._uniform(most / 10, most)

    def succeeded(self, key: K) -> None:
        """Forget the failures of a key."""
        with self._changed:
            self._failures.pop(key, None)

    def close(self) -> None:
        """Let every ``take`` return."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def depth(self) -> int:
        """Return how many keys are ready and wait for a worker."""
        with self._changed:
            self._ripen()
            return len(self._urgent) + len(self._ready)

    def oldest(self) -> float:
        """Return for how many seconds the key that has waited or been worked on longest has done so; 0: none."""
        with self._changed:
            self._ripen()
            since = [next(iter(each.values())) for each in (self._urgent, self._ready) if each]
            since += self._working.values()
            return max(0.0, self._clock() - min(since)) if since else 0.0

    def _wait(self, wanted: int, timeout: float | None) -> bool:
        """Wait until ``wanted`` keys are ready; return whether any is."""
        end = None if timeout is None else self._clock() + timeout
        while not self._closed:
            self._ripen()
            found = len(self._urgent) + len(self._ready)
            left = None if end is None else end - self._clock()
            if found >= wanted or (left is not None and left <= 0):
                return found > 0
            ahead = self._timers[0][0] - self._clock() if self._timers else None
            self._changed.wait(min((w for w in (left, ahead) if w is not None), default=None))
        return False

    def _ripen(self) -> None:
        """Make keys ready whose time has come."""
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            at, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == at and key not in self._working:
                del self._due[key]
                self._ready[key] = at
