"""Bringing about one Secret that is wanted: look at the live one, decide, write, and tell what became of it."""

from collections.abc import Callable
from dataclasses import dataclass

from driver.errors import Internal, KeyferryError, NotFound, Unavailable
from driver.sync import manifest
from driver.sync.answers import Conflict, OwnedByOthers
from driver.sync.cluster import Api, Json
from driver.sync.events import Told, warnings
from driver.sync.kinds import SECRETS
from driver.sync.plan import Desired
from driver.sync.status import TargetOutcome

TRIES = 3
"""How often a Secret that others change at the same moment is looked at anew."""


class NotLeading(Exception):
    """Another replica may write, we may not: it does the work."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a Secret. ``version`` is its resourceVersion as last seen, empty: there is none."""

    outcome: TargetOutcome
    version: str
    told: tuple[Told, ...] = ()


class Targets:
    """Writes Secrets, as long as ``may_write`` says so. Lives as long as the process; safe for many threads."""

    def __init__(self, api: Api, may_write: Callable[[], bool]) -> None:
        self._api = api
        self._may_write = may_write

    def settle(self, desired: Desired) -> Settled:
        """Bring a Secret about. Raises NotLeading, and Unavailable when the API server is not to be had."""
        error: KeyferryError = Internal()
        version = ""
        for _ in range(TRIES):
            try:
                live = self._live(desired)
                version = _version(live)
                decision = manifest.decide(desired, live)
                if not isinstance(decision, manifest.Write):
                    return _unwritten(desired, decision, version)
                written = self._write(desired, decision)
            except OwnedByOthers as conflict:
                return _failed(desired, conflict, version)
            except Conflict as conflict:
                error = conflict
            except Unavailable:
                raise
            except KeyferryError as refused:
                return _failed(desired, refused, version)
            else:
                return Settled(TargetOutcome(desired.name, "written", len(desired.data)), _version(written))
        return _failed(desired, error, version)

    def _live(self, desired: Desired) -> Json | None:
        try:
            return self._api.get(SECRETS, desired.namespace, desired.name)
        except NotFound:
            return None

    def _write(self, desired: Desired, decision: manifest.Write) -> Json:
        body = decision.body
        if decision.first is not None:
            self._check()
            patched = self._api.merge(SECRETS, desired.namespace, desired.name, decision.first)
            body = {**body, "metadata": {**body["metadata"], "resourceVersion": _version(patched)}}
        self._check()
        return self._api.apply(SECRETS, desired.namespace, desired.name, body, force=decision.force)

    def _check(self) -> None:
        if not self._may_write():
            raise NotLeading


def _version(live: Json | None) -> str:
    return str(live["metadata"]["resourceVersion"]) if live else ""


def _failed(desired: Desired, error: KeyferryError, version: str) -> Settled:
    outcome = TargetOutcome(desired.name, "failed", error=error)
    return Settled(outcome, version, tuple(warnings(error)))


def _unwritten(desired: Desired, decision: manifest.Decision, version: str) -> Settled:
    if isinstance(decision, manifest.Refuse):
        return _failed(desired, decision.error, version)
    if isinstance(decision, manifest.Skip):
        told: tuple[Told, ...] = (("Normal", decision.reason, decision.message),) if decision.message else ()
        return Settled(TargetOutcome(desired.name, "skipped", message=decision.message), version, told)
    return Settled(TargetOutcome(desired.name, "unchanged", len(desired.data)), version)
