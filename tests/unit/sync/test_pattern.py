"""Linear regular expressions, against Python's own."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import InvalidInput, KeyferryError, TooLarge
from driver.sync.pattern import Pattern
from tests.unit.sync.material import failure


def matches(pattern: str, text: str) -> bool:
    return Pattern("p", pattern).fullmatch(text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (".*", "anything", True),
        ("dev/team-a/.*", "dev/team-a/x", True),
        ("dev/team-a/.*", "prod/dev/team-a/x", False),
        ("^dev/.*$", "dev/x", True),
        ("^(dev|test)/.+$", "test/", False),
        (r"arn:aws:iam::\d{12}:role/app-[a-z0-9-]+", "arn:aws:iam::123456789012:role/app-x1", True),
        (r"arn:aws:iam::\d{12}:role/app-[a-z0-9-]+", "arn:aws:iam::12345678901:role/app-x1", False),
        (r"\/dev\/[^/]*", "/dev/a/b", False),
        ("a{0}b", "b", True),
        ("a{,2}", "a{,2}", True),
        ("[]", "", False),
        ("[^]", "x", True),
        (r"[\w.-]+", "a_b.c-d", True),
        (r"\W", "é", True),
        ("a.?b", "ab", True),
        ("()*x", "x", True),
        ("a|b|", "", True),
        ("x$y", "xy", False),
    ],
)
def test_matches_all_of_a_text(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    "pattern",
    ["(", ")", "a)", "[a", "*", "a**", "(?=x)", "(?<n>x)", r"\1", r"\b", "\\", "[z-a]", "a{2,1}", r"\u0041", "a{3}+"],
)
def test_what_is_not_supported_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput, match="pattern"):
        Pattern("p", pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "a" * 3_000,
        "(a{1000}){1000}",
        "a{999999999}",
        "a{0,999999999}",
        "(" * 60 + ")" * 60,
        "((((a{50}){50}){50}){50})",
    ],
)
def test_what_is_too_large_is_refused(pattern: str) -> None:
    with pytest.raises((TooLarge, InvalidInput)):
        Pattern("p", pattern)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "a*a*a*a*a*a*b", "(.*)*x", "(a?){60}a{60}b"])
def test_what_backtracks_elsewhere_is_quick_here(pattern: str) -> None:
    start = time.process_time()
    assert not matches(pattern, "a" * 2_000)
    assert time.process_time() - start < 3


def test_too_much_work_is_an_error() -> None:
    pattern = Pattern("p", "(a*){500}b")
    with pytest.raises(TooLarge, match="too much work"):
        pattern.fullmatch("a" * 2_048)


PARTS = st.sampled_from(
    ["a", "b", "/", ".", "*", "+", "?", "(", ")", "|", "[ab]", "[^a]", "{2}", "{1,}", "^", "$", r"\d"]
)


@given(st.lists(PARTS, max_size=8).map("".join), st.text(alphabet="ab/1", max_size=6))
def test_agrees_with_pythons_own(pattern: str, text: str) -> None:
    try:
        ours: bool | None = Pattern("p", pattern).fullmatch(text)
    except KeyferryError:
        return
    try:
        theirs = re.compile(pattern, re.ASCII)
    except re.error:
        return
    if re.search(r"[*+?}][*+?{]|\$.|.\^|\{", pattern):
        return  # possessive and lazy forms, and what is between ^ and $, are read in other ways
    assert ours == bool(theirs.fullmatch(text))


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_pattern_gives_an_answer_or_an_error_of_ours(pattern: str, text: str) -> None:
    assert "\n" not in failure(lambda: matches(pattern, text))
