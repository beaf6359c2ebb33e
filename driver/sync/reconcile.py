"""One pass over one object: what it asks for, may it, what is read, what becomes of its Secrets, what its status says.

Level-based: a pass starts from the object as it is and from nothing that an event said. A pass that finds all it
depends on as it was at the last complete one (the object, its namespace's permissions, the versions at AWS, the
Secrets' resourceVersions) ends there, without any Kubernetes call. The status is written last, after what it tells of.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from driver.errors import Failures, KeyferryError
from driver.model import Deadline, Read, SecretRef, Source
from driver.sync import render
from driver.sync.kinds import Whole
from driver.sync.plan import Reads, Rendering, SyncPlan
from driver.sync.reading import Reading
from driver.sync.report import Reports
from driver.sync.roster import Known, Roster, SourceKey
from driver.sync.status import TargetOutcome
from driver.sync.targets import Settled, Targets

Observer = Callable[[SyncPlan, Mapping[SecretRef, Read], Sequence[TargetOutcome]], object]
"""Told of every pass that looked at Secrets: the plan, what was read for it, what became of them."""


@dataclass(frozen=True, slots=True)
class Pass:
    """How a pass ended. ``plan`` None: it could not be made out. ``retry``: something may work soon that did not."""

    plan: SyncPlan | None
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Ready:
    """A source that was read for, and what came of it: the one error for which nothing was read, or its plan's."""

    known: Known
    unsettled: int
    reads: Reads | KeyferryError


class Reconciler:
    """Lives as long as the process; safe for many threads, as long as a key is with one thread at a time.

    ``secret_version`` returns a Secret's resourceVersion as last seen, empty if there is none.
    """

    def __init__(
        self,
        roster: Roster,
        reading: Reading,
        targets: Targets,
        reports: Reports,
        *,
        secret_version: Callable[[str, str], str],
        controller_id: str = "",
        observe: Observer | None = None,
    ) -> None:
        self._roster = roster
        self._reading = reading
        self._targets = targets
        self._reports = reports
        self._secret_version = secret_version
        self._controller_id = controller_id
        self._observe = observe

    def read(self, keys: Iterable[SourceKey], deadline: Deadline) -> dict[SourceKey, Ready]:
        """Return what is to be had from AWS for several sources; those that are gone or not ours are left out."""
        known: dict[SourceKey, Known] = {}
        for key in keys:
            found = self._roster.refresh(key)
            if found and self._is_ours(found[1]):
                known[key] = found[1]
        unsettled = {key: each.unsettled for key, each in known.items()}
        plans = {key: each.plan for key, each in known.items() if isinstance(each.plan, SyncPlan)}
        reads: dict[SourceKey, Reads | KeyferryError] = {
            key: each.plan for key, each in known.items() if isinstance(each.plan, KeyferryError)
        }
        reads.update(self._reading.read(plans, deadline))
        return {key: Ready(each, unsettled[key], reads[key]) for key, each in known.items()}

    def reconcile(self, key: SourceKey, ready: Ready) -> Pass | None:
        """Make an object's Secrets and status what they should be; None: there is nothing to come back for.

        ``ready`` is what ``read`` returned for it just before. Raises NotLeading, and Unavailable when the API server
        is not to be had.
        """
        found = self._roster.refresh(key)
        if found is None:
            return None
        live, known = found
        plan = known.plan if isinstance(known.plan, SyncPlan) else None
        if known is not ready.known:
            return Pass(plan, retry=True)  # it changed since the reading
        known.stale = _oldest_stale(ready.reads)
        unfinished = False
        if self._ground(known, ready.reads, {}) != known.settled:
            known.settled = None
            settled, told = self._work(key, live, known, ready.reads)
            unfinished = not told or any(_may_pass(one.outcome.error) for one in settled)
            if not unfinished and known.unsettled == ready.unsettled:
                seen = {one.outcome.name: one.version for one in settled}
                known.settled = self._ground(known, ready.reads, seen)
        return Pass(plan, unfinished or _passing(ready.reads))

    def _is_ours(self, known: Known) -> bool:
        return known.controller_id == self._controller_id

    def _work(
        self, key: SourceKey, live: Whole, known: Known, reads: Reads | KeyferryError
    ) -> tuple[list[Settled], bool]:
        settled: list[Settled] = []
        outcome = self._rendered(known, reads)
        if isinstance(outcome, Rendering):
            for desired in outcome.secrets:
                settled.append(self._targets.settle(desired))
                known.versions[desired.name] = settled[-1].version
        known.failing = _reason(outcome, settled)
        kind = self._roster.kind(key)
        told = self._reports.tell(kind.resource if kind.has_status else None, live, known, outcome, settled)
        self._tell_observer(known, reads, settled)
        return settled, told

    def _rendered(self, known: Known, reads: Reads | KeyferryError) -> Rendering | KeyferryError:
        if isinstance(known.plan, KeyferryError):
            return known.plan
        return reads if isinstance(reads, KeyferryError) else render.render(known.plan, reads)

    def _tell_observer(self, known: Known, reads: Reads | KeyferryError, settled: Sequence[Settled]) -> None:
        if self._observe and isinstance(known.plan, SyncPlan) and not isinstance(reads, KeyferryError):
            good = {ref: read for ref, read in reads.items() if isinstance(read, Read)}
            self._observe(known.plan, good, [one.outcome for one in settled])

    def _ground(self, known: Known, reads: Reads | KeyferryError, seen: Mapping[str, str]) -> object:
        """Return all that the outcome of a pass depends on; of Secrets, what ``seen`` says goes before the copy."""
        if isinstance(known.plan, KeyferryError):
            return str(known.plan)
        namespace = known.origin.namespace
        versions = [seen.get(name) or self._secret_version(namespace, name) for name in known.plan.targets]
        return _versions(reads), versions


def _reason(outcome: Rendering | KeyferryError, settled: Sequence[Settled]) -> str:
    """Return the reason of what most needs a person; empty: all is well."""
    first = outcome.error if isinstance(outcome, Rendering) else outcome
    errors = [error for error in (first, *(one.outcome.error for one in settled)) if error]
    return Failures(errors).gravest.reason if errors else ""


def _oldest_stale(reads: Reads | KeyferryError) -> float:
    found = () if isinstance(reads, KeyferryError) else reads.values()
    return max((each.age for each in found if isinstance(each, Read) and each.source is Source.STALE), default=0.0)


def _versions(reads: Reads | KeyferryError) -> object:
    if isinstance(reads, KeyferryError):
        return str(reads)
    return tuple((ref, str(r) if isinstance(r, KeyferryError) else _version(r)) for ref, r in reads.items())


def _version(read: Read) -> object:
    value = read.value
    children = tuple((name, child.version, child.stamp) for name, child in value.children)
    return value.arn, value.version, value.stamp, children


def _passing(reads: Reads | KeyferryError) -> bool:
    """Tell whether something failed that may work soon."""
    return any(_may_pass(each) for each in ([reads] if isinstance(reads, KeyferryError) else reads.values()))


def _may_pass(found: object) -> bool:
    return isinstance(found, KeyferryError) and any(each.retryable for each in found.errors)
