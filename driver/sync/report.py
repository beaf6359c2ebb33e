"""Telling what became of an object: its status, and Events."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from driver.errors import KeyferryError, Unavailable
from driver.sync import status
from driver.sync.answers import Conflict
from driver.sync.cluster import Api
from driver.sync.events import Events, Told, warnings
from driver.sync.kinds import Resource, Whole
from driver.sync.plan import Rendering, SyncPlan
from driver.sync.roster import Known
from driver.sync.targets import NotLeading, Settled

log = logging.getLogger(__name__)


class Reports:
    """Writes, as long as ``may_write`` says so. Lives as long as the process; safe for many threads."""

    def __init__(self, api: Api, may_write: Callable[[], bool], *, wall: Callable[[], float] = time.time) -> None:
        self._api = api
        self._may_write = may_write
        self._wall = wall
        self._events = Events(api, wall=wall)

    def tell(
        self,
        resource: Resource | None,
        live: Whole,
        known: Known,
        outcome: Rendering | KeyferryError,
        settled: Sequence[Settled],
    ) -> bool:
        """Write the status (``resource`` None: it has none) and Events, each only if it says something new.

        Returns False when others were writing at the same moment: to be done again. Raises NotLeading, and Unavailable
        when the API server is not to be had.
        """
        # a status outlives this process: what it tells already, Events have told too
        news = resource is None
        if resource is not None:
            try:
                news = self._status(resource, live, known, outcome, settled)
            except Conflict as error:
                log.debug("status: %s", error)
                return False
        self._events.tell(known.origin, _told(known.plan, outcome, settled), create=news and self._may_write())
        return True

    def _status(
        self,
        resource: Resource,
        live: Whole,
        known: Known,
        outcome: Rendering | KeyferryError,
        settled: Sequence[Settled],
    ) -> bool:
        previous = _previous(live, known)
        now = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        targets = [one.outcome for one in settled]
        body = status.body(known.origin, outcome, targets, now=now, previous=previous)
        if body is None:
            return False
        if not self._may_write():
            raise NotLeading
        origin = known.origin
        patch = {"status": replacing(previous, body)}
        try:
            self._api.merge(resource, origin.namespace, origin.name, patch, sub="status")
        except (Unavailable, Conflict):
            raise
        except KeyferryError as error:
            log.info("status not written: %s", error)
        else:
            known.wrote = (live.metadata.resource_version, body)
        return True


def _previous(live: Whole, known: Known) -> dict[str, Any]:
    """Return the status as it is: what we wrote, as long as the copy of the object is still from before that."""
    if known.wrote is not None and known.wrote[0] == live.metadata.resource_version:
        return known.wrote[1]
    found: dict[str, Any] = msgspec.json.decode(live.status) or {}
    return found


def _told(plan: SyncPlan | KeyferryError, outcome: Rendering | KeyferryError, settled: Iterable[Settled]) -> list[Told]:
    error = outcome if isinstance(outcome, KeyferryError) else outcome.error
    found = warnings(error) if error else []
    found += [told for one in settled for told in one.told]
    if isinstance(plan, SyncPlan):
        found += [("Normal", "NoEffect", note) for note in plan.notes]
    return found


def replacing(before: Any, after: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return the merge patch (RFC 7386) that makes ``after`` out of ``before``."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    gone = dict.fromkeys(before.keys() - after.keys())
    return gone | {name: replacing(before.get(name), value) for name, value in after.items()}
