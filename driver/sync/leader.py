"""Leader election on a Lease (coordination.k8s.io/v1), as client-go does it: one of several replicas writes.

Others' leases are judged by our own monotonic clock from the moment we saw them change, never by the times written in
them: clocks of nodes differ. We count as leader until ``renew`` seconds after the start of the last call that renewed
the lease, others wait ``lease`` seconds: between the two, every write that was under way has ended
(``cluster.ATTEMPT``).
"""

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from driver.errors import KeyferryError, NotFound
from driver.model import Clock
from driver.sync.answers import Conflict
from driver.sync.cluster import Api
from driver.sync.kinds import LEASES

log = logging.getLogger(__name__)

LEASE_NAME = "keyferry-sync"
"""The Lease that replicas share."""

LEASE = 15.0
"""Seconds after its last change for which a lease of another is respected."""

RENEW = 10.0
"""Seconds after its last renewal for which our own lease is relied on."""

RETRY = 2.0
"""Seconds between two tries, at least; up to a fifth more."""

WORRY = 3
"""Tries that fail in a row before the log tells."""


class Leader:
    """One candidate. ``run`` blocks in a thread of its own; ``is_leader`` is for every thread.

    ``identity`` must differ between replicas (the pod's name and uid).
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        name: str,
        identity: str,
        *,
        clock: Clock = time.monotonic,
        wall: Callable[[], float] = time.time,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._wall = wall
        self._uniform = uniform
        self._until = -math.inf
        self._known: dict[str, Any] = {}
        self._changed = clock()
        self.last_progress = clock()
        self._failures = 0

    def is_leader(self) -> bool:
        """Tell whether writing is safe now. Ask before every write."""
        return self._clock() < self._until

    def run(self, stop: threading.Event, pause: Callable[[float], object] | None = None) -> None:
        """Take and renew the lease until ``stop``, then give it back."""
        pause = pause or stop.wait
        while not stop.is_set():
            led = self.is_leader()
            self.attempt()
            if led != self.is_leader():
                log.info("leader" if self.is_leader() else "no longer leader", extra={"identity": self._identity})
            pause(self._uniform(RETRY, RETRY * 1.2))
        self.release()

    def attempt(self) -> None:
        """Take or renew the lease if that can be done now."""
        start = self._clock()
        try:
            if not self._known or not self._mine():
                self._look()
            if self._free():
                self._note(self._write())
                self._until = start + RENEW
            self.last_progress = self._clock()
            self._failures = 0
        except Conflict:
            self._known = {}  # someone else wrote: look again at the next try
            self.last_progress = self._clock()
        except KeyferryError as error:
            self._report(error)
        except Exception:
            log.exception("the lease is not understood")
            self._known = {}

    def _report(self, error: KeyferryError) -> None:
        self._failures += 1
        level = logging.WARNING if self._failures == WORRY or self._failures % 50 == 0 else logging.DEBUG
        log.log(level, "cannot hold the Lease %s/%s: %s", self._namespace, self._name, error)

    def release(self) -> None:
        """Stop leading and let the next one start at once."""
        led, self._until = self.is_leader(), -math.inf
        if led and self._known:
            try:
                self._write(holder="", seconds=1)
            except KeyferryError as error:
                log.debug("lease not given back: %s", error)

    def _look(self) -> None:
        try:
            self._note(self._api.get(LEASES, self._namespace, self._name))
        except NotFound:
            self._known = {}
        if not self._mine():
            self._until = -math.inf

    def _note(self, lease: Mapping[str, Any]) -> None:
        if lease["metadata"].get("resourceVersion") != self._version():
            self._changed = self._clock()
        self._known = dict(lease)

    def _version(self) -> object:
        return self._known.get("metadata", {}).get("resourceVersion")

    def _spec(self) -> Mapping[str, Any]:
        return self._known.get("spec") or {}

    def _mine(self) -> bool:
        return bool(self._spec().get("holderIdentity") == self._identity)

    def _free(self) -> bool:
        if not self._known or not self._spec().get("holderIdentity") or self._mine():
            return True
        return self._clock() - self._changed >= LEASE

    def _write(self, holder: str | None = None, seconds: int = int(LEASE)) -> Mapping[str, Any]:
        now = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = self._spec()
        kept = {name: spec[name] for name in ("acquireTime", "leaseTransitions") if name in spec}
        if not self._mine():
            kept = {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + bool(self._known)}
        body: dict[str, Any] = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                **kept,
                "holderIdentity": self._identity if holder is None else holder,
                "leaseDurationSeconds": seconds,
                "renewTime": now,
            },
        }
        if not self._known:
            return self._api.create(LEASES, self._namespace, body)
        body["metadata"]["resourceVersion"] = self._version()
        return self._api.replace(LEASES, self._namespace, self._name, body)
