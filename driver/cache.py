"""A bounded store of loaded things in which concurrent loads of one key are one flight.

A value is served without asking while it is fresh; after that it stays as the last good value. A failure is shared by
all who waited for it, and remembered for a moment: a storm of retries costs one call, and one time-out stays one. Knows
nothing of what it keeps; never does I/O; its clock is given.
"""

import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cachetools import LRUCache

from driver.errors import Internal, KeyferryError
from driver.model import Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Flight = Future[V | KeyferryError]
"""A load under way. Its result is the value or the failure: a failure is an answer, not an exception."""


class Entry(Generic[V]):
    """A kept value and the moments, in the cache's clock, at which it was loaded and stops being fresh."""

    __slots__ = ("fresh", "loaded", "value")

    def __init__(self, value: V, loaded: float, fresh: float) -> None:
        self.value = value
        self.loaded = loaded
        self.fresh = fresh


@dataclass(slots=True)
class Claim(Generic[K, V]):
    """What ``Cache.claim`` found for each key.

    ``ready``: fresh values. ``failed``: failures still remembered. ``pending``: loads that others have under way.
    ``owned``: keys that the claimer has to load and must then ``settle``, whatever happens.
    """

    ready: dict[K, Entry[V]] = field(default_factory=dict)
    failed: dict[K, KeyferryError] = field(default_factory=dict)
    pending: dict[K, Flight[V]] = field(default_factory=dict)
    owned: list[K] = field(default_factory=list)


class Cache(Generic[K, V]):
    """Least recently used goes first when ``weight`` (the sum of ``weigh`` over all values) would be passed.

    Lives as long as the process; safe for many threads. No call waits for another's load while it holds the lock.
    """

    def __init__(self, *, weight: int, weigh: Callable[[V], int], clock: Clock) -> None:
        self._lock = threading.Lock()
        self._kept: LRUCache[K, Entry[V]] = LRUCache(weight, getsizeof=lambda entry: weigh(entry.value))
        self._failed: LRUCache[K, tuple[KeyferryError, float]] = LRUCache(10_000)
        self._flights: dict[K, Flight[V]] = {}
        self._clock = clock

    def claim(self, keys: Iterable[K]) -> Claim[K, V]:
        """Sort keys into what is there, what is on its way, and what the caller now has to load."""
        now = self._clock()
        claim = Claim[K, V]()
        with self._lock:
            for key in keys:
                self._claim_one(key, now, claim)
        return claim

    def _claim_one(self, key: K, now: float, claim: Claim[K, V]) -> None:
        entry = self._kept.get(key)
        if entry is not None and now < entry.fresh:
            claim.ready[key] = entry
            return
        flight = self._flights.get(key)
        if flight is not None:
            claim.pending[key] = flight
            return
        failure = self._failed.get(key)
        if failure is not None and now < failure[1]:
            claim.failed[key] = failure[0]
            return
        self._flights[key] = Future()
        claim.owned.append(key)

    def settle(self, key: K, outcome: V | KeyferryError, seconds: float) -> None:
        """End the flight of an owned key: a value stays fresh, a failure remembered, for ``seconds``.

        A failure that may pass leaves the last good value in place; one that needs a person (denied, not there) takes
        it away, so that nothing is served later that its owner no longer may have.
        """
        now = self._clock()
        with self._lock:
            flight = self._flights.pop(key)
            if isinstance(outcome, KeyferryError):
                self._failed[key] = (outcome, now + seconds)
                if not outcome.retryable:
                    self._kept.pop(key, None)
            else:
                self._failed.pop(key, None)
                self._keep(key, Entry(outcome, now, now + seconds))
        flight.set_result(outcome)

    def _keep(self, key: K, entry: Entry[V]) -> None:
        self._kept.pop(key, None)
        try:
            self._kept[key] = entry
        except ValueError:  # one value heavier than the whole cache is served and not kept
            return

    def load(self, key: K, loader: Callable[[], V], seconds: Callable[[V | KeyferryError], float], timeout: float) -> V:
        """Return a fresh value of one key, loaded by ``loader`` if need be; callers at the same time share the load.

        ``seconds`` tells for how long an outcome holds; ``timeout`` is how long to wait for another's load. Raises the
        KeyferryError of the load, now or remembered, and TimeoutError.
        """
        claim = self.claim((key,))
        if claim.ready:
            return claim.ready[key].value
        if claim.failed:
            raise claim.failed[key]
        outcome = claim.pending[key].result(timeout) if claim.pending else self._fly(key, loader, seconds)
        if isinstance(outcome, KeyferryError):
            raise outcome
        return outcome

    def _fly(self, key: K, loader: Callable[[], V], seconds: Callable[[V | KeyferryError], float]) -> V | KeyferryError:
        outcome: V | KeyferryError = Internal()
        try:
            outcome = loader()
        except KeyferryError as error:
            outcome = error
        finally:
            self.settle(key, outcome, seconds(outcome))
        return outcome

    def last_good(self, key: K) -> Entry[V] | None:
        """Return what was last loaded for a key, fresh or not."""
        with self._lock:
            return self._kept.get(key)

    def drop(self, unwanted: Callable[[K, Entry[V]], bool]) -> int:
        """Forget all values for which ``unwanted`` is true; return how many."""
        with self._lock:
            keys = [key for key, entry in self._kept.items() if unwanted(key, entry)]
            for key in keys:
                del self._kept[key]
        return len(keys)

    def weight(self) -> float:
        """Return the weight of all that is kept."""
        return self._kept.currsize

    def __len__(self) -> int:
        return len(self._kept)
