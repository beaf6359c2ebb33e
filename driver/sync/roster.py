"""The roster of source objects: each as a pass finds it, and what is remembered of it between two passes."""

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from driver.errors import KeyferryError
from driver.sync import source
from driver.sync.informer import Key
from driver.sync.kinds import Resource, Whole
from driver.sync.plan import Origin, SyncPlan

SourceKey = tuple[str, str, str]
"""Kind, namespace and name of a source."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of source. ``find`` returns an object as last seen; ``has_status`` says whether it has a status."""

    api_version: str
    name: str
    resource: Resource
    parse: Callable[[Mapping[str, Any]], SyncPlan]
    find: Callable[[Key], Whole | None]
    has_status: bool


@dataclass(slots=True)
class Known:
    """What is remembered of a source. ``mark`` tells what its plan was made from."""

    mark: object
    origin: Origin
    plan: SyncPlan | KeyferryError
    controller_id: str = ""
    """Whose object it is, as its spec says, even if the rest of that is wrong."""
    settled: object = None
    """All that the last complete pass depended on; None: there was none."""
    unsettled: int = 0
    """How often it was said that something else had changed that a pass depends on."""
    versions: dict[str, str] = field(default_factory=dict)
    """resourceVersions of its Secrets, as we last saw them."""
    wrote: tuple[str, dict[str, Any]] | None = None
    """The object's resourceVersion when we last wrote its status, and that status."""
    failing: str = ""
    """The reason for which the last complete pass failed; empty: it did not."""
    stale: float = 0.0
    """Age in seconds of the oldest stale value that the last pass had; 0: none."""


class Roster:
    """Plans are made once for each change of an object. Lives as long as the process.

    Safe for many threads, as long as ``refresh`` is called for a key by one thread at a time.
    """

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._known: dict[SourceKey, Known] = {}
        self._users: dict[Key, set[SourceKey]] = defaultdict(set)
        self._lock = threading.Lock()

    def kind(self, key: SourceKey) -> Kind:
        """Return a source's kind."""
        return self._kinds[key[0]]

    def concerned(self, namespace: str, secret: str, version: str) -> list[SourceKey]:
        """Return the sources for which this version of a Secret is news (empty: it is gone)."""
        with self._lock:
            users = list(self._users.get((namespace, secret), ()))
            known = [(key, self._known.get(key)) for key in users]
        return [key for key, each in known if each is not None and each.versions.get(secret, "") != version]

    def is_new(self, key: SourceKey, found: Whole) -> bool:
        """Tell whether an object differs from what its plan was made from."""
        known = self._known.get(key)
        return known is None or known.mark != _mark(found)

    def unsettle(self, key: SourceKey) -> None:
        """Let the next pass over a source be a complete one; one that is under way does not count."""
        known = self._known.get(key)
        if known is not None:
            known.unsettled += 1
            known.settled = None

    def is_unfinished(self, key: SourceKey, secret_version: Callable[[str, str], str]) -> bool:
        """Tell whether a source, or one of its Secrets, is not as the last complete pass left it."""
        known, live = self._known.get(key), self._kinds[key[0]].find(key[1:])
        if known is None or live is None or known.settled is None or known.mark != _mark(live):
            return True
        return any(secret_version(key[1], name) != known.versions.get(name, "") for name in _targets(known))

    def refresh(self, key: SourceKey) -> tuple[Whole, Known] | None:
        """Return an object as last seen and what is known of it; None: it is gone or going, and forgotten."""
        kind = self._kinds[key[0]]
        live = kind.find(key[1:])
        if live is None or live.metadata.deletion_timestamp:
            self._forget(key)
            return None
        mark = _mark(live)
        known = self._known.get(key)
        if known is None or known.mark != mark:
            known = self._remember(key, _made(kind, live, mark, known))
        return live, known

    def __len__(self) -> int:
        return len(self._known)

    def failing(self) -> Mapping[str, int]:
        """Return how many sources fail, by reason."""
        return Counter(each.failing for each in list(self._known.values()) if each.failing)

    def oldest_stale(self) -> float:
        """Return the age in seconds of the oldest stale value in use; 0: none."""
        return max((each.stale for each in list(self._known.values())), default=0.0)

    def _remember(self, key: SourceKey, known: Known) -> Known:
        with self._lock:
            self._unlink(key, self._known.get(key))
            self._known[key] = known
            for name in _targets(known):
                self._users[known.origin.namespace, name].add(key)
        return known

    def _forget(self, key: SourceKey) -> None:
        with self._lock:
            self._unlink(key, self._known.pop(key, None))

    def _unlink(self, key: SourceKey, known: Known | None) -> None:
        for name in _targets(known):
            users = self._users[key[1], name]
            users.discard(key)
            if not users:
                del self._users[key[1], name]


def _targets(known: Known | None) -> tuple[str, ...]:
    return known.plan.targets if known and isinstance(known.plan, SyncPlan) else ()


def _mark(found: Whole) -> object:
    meta = found.metadata
    return meta.uid, meta.generation, tuple(sorted((meta.annotations or {}).items()))


def _made(kind: Kind, live: Whole, mark: object, before: Known | None) -> Known:
    document = _document(kind, live)
    origin = source.origin(document)
    try:
        plan: SyncPlan | KeyferryError = kind.parse(document)
    except KeyferryError as error:
        plan = error
    whose = _controller_id(document)
    if before is None or before.origin.uid != origin.uid:
        return Known(mark, origin, plan, whose)
    return Known(mark, origin, plan, whose, versions=dict(before.versions), wrote=before.wrote)


def _controller_id(document: Mapping[str, Any]) -> str:
    spec = document.get("spec") or document.get("secretDescriptor")
    found = spec.get("controllerId") if isinstance(spec, dict) else None
    return found if isinstance(found, str) else ""


def _document(kind: Kind, live: Whole) -> dict[str, Any]:
    meta = live.metadata
    metadata = {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid, "generation": meta.generation}
    metadata |= {"annotations": meta.annotations or {}, "labels": meta.labels or {}}
    parts = {"spec": live.spec, "secretDescriptor": live.descriptor}
    there = {name: found for name, raw in parts.items() if (found := msgspec.json.decode(raw)) is not None}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **there}
