"""Property paths and texts of JSON values."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import Unusable
from driver.sync import values
from tests.unit.sync.material import failure

DOCUMENT = {
    "plain": "text",
    "a.b": "literal",
    "a": {"b": "path", "c": [{"d": "deep"}], "e.f": "quoted"},
    "": "empty",
    "n": None,
    "list": ["x", "y"],
}


def found(path: str, document: object = None) -> str:
    content = json.dumps(DOCUMENT if document is None else document).encode()
    return values.text(values.lookup("s", values.decode("s", content, "property"), path))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param("plain", "text", id="same: a key"),
        pytest.param("a.b", "literal", id="same: the key of exactly that name wins over the path"),
        pytest.param("a.c[0].d", "deep", id="same: dots and an index"),
        pytest.param("a.c.0.d", "deep", id="same: an index after a dot"),
        pytest.param('a["e.f"]', "quoted", id="same: a quoted step"),
        pytest.param("a['e.f']", "quoted", id="same: a quoted step, single quotes"),
        pytest.param("[a][b]", "path", id="same: a bare word in brackets"),
        pytest.param("n", "null", id="same: null is the text null"),
        pytest.param("list", '["x","y"]', id="same: a list is JSON text"),
        pytest.param("", "empty", id="same: the empty key"),
    ],
)
def test_finds_what_kes_finds(path: str, text: str) -> None:
    assert found(path) == text


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("toString", id="different: an inherited name is no property"),
        pytest.param("list.length", id="different: nor is the length of a list"),
        pytest.param("plain.0", id="different: nor is a letter of a text"),
        pytest.param("constructor.name", id="different: nor is a chain of them"),
        pytest.param("a.nope", id="same: nothing there"),
        pytest.param("list[2]", id="same: beyond the list"),
        pytest.param("list.00", id="same: an index has one spelling"),
        pytest.param("list[-1]", id="same: no index from the end"),
    ],
)
def test_tells_that_a_property_is_not_there(path: str) -> None:
    with pytest.raises(Unusable, match="Could not find property"):
        found(path)


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ("1.0", "1.0"),
        ("9007199254740993", "9007199254740993"),
        ("1e400", "1e400"),
        ("true", "true"),
        ("null", "null"),
        ('{"b": 1, "a": [null, "é"]}', '{"b":1,"a":[null,"é"]}'),
        ('"\\u00e9"', "é"),
    ],
)
def test_text_is_as_stored(stored: str, text: str) -> None:
    assert values.text(values.decode("s", stored.encode(), "property")) == text


@pytest.mark.parametrize("content", [b"", b"plain", b"NaN", b"{", b"{} {}", b"\xef\xbb\xbf{}", b"[" * 100_000])
def test_what_is_not_json_is_an_error_without_the_value(content: bytes) -> None:
    with pytest.raises(Unusable) as caught:
        values.decode("s", content, "property")
    assert "plain" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=8))
def test_spreading_loses_and_adds_nothing(document: dict[str, object]) -> None:
    content = json.dumps(document, ensure_ascii=True).encode()
    spread = values.members("s", values.decode("s", content, "dataFrom"))
    assert set(spread) == set(document)
    for key, member in document.items():
        text = spread[key].decode()
        assert text == member if isinstance(member, str) else json.loads(text) == member


@given(JSON, st.lists(st.text(alphabet="ab0", min_size=1, max_size=2) | st.integers(0, 3), max_size=4))
def test_dotted_paths_find_what_a_plain_walk_finds(document: object, steps: list[str | int]) -> None:
    expected: object = document
    try:
        for step in map(str, steps):
            if isinstance(expected, list):
                expected = expected[int(step)] if step in {str(i) for i in range(len(expected))} else expected["no"]  # type: ignore[call-overload]  # fails as a missing key does
            else:
                expected = expected[step]  # type: ignore[index]  # fails as a missing key does
    except (KeyError, TypeError):
        expected = LookupError
    path = ".".join(map(str, steps))
    if not steps or (isinstance(document, dict) and path in document):
        return
    try:
        actual = json.loads(json.dumps(json.loads("".join(values._written(_walked(document, path))))))
    except Unusable:
        actual = LookupError
    assert actual == expected


def _walked(document: object, path: str) -> values.Json:
    return values.lookup("s", values.decode("s", json.dumps(document).encode(), "property"), path)


@given(st.text(max_size=40))
def test_any_property_path_is_found_or_refused(path: str) -> None:
    assert "\n" not in failure(lambda: found(path))


@given(st.binary(max_size=60), st.booleans(), st.booleans())
def test_is_binary_undoes_base64(content: bytes, url_safe: bool, padded: bool) -> None:
    text = base64.urlsafe_b64encode(content) if url_safe else base64.b64encode(content)
    assert values.unpacked("s", text if padded else text.rstrip(b"=")) == content


def test_is_binary_leaves_binary_values_and_refuses_other_text() -> None:
    assert values.unpacked("s", b"\xff\x00") == b"\xff\x00"
    with pytest.raises(Unusable, match="not base64"):
        values.unpacked("s", b"geheim!")
