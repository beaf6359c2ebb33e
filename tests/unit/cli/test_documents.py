"""Objects of YAML files: read as Kubernetes reads them, and written so that it reads the same."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from driver.cli import documents
from driver.cli.documents import Document

TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.sampled_from(("y", "012", "1e3", "~", "a\nb"))
)
OBJECTS = st.dictionaries(TEXTS, st.one_of(TEXTS, st.booleans(), st.integers(-9, 99), st.lists(TEXTS)), max_size=4)


def values(text: str) -> list[Any]:
    return [one.value if isinstance(one, Document) else one.cause for one in documents.load("-", text)]


@given(OBJECTS.filter(lambda found: "items" not in found))
def test_what_is_written_is_read_as_the_same(value: dict[str, Any]) -> None:
    text = documents.dump(value)
    assert values(text) == [value]
    assert yaml.safe_load(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param(
            "a: [yes, 0o17, 010, 1.5, ~, 2026-01-01, '1']", [True, 15, 8, 1.5, None, "2026-01-01", "1"], id="words"
        ),
        pytest.param("a: [{<<: {x: 1, y: 2}, x: 3}]", [{"x": 3, "true": 2}], id="a merge"),
        pytest.param("a: [{<<: [{x: 1}, {x: 2}]}]", [{"x": 1}], id="the first merge wins"),
    ],
)
def test_values_are_those_of_kubernetes(text: str, value: list[Any]) -> None:
    assert values(text.replace("y: 2", "'true': 2")) == [{"a": value}]


def test_a_field_has_its_line_and_one_that_is_missing_that_of_its_parent() -> None:
    (found,) = documents.load("-", "\na:\n  - b: 1\n  -\n    c: 2\n")
    assert isinstance(found, Document)
    paths = ("a", "a[0].b", "a[1].c", "a[1].d.e", "a[7]", "z", "")
    assert [found.line(path) for path in paths] == [2, 3, 5, 5, 2, 2, 2]


def test_the_objects_of_a_list_are_read_and_a_list_in_it_is_not() -> None:
    assert values("kind: List\nitems: [{a: b}, {kind: List, items: []}]") == [{"a": "b"}]


def test_what_is_nested_too_deeply_is_told() -> None:
    assert values("a: " + "[" * 200 + "]" * 200) == [documents.TOO_MUCH]
