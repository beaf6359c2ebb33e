"""A copy of the cluster's objects of one kind, kept up to date by list and watch.

List → watch from the list's version → whenever the watch cannot go on from where it was (410 as a status or inside the
stream, an answer that is not understood) list anew and find by comparison what was added, changed and deleted
meanwhile. A stream that says nothing for too long, even no bookmark, is ended and taken up again: a stalled connection
costs less than a minute. While the API server is away, tries are spaced by a jittered back-off of at most 30 s.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from driver.errors import KeyferryError, NotFound, Unavailable
from driver.model import Clock
from driver.sync.answers import Gone
from driver.sync.cluster import Api
from driver.sync.kinds import Header, Resource

log = logging.getLogger(__name__)

WATCH = 45.0
"""Seconds after which the API server is asked to end a watch; it sends a bookmark just before."""

SILENCE = 50.0
"""Seconds without a byte after which a watch counts as stalled."""

BACKOFF = 30.0
"""Longest wait between two tries in seconds."""

RESUMES = 3
"""Breaks without progress in between after which the next one leads to a new list."""

HASTE = 1.0
"""A watch that ends sooner than this many seconds without a change counts as a break, so that no tight loop results."""

Key = tuple[str, str]
"""Namespace and name."""

T = TypeVar("T", bound=Header)
Handler = Callable[[T | None, T | None], object]
"""Told of a change: the object before and after it; None: there was none, there is none."""


class Upstream(Protocol[T]):
    """Where objects come from; raises KeyferryError."""

    def list(self) -> Iterator[tuple[list[T], str]]:
        """Yield pages of objects with the version from which to watch."""
        ...

    def watch(self, version: str) -> Iterator[tuple[str, T | None, str]]:
        """Yield changes: type, object (None for OPEN and BOOKMARK), version."""
        ...


class Remote(Generic[T]):
    """A kind of object on an API server, in one namespace or (empty) in all; ``fields`` is a field selector."""

    def __init__(
        self,
        api: Api,
        resource: Resource,
        form: type[T],
        *,
        namespace: str = "",
        fields: str = "",
        seconds: float = WATCH,
        silence: float = SILENCE,
    ) -> None:
        self._api = api
        self._resource = resource
        self._form = form
        self._where = {"namespace": namespace, "fields": fields}
        self._seconds = seconds
        self._silence = silence

    def list(self) -> Iterator[tuple[list[T], str]]:
        """Yield pages of objects with the version from which to watch."""
        return self._api.list(self._resource, self._form, **self._where)

    def watch(self, version: str) -> Iterator[tuple[str, T | None, str]]:
        """Yield changes: type, object (None for OPEN and BOOKMARK), version."""
        return self._api.watch(
            self._resource,
            self._form,
            version,
            seconds=self._seconds,
            silence=self._silence,
            **self._where,
        )


class Informer(Generic[T]):
    """The copy. ``run`` blocks in a thread of its own; all else is safe for many threads.

    ``keep`` returns what is kept of an object, None for one that is of no interest; the handler is told of kept ones
    only. An object that stops being of interest counts as deleted.
    """

    def __init__(
        self,
        name: str,
        upstream: Upstream[T],
        handler: Handler[T],
        *,
        keep: Callable[[T], T | None] = lambda found: found,
        clock: Clock = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.name = name
        self.synced = threading.Event()
        self.last_progress = clock()
        self._upstream = upstream
        self._handler = handler
        self._keep = keep
        self._clock = clock
        self._uniform = uniform
        self._objects: dict[Key, T] = {}
        self._failures = 0
        self._broken = clock()
        self._seen = ""

    def get(self, key: Key) -> T | None:
        """Return an object as last seen."""
        return self._objects.get(key)

    def names(self) -> list[Key]:
        """Return the keys of all objects."""
        return list(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def run(self, stop: threading.Event, pause: Callable[[float], object] | None = None) -> None:
        """Keep the copy until ``stop``; ``pause`` waits for some seconds (default: by ``stop``)."""
        pause = pause or stop.wait
        version = ""
        while not stop.is_set():
            try:
                version = version or self._relist()
                version = self._follow(version, stop)
                self._failures = 0
            except Gone:
                version = ""
                self._failed()
            except NotFound:
                version = ""
                self._absent(pause)
            except Unavailable as error:
                version = self._resumable(version)
                self._report(error)
            except KeyferryError as error:
                version = ""
                self._report(error)
            except Exception:
                log.exception("an informer failed", extra={"watched": self.name})
                version = ""
                self._failed()
            if self._failures:
                pause(self._delay())

    def _absent(self, pause: Callable[[float], object]) -> None:
        """Take it that there are no objects, for now: the kind is unknown, its CRD is not installed."""
        self._take({})
        pause(self._uniform(BACKOFF / 2, BACKOFF))

    def _resumable(self, version: str) -> str:
        """Return the version to go on from after a break: that of the last change that was seen whole.

        After several breaks without any progress it is empty: what cannot be read there is then gone around.
        """
        return self._seen if version and self._failures < RESUMES else ""

    def _delay(self) -> float:
        # in proportion to the outage: a server that was away for five seconds is seen within three
        away = self._clock() - self._broken if self._failures > 1 else 0.0
        most = min(BACKOFF, max(0.25, away / 2))
        return self._uniform(most / 4, most)

    def _failed(self) -> None:
        if not self._failures:
            self._broken = self._clock()
        self._failures += 1

    def _report(self, error: KeyferryError) -> None:
        self._failed()
        level = logging.WARNING if self._failures in (3, 10) or self._failures % 50 == 0 else logging.DEBUG
        log.log(level, "cannot watch %s: %s", self.name, error)

    def _progress(self) -> None:
        self.last_progress = self._clock()
        self._failures = 0

    def _relist(self) -> str:
        found: dict[Key, T] = {}
        version = ""
        for objects, version in self._upstream.list():  # noqa: B007 - the last page's version is the list's
            found.update((key_of(kept), kept) for kept in map(self._keep, objects) if kept is not None)
        self._seen = version
        self._take(found)
        return version

    def _take(self, found: dict[Key, T]) -> None:
        """Put a complete list in the place of the copy, and tell the differences."""
        before, self._objects = self._objects, dict(found)
        for key, new in found.items():
            old = before.pop(key, None)
            if old is None or old.metadata.uid != new.metadata.uid:
                self._tell(None, new)
            elif old.metadata.resource_version != new.metadata.resource_version:
                self._tell(old, new)
        for old in before.values():
            self._tell(old, None)
        self.synced.set()
        self.last_progress = self._clock()  # the failures are over only when a watch has succeeded too

    def _follow(self, version: str, stop: threading.Event) -> str:
        self._seen = version
        start = self._clock()
        for kind, found, version_of in self._upstream.watch(version):
            if kind == "OPEN":
                self.last_progress = self._clock()
                continue
            if found is not None:
                self._change(kind, found)
            self._seen = version_of or self._seen
            self._progress()
            if stop.is_set():
                break
        if self._seen == version and self._clock() - start < HASTE and not stop.is_set():
            raise Unavailable(self.name, "the API server ended the watch at once", "check the API server's health")
        self._progress()
        return self._seen

    def _change(self, kind: str, found: T) -> None:
        key = key_of(found)
        before = self._objects.get(key)
        kept = None if kind == "DELETED" else self._keep(found)
        if kept is not None:
            self._objects[key] = kept
            self._tell(before, kept)
        elif before is not None:
            del self._objects[key]
            self._tell(before, None)

    def _tell(self, before: T | None, after: T | None) -> None:
        try:
            self._handler(before, after)
        except Exception:
            log.exception("a handler failed", extra={"watched": self.name})


def key_of(found: Header) -> Key:
    """Return an object's key."""
    return found.metadata.namespace, found.metadata.name
