import contextlib
import time
from itertools import pairwise
from string import ascii_lowercase

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from driver.errors import InvalidInput
from driver.spc import goyaml

NAMES = {"objectname": "objectName", "objectalias": "objectAlias", "objecttype": "objectType"}


def first_item(text: str) -> dict[str, str | None]:
    """Return the texts of the first object as Go sees them."""
    root = goyaml.load(text)
    assert isinstance(root, goyaml.Sequence)
    item = root.items[0]
    assert isinstance(item, goyaml.Mapping)
    found = item.known(NAMES)
    return {name: field.value.go for name, field in found.items() if isinstance(field.value, goyaml.Scalar)}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        pytest.param("- objectName: a", {"objectName": "a"}, id="block"),
        pytest.param('[{"objectName": "a"}]', {"objectName": "a"}, id="json"),
        pytest.param("- OBJECTNAME: a", {"objectName": "a"}, id="letter case is free"),
        pytest.param("- {OBJECTNAME: a, objectName: b}", {"objectName": "b"}, id="exact case wins"),
        pytest.param("- {objectName: b, OBJECTNAME: a}", {"objectName": "b"}, id="exact case wins in any order"),
        pytest.param("- {objectName: a, objectname: b}", {"objectName": "b"}, id="but not over all lower case"),
        pytest.param("- {objectName: a, objectName: b}", {"objectName": "b"}, id="last of equal keys"),
        pytest.param("- {x: &a b, objectName: *a}", {"objectName": "b"}, id="alias"),
        pytest.param("- {<<: {objectName: b}, objectName: a}", {"objectName": "a"}, id="merge, then key"),
        pytest.param("- {objectName: a, <<: {objectName: b}}", {"objectName": "b"}, id="key, then merge"),
        pytest.param("- {<<: [{objectName: a}, {objectName: b}]}", {"objectName": "a"}, id="first of merged list"),
        pytest.param('- {objectName: a, "<<": {objectName: b}}', {"objectName": "a"}, id="quoted << is a key"),
        pytest.param("---\n- objectName: a\n---\n- objectName: [", {"objectName": "a"}, id="first document only"),
        pytest.param("- objectName: a\n...\n]", {"objectName": "a"}, id="nothing after the document's end"),
        pytest.param("- objectName: !!binary aGVsbG8=", {"objectName": "hello"}, id="binary"),
        pytest.param("- objectName: !!str 0123", {"objectName": "0123"}, id="tagged text"),
        pytest.param("- objectName: !!int 0123", {"objectName": "83"}, id="tagged number"),
        pytest.param("- objectName: ! 0123", {"objectName": "0123"}, id="tagged as not plain"),
        pytest.param("- objectName: !own 0123", {"objectName": "0123"}, id="foreign tag"),
        pytest.param("- objectName: '0123'", {"objectName": "0123"}, id="quoted"),
        pytest.param("- objectName: 0123", {"objectName": "83"}, id="plain"),
        pytest.param("- objectName: |\n    a\n    b\n", {"objectName": "a\nb\n"}, id="literal block"),
        pytest.param("- {objectName: a, objectAlias: ~}", {"objectName": "a", "objectAlias": None}, id="null"),
        pytest.param("- {1: x, true: y, objectName: a}", {"objectName": "a"}, id="keys that are not words"),
    ],
)
def test_reads_objects_as_the_go_decoder_does(text: str, fields: dict[str, str | None]) -> None:
    assert first_item(text) == fields


@pytest.mark.parametrize("text", ["", "# only a comment", "---", "\n\n"])
def test_a_text_without_content_has_no_root(text: str) -> None:
    root = goyaml.load(text)
    assert root is None or (isinstance(root, goyaml.Scalar) and root.go is None)


def test_what_was_written_is_kept_beside_what_go_sees() -> None:
    assert goyaml.load("0600") == goyaml.Scalar(go="384", raw="0600", line=1)


@pytest.mark.parametrize(("written", "text"), [("yes", "yes"), ("0123", "0123"), ("~", ""), ("!!int 0123", "83")])
def test_the_meant_text_is_the_written_one_unless_a_tag_says_otherwise(written: str, text: str) -> None:
    node = goyaml.load(written)
    assert isinstance(node, goyaml.Scalar)
    assert node.text == text


def test_every_node_knows_its_line() -> None:
    root = goyaml.load("# list\n- objectName: a\n  objectAlias: b\n\n- objectName: c\n")
    assert isinstance(root, goyaml.Sequence)
    lines = [(item.line, [field.line for field in item.fields]) for item in root.items if hasattr(item, "fields")]
    assert lines == [(2, [2, 3]), (5, [5])]


CHAIN = "- &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"- &{later} [{','.join(['*' + earlier] * 9)}]\n" for earlier, later in pairwise(ascii_lowercase[:12])
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("- a: b\n\tc: d", "objects (line 2): not valid YAML: a tab in the indentation", id="tab"),
        pytest.param("- a: b\n- a: b: c", "objects (line 2): not valid YAML", id="two colons"),
        pytest.param('{"a"', "not valid YAML", id="open brace"),
        pytest.param("- {", "not valid YAML", id="open entry"),
        pytest.param("- a: \x01", "a control character", id="control character"),
        pytest.param("- \ud800", "half of a surrogate pair", id="lone surrogate"),
        pytest.param("- *nobody", "an alias names an anchor that does not exist", id="unknown anchor"),
        pytest.param("- &a {b: *a}", "an anchor contains itself", id="recursive anchor"),
        pytest.param("- {<<: 3}", "<< needs a mapping", id="merge of a number"),
        pytest.param("- {~: 3}", "a key is not a text", id="null key"),
        pytest.param("- {[a]: 3}", "a key is not a text", id="list as key"),
        pytest.param("- a: !!binary '%'", "is not base64", id="bad binary"),
        pytest.param("[" * 65 + "]" * 65, "nested deeper than 64 levels", id="depth"),
        pytest.param("[" * 100_000, "(line 1)", id="endless depth"),
        pytest.param("- {}\n" * 1_001, "objects (line 1001): more than 1000 entries", id="entries"),
        pytest.param("- objectName: a\n" * 10_000, "objects (line 1001): more than 1000 entries", id="10,000 entries"),
        pytest.param("- " + "x" * 262_144, "longer than 256 KiB", id="characters"),
        pytest.param("- " + "é" * 131_072, "longer than 256 KiB", id="bytes"),
        pytest.param("x" * 1_000_000, "longer than 256 KiB", id="1 MB"),
        pytest.param(CHAIN, "more than 30000 values, with aliases written out", id="alias bomb"),
        pytest.param("- [" + "a," * 120_000, "more than 30000 values", id="flat bomb"),
        pytest.param("- {" + "a: 1, " * 40_000 + "}", "more than 30000 values", id="key bomb"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line_in_little_time(text: str, message: str) -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidInput) as caught:
        goyaml.load(text)
    # The promise is 0.1 s; a busy machine may take longer
    assert time.perf_counter() - started < 1.0
    assert message in str(caught.value)


def test_the_limit_of_entries_holds_for_the_outermost_list_alone() -> None:
    assert goyaml.load("- [" + "a, " * 2_000 + "]\n" + "- {}\n" * 999) is not None


@given(st.text(max_size=200) | st.text(alphabet="-:[]{}&*<ab'\"! \n#|>?%,", max_size=60))
@example("- &a [*a]")
@example("%YAML 1.2\n---\n- yes")
@example("? : x")
def test_any_text_is_read_or_refused_in_our_words(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        goyaml.load(text)
