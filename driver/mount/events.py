"""When a pod deserves a Warning Event: its rotation keeps failing, or it got stale values.

Driver 1.6.0 hides a Mount that fails after the first from kubelet: no event, no restart, old files for as long as it
lasts. So the provider tells it. A failed first Mount is told by kubelet itself.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache

from driver.errors import KeyferryError, status_of
from driver.model import Clock, Pod
from driver.mount.provider import Outcome

log = logging.getLogger(__name__)

FAILURES = 3
"""Failures in a row of a volume that was mounted before: at kubelet's pace some four minutes."""
INTERVAL = 600.0
"""At most one Event per pod in this many seconds."""
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
    """Decides from the outcomes of Mounts. Bounded: of more than 4,096 volumes the longest unseen are forgotten."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._volumes: LRUCache[tuple[str, str], _Volume] = LRUCache(_PODS)
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

    def _told_lately(self, uid: str) -> bool:
        told = self._told.get(uid)
        return told is not None and self._clock() - told < INTERVAL

    def _reason(self, outcome: Outcome) -> tuple[str, str] | None:
        volume = self._volumes.setdefault((outcome.pod.uid, outcome.provider_class), _Volume())
        if outcome.error is not None:
            volume.failures += 1
            failing = volume.mounted and volume.failures >= FAILURES
            return (ROTATION_FAILED, _failing(outcome, outcome.error, volume.failures)) if failing else None
        volume.mounted, volume.failures = True, 0
        if outcome.stale:
            message = f"{outcome.stale} values of {outcome.provider_class} are the last known ones: AWS does not answer"
            return STALE, message
        return None


def _failing(outcome: Outcome, error: KeyferryError, failures: int) -> str:
    return (
        f"{outcome.provider_class} was not refreshed {failures} times in a row, its files stay: {status_of(error)[1]}"
    )


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
