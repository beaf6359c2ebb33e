"""Which volumes fail, and when a pod deserves a Warning Event: its rotation keeps failing, or it got stale values.

Driver 1.6.0 hides a Mount that fails after the first from kubelet: no event, no restart, old files for as long as it
lasts. So the provider tells it. A failed first Mount is told by kubelet itself. The driver's request does not say which
of the two it is (driver 1.6.0 sends the same one): a volume counts as mounted once this process has filled it. After a
start, one that still has to be filled again is ``unknown``: within two minutes all that work are known.
"""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cachetools import LRUCache, TTLCache

from driver.errors import KeyferryError, status_of
from driver.metrics.tables import UNKNOWN, YES
from driver.model import Clock, Pod
from driver.mount.provider import Outcome

log = logging.getLogger(__name__)

FAILURES = 3
"""Failures in a row of a volume that was mounted before: at kubelet's pace some four minutes."""
INTERVAL = 600.0
"""At most one Event per pod in this many seconds."""
FAILING = 240.0
"""Seconds for which a volume counts as failing without being asked for again: kubelet does so within 150."""
MESSAGE_LIMIT = 1_024
"""Longest message of an Event in characters (Kubernetes API, Event v1)."""
_PODS = 4_096
_WAITING = 64

ROTATION_FAILED = "SecretRotationFailed"
STALE = "StaleSecretServed"


@dataclass(slots=True)
class _Volume:
    mounted: bool = False
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Warn:
    """An Event to publish."""

    pod: Pod
    reason: str
    message: str


class Judge:
    """Decides from the outcomes of Mounts. Bounded: of more than 4,096 volumes the longest unseen are forgotten.

    ``rotation_failed`` is told the reason of every failure of a volume that was mounted before.
    """

    def __init__(
        self, clock: Clock = time.monotonic, *, rotation_failed: Callable[[str], object] = lambda _: None
    ) -> None:
        self._clock = clock
        self._rotation_failed = rotation_failed
        self._lock = threading.Lock()
        self._volumes: LRUCache[tuple[str, str], _Volume] = LRUCache(_PODS)
        self._failing: TTLCache[tuple[str, str], tuple[str, str]] = TTLCache(_PODS, FAILING, clock)
        self._told: LRUCache[str, float] = LRUCache(_PODS)

    def judge(self, outcome: Outcome) -> Warn | None:
        """Return the Event that an outcome calls for, if it does."""
        with self._lock:
            found = self._reason(outcome)
            if found is None or self._told_lately(outcome.pod.uid):
                return None
            self._told[outcome.pod.uid] = self._clock()
        reason, message = found
        return Warn(outcome.pod, reason, message[:MESSAGE_LIMIT])

    def failing(self) -> Mapping[tuple[str, ...], float]:
        """Return how many volumes fail, by whether they were mounted before (``yes``, ``unknown``) and why."""
        with self._lock:
            return Counter(self._failing.values())

    def _told_lately(self, uid: str) -> bool:
        told = self._told.get(uid)
        return told is not None and self._clock() - told < INTERVAL

    def _reason(self, outcome: Outcome) -> tuple[str, str] | None:
        key = (outcome.pod.uid, outcome.provider_class)
        volume = self._volumes.setdefault(key, _Volume())
        if outcome.error is not None:
            self._note(key, volume, outcome.error)
            failing = volume.mounted and volume.failures >= FAILURES
            return (ROTATION_FAILED, _failing(outcome, outcome.error, volume.failures)) if failing else None
        self._failing.pop(key, None)
        volume.mounted, volume.failures = True, 0
        return (STALE, _stale(outcome)) if outcome.stale else None

    def _note(self, key: tuple[str, str], volume: _Volume, error: KeyferryError) -> None:
        reason = error.gravest.reason
        volume.failures += 1
        self._failing[key] = (YES if volume.mounted else UNKNOWN, reason)
        if volume.mounted:
            self._rotation_failed(reason)


def _failing(outcome: Outcome, error: KeyferryError, failures: int) -> str:
    what = f"SecretProviderClass {outcome.provider_class}: not refreshed {failures} times in a row"
    return f"{what}, the pod keeps its old files: {status_of(error)[1]}"


def _stale(outcome: Outcome) -> str:
    what = f"SecretProviderClass {outcome.provider_class}: {outcome.stale} of its values"
    return f"{what} could not be read from AWS, the last known ones are served"


class Events:
    """Publishes Events from a thread of its own. A Mount never waits for it: what does not fit in the queue is lost."""

    def __init__(self, publish: Callable[[Pod, str, str], object], judge: Judge) -> None:
        self._publish = publish
        self._judge = judge
        self._queue: queue.Queue[Warn | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    def tell(self, outcome: Outcome) -> None:
        """Take an outcome."""
        event = self._judge.judge(outcome)
        if event is None:
            return
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            log.warning("an Event was lost: the API server is too slow", extra={"reason": event.reason})

    def close(self, timeout: float = 2.0) -> None:
        """Publish what waits, at most ``timeout`` seconds long."""
        try:
            self._queue.put(None, timeout=timeout)
        except queue.Full:
            return
        self._thread.join(timeout)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._publish(event.pod, event.reason, event.message)
            except KeyferryError as error:
                log.warning("an Event could not be published: %s", error)
            except Exception:
                log.exception("an Event could not be published")
