"""The sync door at work: copies of the cluster → queue → passes, one worker for a key at a time.

A change of an object, of one of its Secrets (deleted or edited by hand) or of its namespace's annotations makes its key
ready at once; otherwise an object is polled at its interval, together with the others of its identity (``slots``).
Workers take ready keys in batches, so that one call to AWS reads for twenty objects. Only the leader works; one that
may no longer write stops at the next write.
"""

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from driver.errors import KeyferryError
from driver.fanout import Fanout
from driver.metrics.tables import LEASE, QUEUE, WATCH
from driver.model import Clock, Deadline, Read, SecretRef
from driver.sync import policy
from driver.sync.cluster import Api
from driver.sync.copies import Copies, Handlers, kinds
from driver.sync.identity import Identities
from driver.sync.kinds import Header, Whole
from driver.sync.leader import Leader
from driver.sync.plan import Mode, SyncPlan
from driver.sync.queue import Queue
from driver.sync.reading import Reader, Reading, identity_of
from driver.sync.reconcile import Observer, Pass, Ready, Reconciler
from driver.sync.report import Reports
from driver.sync.restart import DEBOUNCE, Restarts, WorkloadKey
from driver.sync.roster import Roster, SourceKey
from driver.sync.slots import Slots
from driver.sync.status import TargetOutcome
from driver.sync.targets import NotLeading, Targets

log = logging.getLogger(__name__)

BATCH = 60
"""Keys that a worker takes at a time: three full calls of BatchGetSecretValue when each wants one secret."""

LINGER = 0.02
"""Seconds that a worker waits for more keys once it has one."""

BUDGET = 15.0
"""Seconds in which the values of a batch must have been read."""

GIVE_UP = 2
"""Passes in a row for which the API server was not to be had, after which the rest of a batch is put off."""

RETRY = 30.0
"""Longest wait in seconds before a pass that failed in passing is tried again."""


class Controller:
    """Lives as long as the process. ``run`` blocks; the rest is for every thread.

    - ``reader``: a Resolver. Values must stay fresh for less than the shortest poll interval, and for the few seconds
      in which the objects of one identity are polled together: 5 s, or half of a shorter ``interval``.
    - ``leader``: None: this is the only replica.
    - ``providers``: names of ``spec.provider`` in SecretProviderClasses that mean keyferry.
    - ``restarts``: roll out workloads that ask for it.
    - ``observe``: told of every pass that looked at Secrets, for audit and metrics.
    """

    def __init__(  # noqa: PLR0913 - the door's settings, all by name
        self,
        api: Api,
        reader: Reader,
        *,
        region: str,
        leader: Leader | None = None,
        fanout: Fanout | None = None,
        namespaces: Sequence[str] = (),
        interval: float = 60.0,
        mode: Mode = Mode.AUTO,
        providers: Sequence[str] = ("aws", "keyferry"),
        rules: policy.Rules | None = None,
        controller_id: str = "",
        restarts: bool = False,
        workers: int = 8,
        observe: Observer | None = None,
        clock: Clock = time.monotonic,
        wall: Callable[[], float] = time.time,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._leader = leader
        self._interval = interval
        self._workers = workers
        self._clock = clock
        self._observe = observe
        self._queue: Queue[SourceKey] = Queue(base=0.25, cap=RETRY, clock=clock, uniform=uniform)
        self._rolls: Queue[WorkloadKey] = Queue(clock=clock, uniform=uniform)
        self._slots = Slots(clock=clock, uniform=uniform)
        self._restarts = Restarts(api, self.may_write, self._roll_later) if restarts else None
        told = self._restarts.workload if self._restarts else None
        handlers = Handlers(self._source_changed, self._secret_changed, self._namespace_changed, told)
        self._copies = Copies(api, handlers, namespaces=namespaces, clock=clock)
        self._roster = Roster(kinds(self._copies, region, mode, providers))
        identities = Identities(api, clock=clock)
        permissions = self._copies.permissions
        self._reconciler = Reconciler(
            self._roster,
            Reading(reader, identities, fanout or Fanout(), permissions, rules or policy.Rules()),
            Targets(api, self.may_write),
            Reports(api, self.may_write, wall=wall),
            secret_version=self._copies.secret_version,
            controller_id=controller_id,
            observe=self._observed,
        )

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``; then end what is under way, and give the lease back."""
        self._copies.start(stop)
        ending = threading.Event()
        threads = [threading.Thread(target=self._serve, args=(stop,), name=f"sync-{n}") for n in range(self._workers)]
        if self._restarts:
            threads.append(threading.Thread(target=self._roll, args=(stop,), name="restarts"))
        elector = threading.Thread(target=self._elect, args=(ending,), name="leader")
        elector.start()
        try:
            if self._copies.wait(stop):
                self._work(stop, threads)
        finally:
            ending.set()
            elector.join(10)

    def may_write(self) -> bool:
        """Tell whether this replica may write now."""
        return self._leader is None or self._leader.is_leader()

    def is_ready(self) -> bool:
        """Tell whether the cluster has been read once, so that a change is answered at once."""
        return self._copies.complete()

    def progress_age(self) -> float:
        """Return for how many seconds nothing has moved that should: a copy, the lease, a key that waits for a worker.

        Below two minutes all is well, whether the cluster is busy or idle.
        """
        return max(self.progress_ages().values())

    def progress_ages(self) -> Mapping[str, float]:
        """Return the same for each of them."""
        ages = {WATCH: self._copies.progress_age()}
        if self._leader is not None:
            ages[LEASE] = self._clock() - self._leader.last_progress
        if self.may_write():
            ages[QUEUE] = self._queue.oldest()
        return ages

    def failing(self) -> Mapping[str, int]:
        """Return how many objects fail, by reason. Only the leader knows."""
        return self._roster.failing() if self.may_write() else {}

    def oldest_stale(self) -> float:
        """Return the age in seconds of the oldest stale value that an object has; 0: none."""
        return self._roster.oldest_stale() if self.may_write() else 0.0

    def depth(self) -> int:
        """Return how many objects wait for a worker."""
        return self._queue.depth()

    def objects(self) -> int:
        """Return how many source objects are known."""
        return len(self._copies.sources())

    # what changes in the cluster

    def _source_changed(self, kind: str, before: Whole | None, after: Whole | None) -> None:
        found = after or before
        if found is None:
            return
        key = (kind, found.metadata.namespace, found.metadata.name)
        if after is None or self._roster.is_new(key, after):
            self._queue.add(key)

    def _secret_changed(self, before: Header | None, after: Header | None) -> None:
        found = after or before
        if found is None:
            return
        version = after.metadata.resource_version if after else ""
        for key in self._roster.concerned(found.metadata.namespace, found.metadata.name, version):
            self._queue.add(key)

    def _namespace_changed(self, before: Header | None, after: Header | None) -> None:
        if before and after and before.metadata.annotations != after.metadata.annotations:
            for key in self._copies.sources(after.metadata.name):
                self._roster.unsettle(key)
                self._queue.add(key)

    # workers

    def _elect(self, stop: threading.Event) -> None:
        if self._leader is not None:
            self._leader.run(stop)

    def _work(self, stop: threading.Event, threads: Sequence[threading.Thread]) -> None:
        """Let the workers work until ``stop``. What is to be done waits in the queue while another replica leads."""
        for thread in threads:
            thread.start()
        stop.wait()
        self._queue.close()
        self._rolls.close()
        for thread in threads:
            thread.join(20)

    def _serve(self, stop: threading.Event) -> None:
        while not stop.is_set():
            if not self.may_write():
                stop.wait(0.2)
                continue
            keys = self._queue.take(BATCH, linger=LINGER, timeout=5.0)
            if keys:
                self.batch(keys)

    def batch(self, keys: Sequence[SourceKey]) -> None:
        """Make a pass over each of several sources that were taken from the queue."""
        left = list(keys)
        failures = 0
        try:
            ready = self._reconciler.read(keys, Deadline(BUDGET, self._clock))
            while left and failures < GIVE_UP:
                failures = 0 if self._pass(left[0], ready.get(left[0])) else failures + 1
                self._queue.done(left.pop(0), self._has_news)
        except NotLeading:
            log.info("no longer the leader: stopped")
        except Exception:
            log.exception("a batch failed")
        finally:
            for key in left:
                self._put_off(key)
                self._queue.done(key)

    def _pass(self, key: SourceKey, ready: Ready | None) -> bool:
        """Make one pass; return False when the API server was not to be had. Raises NotLeading."""
        try:
            self._again(key, self._reconciler.reconcile(key, ready) if ready else None)
        except NotLeading:
            raise
        except KeyferryError as error:
            log.warning("cannot sync: %s", error, extra={"object": "/".join(key)})
            self._put_off(key)
            return False
        except Exception:
            log.exception("a pass failed", extra={"object": "/".join(key)})
            self._put_off(key)
        return True

    def _again(self, key: SourceKey, ended: Pass | None) -> None:
        """Say when a source comes again."""
        if ended is None or (ended.plan is None and not ended.retry):
            self._queue.forget(key)  # it comes when it changes
            return
        at = math.inf
        if ended.plan is not None:
            at = self._slots.next(identity_of(ended.plan), ended.plan.interval or self._interval)
        if ended.retry:
            at = min(at, self._clock() + self._queue.failed(key))
        else:
            self._queue.succeeded(key)
        self._queue.add_at(key, at)

    def _put_off(self, key: SourceKey) -> None:
        self._queue.add_at(key, self._clock() + self._queue.failed(key))

    def _has_news(self, key: SourceKey) -> bool:
        """Tell whether what was heard of while a source was worked on was more than the echo of our own writes."""
        return self._roster.is_unfinished(key, self._copies.secret_version)

    # restarts of workloads

    def _observed(self, plan: SyncPlan, reads: Mapping[SecretRef, Read], outcomes: Sequence[TargetOutcome]) -> None:
        if self._restarts:
            self._restarts.observe(plan, reads, outcomes)
        if self._observe:
            self._observe(plan, reads, outcomes)

    def _roll_later(self, key: WorkloadKey) -> None:
        self._rolls.add_at(key, self._clock() + DEBOUNCE)

    def _roll(self, stop: threading.Event) -> None:
        while not stop.is_set():
            for key in self._rolls.take(1, timeout=5.0):
                self._roll_one(key)

    def _roll_one(self, key: WorkloadKey) -> None:
        found = self._copies.workload(key)
        try:
            if found and self._restarts:
                self._restarts.roll(key, found)
            self._rolls.succeeded(key)
        except KeyferryError:
            self._rolls.add_at(key, self._clock() + self._rolls.failed(key))
        finally:
            self._rolls.done(key)
