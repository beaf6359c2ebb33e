"""The status of an ExternalSecret."""

from typing import Any

import msgspec
import pytest

from driver.errors import AccessDenied, KeyferryError, NotFound, Unusable
from driver.sync.plan import ItemOutcome, Origin, Rendering, Withheld
from driver.sync.status import TargetOutcome, body

ORIGIN = Origin("kubernetes-client.io/v1", "ExternalSecret", "shop", "app", "u", 3)
ITEM = ItemOutcome("data[0]", "k", "n", version="v1")
GOOD = Rendering((), (ITEM,))
WRITTEN = TargetOutcome("app", "written", keys=1)
UNCHANGED = TargetOutcome("app", "unchanged", keys=1)
NOON, LATER = "2026-01-01T12:00:00Z", "2026-01-01T13:00:00Z"
MISSING = NotFound("k", "it does not\n exist", "create  it")


def status(
    outcome: Rendering | KeyferryError = GOOD,
    *targets: TargetOutcome,
    now: str = NOON,
    previous: dict[str, Any] | None = None,
) -> dict[str, Any]:
    found = body(ORIGIN, outcome, targets or (WRITTEN,), now=now, previous=previous)
    assert found is not None
    return found


def test_success_has_kes_fields_and_ours() -> None:
    assert status() == {
        "status": "SUCCESS",
        "lastSync": NOON,
        "observedGeneration": 3,
        "targets": [{"name": "app", "state": "synced", "keys": 1}],
        "items": [{"place": "data[0]", "key": "k", "name": "n", "version": "v1"}],
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Synced",
                "message": "the Secrets follow AWS",
                "lastTransitionTime": NOON,
                "observedGeneration": 3,
            }
        ],
    }


def test_error_is_one_squeezed_line() -> None:
    found = status(MISSING)
    assert found["status"] == "ERROR, k: it does not exist: create it"
    assert "lastSync" not in found
    assert found["conditions"][0]["reason"] == "NotFound"


def test_a_poll_that_finds_nothing_new_writes_nothing() -> None:
    assert body(ORIGIN, GOOD, [UNCHANGED], now=LATER, previous=status()) is None


def test_a_failure_that_stays_writes_nothing() -> None:
    assert body(ORIGIN, MISSING, [], now=LATER, previous=status(MISSING)) is None


def test_a_write_of_the_secret_moves_last_sync() -> None:
    assert status(GOOD, WRITTEN, now=LATER, previous=status())["lastSync"] == LATER


def test_a_failure_does_not_move_last_sync_and_keeps_what_was_known() -> None:
    found = status(MISSING, now=LATER, previous=status())
    assert (found["lastSync"], found["items"], found["targets"]) == (NOON, status()["items"], status()["targets"])


def test_the_transition_time_is_that_of_the_change() -> None:
    failed = status(MISSING, now=LATER, previous=status())
    assert failed["conditions"][0]["lastTransitionTime"] == LATER
    other = status(AccessDenied("k", "denied", "allow it"), now="later still", previous=failed)
    assert other["conditions"][0]["lastTransitionTime"] == LATER


def test_a_new_generation_is_told() -> None:
    newer = msgspec.structs.replace(ORIGIN, generation=4)
    found = body(newer, GOOD, [UNCHANGED], now=LATER, previous=status())
    assert found is not None
    assert (found["observedGeneration"], found["lastSync"]) == (4, LATER)


def test_withheld_and_failed_targets_are_told_with_their_message() -> None:
    failing = Rendering((), (ITEM,), (Withheld("app", MISSING),))
    refused = TargetOutcome("b", "failed", error=Unusable("Secret b", "it has data", "empty it"))
    found = status(failing, refused)
    assert [(one["name"], one["state"]) for one in found["targets"]] == [("app", "failed"), ("b", "failed")]
    assert "Secret b: it has data" in found["status"]


def test_an_item_tells_its_own_failure() -> None:
    failing = Rendering((), (ITEM, ItemOutcome("data[1]", "j", error=MISSING)))
    assert status(failing)["items"][1] == {
        "place": "data[1]",
        "key": "j",
        "message": str(status(MISSING)["status"])[7:],
    }


def test_a_skipped_named_secret_is_a_condition_and_no_failure() -> None:
    found = status(GOOD, WRITTEN, TargetOutcome("d", "skipped", message="create it"))
    assert found["status"] == "SUCCESS"
    assert [one["name"] for one in found["targets"]] == ["app"]
    assert [(one["type"], one["status"]) for one in found["conditions"]] == [
        ("Ready", "True"),
        ("NamedSecretsFilled", "False"),
    ]


def test_a_silent_skip_tells_nothing() -> None:
    assert status(GOOD, WRITTEN, TargetOutcome("d", "skipped")) == status()


def test_what_kes_left_there_is_replaced() -> None:
    found = status(GOOD, UNCHANGED, previous={"status": "SUCCESS", "lastSync": "2020", "observedGeneration": 3})
    assert found["lastSync"] == NOON


@pytest.mark.parametrize("count", [201, 5_000])
def test_a_status_is_bounded(count: int) -> None:
    errors = tuple(ItemOutcome(f"data[{i}]", f"k{i}", error=NotFound(f"k{i}", "gone", "make it")) for i in range(count))
    found = status(Rendering((), errors))
    assert len(found["items"]) == 200
    assert len(found["status"]) < 1_020
