"""Restarting workloads whose Secrets changed, when they ask for it.

A Deployment, StatefulSet or DaemonSet with the annotation ``keyferry.dev/restart-on-change: NAME[,NAME…]`` is rolled
out anew when AWS has another version of what those Secrets are made from. What it was last rolled out for is a digest
of AWS's version ids, kept on the workload itself: never a value or a hash of one, the same in every replica and after
every restart of keyferry, so nothing is rolled out twice and a failed try costs nothing. The first observation is only
recorded. Changes that come together are one roll-out: it waits until nothing has changed for a while.
"""

import hashlib
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from driver.errors import KeyferryError
from driver.model import Read, SecretRef
from driver.sync.cluster import Api
from driver.sync.informer import Key
from driver.sync.kinds import WORKLOADS, Header
from driver.sync.plan import PREFIX, SyncPlan
from driver.sync.status import TargetOutcome

log = logging.getLogger(__name__)

ON_CHANGE = PREFIX + "restart-on-change"
"""On a workload: the names of Secrets, separated by commas."""

VERSIONS = PREFIX + "secret-versions"
"""On a workload and on its pod template: the digest that it was last rolled out for."""

DEBOUNCE = 10.0
"""Seconds without a change before a roll-out."""

WorkloadKey = tuple[str, str, str]
"""Kind, namespace and name."""


def secrets_of(found: Header) -> tuple[str, ...]:
    """Return the names of the Secrets for which a workload asks to be restarted."""
    text = (found.metadata.annotations or {}).get(ON_CHANGE, "")
    return tuple(sorted({name.strip() for name in text.split(",") if name.strip()}))


class Restarts:
    """Lives as long as the process; safe for many threads.

    ``later`` is called with the workloads that may have to be rolled out, each time one of their Secrets is observed
    with other versions than before; call ``roll`` for them once nothing has changed for a while.
    """

    def __init__(self, api: Api, may_write: Callable[[], bool], later: Callable[[WorkloadKey], object]) -> None:
        self._api = api
        self._may_write = may_write
        self._later = later
        self._lock = threading.Lock()
        self._digests: dict[Key, str] = {}
        self._users: dict[Key, set[WorkloadKey]] = defaultdict(set)

    def observe(self, plan: SyncPlan, reads: Mapping[SecretRef, Read], outcomes: Sequence[TargetOutcome]) -> None:
        """Take note of the versions that a plan's Secrets are made from."""
        digest = _digest(f"{ref.store}:{ref.name}:{reads[ref].value.version}" for ref in reads)
        for outcome in outcomes:
            if outcome.state in ("written", "unchanged"):
                self._note((plan.origin.namespace, outcome.name), digest)

    def _note(self, secret: Key, digest: str) -> None:
        with self._lock:
            if self._digests.get(secret) == digest:
                return
            self._digests[secret] = digest
            users = list(self._users.get(secret, ()))
        for user in users:
            self._later(user)

    def workload(self, kind: str, before: Header | None, after: Header | None) -> None:
        """Take note of a workload that came, changed or went."""
        for found in filter(None, (before, after)):
            key = (kind, found.metadata.namespace, found.metadata.name)
        with self._lock:
            for name in secrets_of(before) if before else ():
                self._users[key[1], name].discard(key)
            for name in secrets_of(after) if after else ():
                self._users[key[1], name].add(key)
        if after and (before is None or secrets_of(before) != secrets_of(after)):
            self._later(key)

    def roll(self, key: WorkloadKey, found: Header) -> None:
        """Record what a workload's Secrets are made from, and roll it out if that is not what was recorded before.

        Does nothing as long as one of its Secrets was never observed. Raises KeyferryError.
        """
        names = secrets_of(found)
        with self._lock:
            digests = [self._digests.get((key[1], name)) for name in names]
        if not names or None in digests or not self._may_write():
            return
        digest = _digest(f"{name}:{each}" for name, each in zip(names, digests, strict=True))
        before = (found.metadata.annotations or {}).get(VERSIONS)
        if before == digest:
            return
        patch: dict[str, object] = {"metadata": {"annotations": {VERSIONS: digest}}}
        if before is not None:
            log.info("rolling out", extra={"workload": "/".join(key)})
            patch["spec"] = {"template": {"metadata": {"annotations": {VERSIONS: digest}}}}
        try:
            self._api.merge(WORKLOADS[key[0]], key[1], key[2], patch)
        except KeyferryError as error:
            log.warning("not rolled out: %s", error)
            raise


def _digest(parts: Iterable[str]) -> str:
    text = "\n".join(sorted(parts))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
