"""Errors: one line each, sorted together, short enough for an event, and never a dangerous code."""

import pytest

from driver.errors import (
    FORBIDDEN_CODES,
    STATUS_LIMIT,
    AccessDenied,
    Failures,
    Internal,
    InvalidInput,
    KeyferryError,
    NotFound,
    Throttled,
    Unavailable,
    all_of,
    status_of,
)


def test_a_status_names_object_cause_and_remedy_in_one_line() -> None:
    code, text = status_of(NotFound("db", "does not exist in eu-west-1", "create it"))
    assert (code, text) == ("NOT_FOUND", "keyferry: db: does not exist in eu-west-1: create it")


def test_all_failing_objects_are_named_sorted_and_once() -> None:
    error = all_of([NotFound("b", "x", "y"), AccessDenied("a", "x", "y"), NotFound("b", "x", "y")])
    assert status_of(error)[1] == "keyferry: a: x: y\nkeyferry: b: x: y"


def test_one_error_stays_itself() -> None:
    only = NotFound("a", "x", "y")
    assert all_of([only, only]) is only


def test_nested_failures_become_flat() -> None:
    inner = Failures([NotFound("b", "x", "y"), NotFound("c", "x", "y")])
    assert [error.subject for error in Failures([inner, NotFound("a", "x", "y")]).errors] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("errors", "code"),
    [
        ([Unavailable("a", "x", "y"), NotFound("b", "x", "y")], "NOT_FOUND"),
        ([Throttled("a", "x", "y"), Unavailable("b", "x", "y")], "INTERNAL"),
        ([AccessDenied("a", "x", "y"), InvalidInput("b", "x", "y")], "INVALID_ARGUMENT"),
    ],
    ids=["person before retry", "only outages", "input first"],
)
def test_the_code_of_several_is_that_which_needs_a_person_most(errors: list[KeyferryError], code: str) -> None:
    assert status_of(Failures(errors))[0] == code


def test_a_long_status_is_cut_at_a_line_and_counts_what_is_missing() -> None:
    error = Failures(NotFound(f"secret-{i:03}", "does not exist", "create it") for i in range(100))
    _, text = status_of(error)
    kept = text.splitlines()
    assert len(text) <= STATUS_LIMIT
    assert kept[0] == "keyferry: secret-000: does not exist: create it"
    assert kept[-1] == f"keyferry: and {100 - len(kept) + 1} more: see the provider's log"


def test_one_endless_line_is_cut() -> None:
    assert len(status_of(NotFound("x" * 5000, "y", "z"))[1]) == STATUS_LIMIT


def test_line_breaks_and_control_characters_of_a_name_cannot_forge_a_line() -> None:
    _, text = status_of(NotFound("a\nkeyferry: b\x1b[31m", "x", "y"))
    assert "\n" not in text
    assert "\x1b" not in text


def test_no_class_has_a_code_that_starts_pods_with_empty_volumes() -> None:
    def family(kind: type[KeyferryError]) -> set[type[KeyferryError]]:
        return {kind}.union(*(family(sub) for sub in kind.__subclasses__()))

    assert {kind.code for kind in family(KeyferryError)}.isdisjoint(FORBIDDEN_CODES)


def test_a_defect_tells_nothing_but_where_to_look() -> None:
    assert str(Internal()) == "keyferry: internal error: see the provider's log for the traceback and report it"
