"""The status of an ExternalSecret: the texts of kubernetes-external-secrets (KES), and what it did not tell.

``status`` is ``SUCCESS`` or ``ERROR, <message>`` with white space squeezed, as in KES 8.5.5. A status is only written
when it tells something new, so a steady cluster sees no writes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from driver.errors import STATUS_LIMIT, KeyferryError, all_of
from driver.sync.plan import ItemOutcome, Origin, Rendering

LIST_LIMIT = 200
"""Entries of ``items`` and of ``targets`` that are told."""

READY = "Ready"
NAMED = "NamedSecretsFilled"


class TargetOutcome(msgspec.Struct, frozen=True):
    """What became of one Secret. ``message`` is for skipped ones, ``error`` for refused and failed ones.

    ``keys`` counts the keys of ``data`` that are ours.
    """

    name: str
    state: Literal["written", "unchanged", "skipped", "failed"]
    keys: int = 0
    message: str = ""
    error: KeyferryError | None = None


def body(
    origin: Origin,
    outcome: Rendering | KeyferryError,
    targets: Sequence[TargetOutcome],
    *,
    now: str,
    previous: Mapping[str, Any] | None,
) -> dict[str, Any] | None:
    """Return the whole new ``status``; None when ``previous`` already tells the same, so that nothing is written.

    ``outcome`` is an error when parsing, the policy or the identity failed: what was known of items and targets
    stays. ``targets`` need not hold those of ``Rendering.withheld``. ``now`` is RFC 3339 text in UTC, ``previous`` the
    object's present ``.status``.

    ``lastSync`` is the time of the last success that changed anything the status tells (generation, versions, Secrets
    written): a failure does not move it, and a poll that finds nothing new does not write.
    """
    before: Mapping[str, Any] = previous or {}
    error = _error(outcome, targets)
    status: dict[str, Any] = {"status": f"ERROR, {_line(str(error))}" if error else "SUCCESS"}
    status["observedGeneration"] = origin.generation
    if isinstance(outcome, Rendering):
        withheld = [TargetOutcome(one.name, "failed", error=one.error) for one in outcome.withheld]
        told = {one.name: _target(one) for one in (*withheld, *targets) if one.state != "skipped"}
        status["targets"] = [told[name] for name in sorted(told)][:LIST_LIMIT]
        status["items"] = [_item(one) for one in outcome.items[:LIST_LIMIT]]
    else:
        status |= {name: before[name] for name in ("targets", "items") if name in before}
    status["conditions"] = _conditions(origin, error, targets, now, before)
    written = any(one.state == "written" for one in targets)
    if status == {name: value for name, value in before.items() if name != "lastSync"} and not written:
        return None
    last = before.get("lastSync") if error else now
    return {**status, "lastSync": last} if last else status


def _error(outcome: Rendering | KeyferryError, targets: Sequence[TargetOutcome]) -> KeyferryError | None:
    first = outcome.error if isinstance(outcome, Rendering) else outcome
    errors = [error for error in (first, *(one.error for one in targets)) if error]
    return all_of(errors) if errors else None


def _target(one: TargetOutcome) -> dict[str, Any]:
    state = {"name": one.name, "state": "failed" if one.error else "synced"}
    return {**state, "message": _line(str(one.error))} if one.error else {**state, "keys": one.keys}


def _item(one: ItemOutcome) -> dict[str, Any]:
    told = {"place": one.place, "key": one.key, "name": one.name, "property": one.property_path}
    told |= {"version": one.version, "message": _line(str(one.error)) if one.error else ""}
    return {name: value for name, value in told.items() if value}


def _conditions(
    origin: Origin,
    error: KeyferryError | None,
    targets: Sequence[TargetOutcome],
    now: str,
    before: Mapping[str, Any],
) -> list[dict[str, Any]]:
    gravest = error.gravest if error else None
    reason, message = (gravest.reason, _line(str(error))) if gravest else ("Synced", "the Secrets follow AWS")
    conditions = [_condition(READY, error is None, reason, message)]
    skipped = [one for one in targets if one.state == "skipped" and one.message]
    if skipped:
        text = "; ".join(f"{one.name}: {one.message}" for one in skipped)
        conditions.append(_condition(NAMED, False, "NotFilled", _line(text)))
    known = {str(one.get("type")): one for one in before.get("conditions") or () if isinstance(one, Mapping)}
    for condition in conditions:
        last = known.get(condition["type"], {})
        same = last.get("status") == condition["status"]
        condition["lastTransitionTime"] = last.get("lastTransitionTime", now) if same else now
        condition["observedGeneration"] = origin.generation
    return conditions


def _condition(kind: str, holds: bool, reason: str, message: str) -> dict[str, Any]:
    return {"type": kind, "status": "True" if holds else "False", "reason": reason, "message": message}


def _line(text: str) -> str:
    """Return a text on one line, as long as an Event may be."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    squeezed = " ".join(plain.split())
    return squeezed if len(squeezed) <= STATUS_LIMIT else squeezed[: STATUS_LIMIT - 3] + "..."
