"""When the next poll of an object is due: together with all others of its identity and interval.

Polls that come together are read together, twenty to a call; spread one by one they would cost a call each. What is
spread is the identities: each has a phase of its own, from the moment of its first poll less up to a tenth of the
interval by chance. No poll is ever later than one interval after the one before.
"""

import math
import random
import threading
import time
from collections.abc import Callable, Hashable

from cachetools import LRUCache

from driver.model import Clock


class Slots:
    """Lives as long as the process; safe for many threads."""

    def __init__(
        self, *, clock: Clock = time.monotonic, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._clock = clock
        self._uniform = uniform
        self._lock = threading.Lock()
        self._due: LRUCache[tuple[Hashable, float], float] = LRUCache(10_000)

    def next(self, group: Hashable, interval: float) -> float:
        """Return the moment, in the clock's seconds, of a group's next poll."""
        now = self._clock()
        with self._lock:
            due = self._due.get((group, interval))
            if due is None:
                due = now + interval * self._uniform(0.9, 1.0)
            elif due <= now:
                due += interval * (math.floor((now - due) / interval) + 1)
            self._due[group, interval] = due
            return due
