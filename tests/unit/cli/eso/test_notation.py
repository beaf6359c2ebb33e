"""Times and property paths in both notations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.cli.eso import notation
from driver.sync import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h", 3600), ("1h30m", 5400), ("90s", 90), ("1.5m", 90), ("1h0m0s", 3600), ("500ms", 0.5), ("0", 0), ("0s", 0)],
)
def test_a_go_duration_is_read(text: str, seconds: float) -> None:
    assert notation.from_time(text) == seconds


@pytest.mark.parametrize("text", ["", "1", "1d", "h", "1h x", "-1h"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert notation.from_time(text) is None


@given(st.integers(1, 10**6))
def test_a_time_comes_back(seconds: int) -> None:
    assert notation.from_time(notation.to_time(seconds)) == seconds


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5), min_size=1, max_size=3)
)
def test_the_steps_of_a_property_path_come_back(steps: list[str]) -> None:
    path = notation.joined(steps)
    back = notation.from_gjson(notation.to_gjson(path))
    assert back is not None
    assert values.steps(back) == values.steps(path) == steps


@pytest.mark.parametrize("path", ["a.#", "a.*", "a|b", "@reverse", "a..b", ".a", "a.", "#(a=1)"])
def test_a_search_in_json_is_no_property_path(path: str) -> None:
    assert notation.from_gjson(path) is None
