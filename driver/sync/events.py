"""What people see with ``kubectl describe``: Events (core v1), each told once while it holds."""

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal

from cachetools import LRUCache

from driver.errors import KeyferryError
from driver.sync.cluster import Api
from driver.sync.kinds import EVENTS
from driver.sync.plan import Origin

log = logging.getLogger(__name__)

MESSAGE = 1_000
"""Longest message in characters; the API server takes 1,024."""

AT_ONCE = 5
"""Events that one pass over one object may make."""

Told = tuple[Literal["Normal", "Warning"], str, str]
"""Type, reason and message."""


def warnings(error: KeyferryError) -> list[Told]:
    """Return a Warning for each failure that an error tells of."""
    return [("Warning", each.reason, str(each)) for each in error.errors]


class Events:
    """Lives as long as the process; safe for many threads."""

    def __init__(self, api: Api, *, wall: Callable[[], float] = time.time) -> None:
        self._api = api
        self._wall = wall
        self._lock = threading.Lock()
        self._told: LRUCache[str, frozenset[Told]] = LRUCache(10_000)

    def tell(self, origin: Origin, now: Iterable[Told], *, create: bool) -> None:
        """Make an Event of all that holds now for an object and did not at the last call; or only remember it.

        Never fails: an Event that cannot be written is not missed by anything that works.
        """
        holds = list(dict.fromkeys(now))[:AT_ONCE]
        with self._lock:
            before = self._told.pop(origin.uid, frozenset[Told]())
            if holds:
                self._told[origin.uid] = frozenset(holds)
        for told in holds:
            if create and told not in before:
                self._create(origin, told)

    def _create(self, origin: Origin, told: Told) -> None:
        kind, reason, message = told
        now = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{origin.name[:200]}.{uuid.uuid4().hex[:16]}", "namespace": origin.namespace},
            "involvedObject": {
                "apiVersion": origin.api_version,
                "kind": origin.kind,
                "namespace": origin.namespace,
                "name": origin.name,
                "uid": origin.uid,
            },
            "type": kind,
            "reason": reason,
            "message": message.replace("\n", "; ")[:MESSAGE],
            "source": {"component": "keyferry"},
            "reportingComponent": "keyferry",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            self._api.create(EVENTS, origin.namespace, body)
        except KeyferryError as error:
            log.debug("no Event: %s", error)
