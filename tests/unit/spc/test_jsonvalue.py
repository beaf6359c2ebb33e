"""Reading JSON and searching it: what comes out, what is refused, and that nothing takes long. Scenarios 20 and 21."""

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import InvalidInput, KeyferryError, TooLarge, Unusable
from driver.spc.jsonvalue import Document, excerpt

CANARY = "hunter2-canary"


def search(content: bytes | str, path: str) -> bytes:
    return Document("app/db", content.encode() if isinstance(content, str) else content).search(path)


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        pytest.param('"hello"', b"hello", id="string"),
        pytest.param('""', b"", id="empty string is a value"),
        pytest.param('"a\\u0000b"', b"a\0b", id="string with NUL"),
        pytest.param('"caf\\u00e9 \u65e5"', "caf\u00e9 \u65e5".encode(), id="non-ASCII"),
        pytest.param('"\\ud83d\\ude00"', "\U0001f600".encode(), id="surrogate pair"),
        pytest.param('"x\\ud800y"', "x\ufffdy".encode(), id="lone surrogate becomes U+FFFD"),
        pytest.param(b'"x\xffy"', "x\ufffdy".encode(), id="invalid UTF-8 becomes U+FFFD"),
        pytest.param("3306", b"3306", id="number (AWS provider: error)"),
        pytest.param("1.0", b"1.0", id="1.0 keeps its zero"),
        pytest.param("1e400", b"1e400", id="1e400 is beyond floats"),
        pytest.param("-0", b"-0", id="-0"),
        pytest.param("1E+2", b"1E+2", id="exponent as stored"),
        pytest.param("9223372036854775808", b"9223372036854775808", id="2**63"),
        pytest.param("0.1000", b"0.1000", id="trailing zeros"),
        pytest.param("9" * 60_000, b"9" * 60_000, id="60,000 digits"),
        pytest.param("true", b"true", id="true (AWS provider: error)"),
        pytest.param("false", b"false", id="false"),
        pytest.param(
            '{"b": 1.0, "a": [null, "\u00e9"]}', '{"b":1.0,"a":[null,"\u00e9"]}'.encode(), id="object as compact JSON"
        ),
        pytest.param('[ 1 , {} , [] , "<&>" ]', b'[1,{},[],"<&>"]', id="array as compact JSON"),
    ],
)
def test_scenario_20_a_value_keeps_its_stored_text(stored: str | bytes, text: bytes) -> None:
    """The AWS provider delivers strings only; numbers, booleans, objects and arrays are ours."""
    raw = stored.encode() if isinstance(stored, str) else stored
    assert search(b'{"v": ' + raw + b"}", "v") == text


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param('"a-b"', b"hyphen", id="quoted identifier"),
        pytest.param("'a-b'", b"a-b", id="raw string is itself"),
        pytest.param(" user ", b"u", id="surrounding spaces"),
        pytest.param('`"lit"`', b"lit", id="JSON literal"),
        pytest.param("join(',', hosts)", b"x,y", id="join"),
        pytest.param("missing || user", b"u", id="or"),
        pytest.param("hosts[1]", b"y", id="index"),
        pytest.param("rows[?port==`3306`].name | [0]", b"db", id="filter by number"),
        pytest.param("rows[?ratio > `1`].name | [0]", b"db", id="filter by a number that keeps its text"),
        pytest.param("sort_by(rows, &port)[0].name", b"web", id="sort by number"),
        pytest.param("rows[].port", b"[80,3306]", id="flatten"),
        pytest.param("to_string(rows[1].ratio)", b"1.50", id="to_string keeps a number's text (AWS provider: 1.5)"),
        pytest.param("to_string(hosts)", b'["x","y"]', id="to_string of an array"),
        pytest.param("sum(rows[].port)", b"3386", id="sum"),
        pytest.param("floor(rows[1].ratio)", b"1", id="floor"),
        pytest.param("type(rows[1].ratio)", b"number", id="type"),
        pytest.param("contains(hosts, 'x')", b"true", id="contains"),
        pytest.param("contains(user, 'u')", b"true", id="contains in text"),
        pytest.param("hosts == rows", b"false", id="unequal"),
        pytest.param("@.dup", b"2", id="of equal keys the last"),
    ],
)
def test_an_expression_is_evaluated(path: str, text: bytes) -> None:
    stored = """{"user": "u", "a-b": "hyphen", "hosts": ["x", "y"], "dup": 1, "dup": 2,
        "rows": [{"name": "web", "port": 80, "ratio": 0.50}, {"name": "db", "port": 3306, "ratio": 1.50}]}"""
    assert search(stored, path) == text


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hunter2-canary", id="plain text"),
        pytest.param(b"{'hunter2-canary': 1}", id="single quotes"),
        pytest.param(b'{"hunter2-canary": NaN}', id="NaN"),
        pytest.param(b'{"hunter2-canary": -Infinity}', id="Infinity"),
        pytest.param(b'\xef\xbb\xbf{"hunter2-canary": 1}', id="byte order mark"),
        pytest.param(b'{"hunter2-canary": 1} x', id="trailing data"),
        pytest.param(b'{"a": "hunter2-canary\n"}', id="raw newline in a string"),
        pytest.param(b'{"a": 0123}', id="leading zero"),
        pytest.param(b'{"a": "hunter2-canary', id="cut off"),
    ],
)
def test_what_is_not_json_is_refused_without_being_quoted(content: bytes) -> None:
    with pytest.raises(Unusable, match=r"^app/db: its value is not JSON") as caught:
        Document("app/db", content)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "kind", "cause"),
    [
        pytest.param(
            "nope", Unusable, "does not point to a value (the value is a JSON object with 2 keys)", id="missing"
        ),
        pytest.param("void", Unusable, "does not point to a value", id="null"),
        pytest.param("key.sub", Unusable, "does not point to a value", id="into a string"),
        pytest.param("key[7]", Unusable, "does not point to a value", id="out of range"),
        pytest.param("length(`1`)", Unusable, "cannot be evaluated", id="type error"),
        pytest.param("keys(key)", Unusable, "cannot be evaluated", id="keys of a string"),
        pytest.param("merge(key, key)", Unusable, "cannot be evaluated", id="merge of strings"),
        pytest.param("[key][::0]", Unusable, "cannot be evaluated", id="slice step 0"),
        pytest.param("key < `1`", Unusable, "cannot be evaluated", id="mixed comparison"),
        pytest.param("contains(key, `1`)", Unusable, "cannot be evaluated", id="number in text"),
        pytest.param("&key", Unusable, "cannot be evaluated", id="expression reference"),
        pytest.param("sum([`1e400`])", Unusable, "cannot be evaluated", id="not finite"),
        pytest.param("ceil(`1e400`)", Unusable, "cannot be evaluated", id="overflow"),
        pytest.param("(" * 5_000 + "key" + ")" * 5_000, Unusable, "nested too deeply", id="5,000 parentheses"),
        pytest.param("nope(key)", InvalidInput, "has an unknown function", id="unknown function"),
        pytest.param("length()", InvalidInput, "has a wrong number of arguments", id="arity"),
        pytest.param("a-b", InvalidInput, "is not a JMESPath expression", id="hyphen"),
        pytest.param("a[", InvalidInput, "is not a JMESPath expression", id="incomplete"),
        pytest.param("", InvalidInput, "is not a JMESPath expression", id="empty"),
    ],
)
def test_a_search_that_fails_names_object_and_path_only(path: str, kind: type[KeyferryError], cause: str) -> None:
    with pytest.raises(kind) as caught:
        search(b'{"key": "hunter2-canary", "void": null}', path)
    text = str(caught.value)
    assert text.startswith(f"app/db: jmesPath {excerpt(path)} ")
    assert cause in text
    assert CANARY not in text
    assert "void" not in text.replace(path, "")


DOUBLE_FLAT = "|".join(["[@,@,@,@][]"] * 60)
DEEPER_PAIRS = "|".join(["[[@[0],@[0]],[@[1],@[1]]]"] * 40)


@pytest.mark.parametrize(
    ("content", "path"),
    [
        pytest.param(b"[" * 65_536, "@", id="64 KB of open brackets"),
        pytest.param(b'{"a":' * 13_000, "@", id="64 KB of open objects"),
        pytest.param(b"[1,2]", "|".join(["[@,@]"] * 60), id="doubling result"),
        pytest.param(b"[1,2]", "|".join(["[@,@]"] * 60) + "|to_string(@)", id="doubling text"),
        pytest.param(b"[1,2]", DOUBLE_FLAT, id="doubling array"),
        pytest.param(b"[" + b"1," * 20_000 + b"1]", "[" + ",".join("@" * 500) + "][]", id="one wide flatten"),
        pytest.param(b'["abcdefgh"]', "[0]|" + "|".join(["join('',[@,@,@])"] * 60), id="doubling join"),
        pytest.param(b"[[1],[1]]", DEEPER_PAIRS + "|@[0]==@[1]", id="exponential comparison"),
        pytest.param(b"[[1],[1]]", DEEPER_PAIRS + "|contains(@, @[0])", id="exponential contains"),
        pytest.param(b"[" + b"1," * 32_000 + b"1]", "[?@>`0`]|[?@>`0`]", id="long filter"),
    ],
)
def test_scenario_21_hostile_json_and_expressions_end_soon_and_small(content: bytes, path: str) -> None:
    """At most 100 ms on a free core (500 ms allowed for a shared one), at most 10 MB."""
    tracemalloc.start()
    try:
        with pytest.raises((Unusable, TooLarge)):
            search(content, path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    start = time.process_time()
    with pytest.raises((Unusable, TooLarge)):
        search(content, path)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    "stored", ["9" * 65_000, "0." + "9" * 65_000, "1e" + "9" * 65_000], ids=["int", "fraction", "exponent"]
)
def test_scenario_21_a_number_of_65_000_digits_costs_nothing(stored: str) -> None:
    start = time.process_time()
    assert search(stored, "@") == stored.encode()
    assert time.process_time() - start < 0.1


def test_the_budget_is_shared_by_all_searches_of_a_document() -> None:
    document = Document("app/db", b'{"a": 1}', work=5)
    assert document.search("a") == b"1"
    assert document.search("a") == b"1"
    with pytest.raises(TooLarge, match="needs too much work"):
        document.search("a")


def test_members_are_all_top_level_keys_without_those_that_are_null() -> None:
    document = Document("app/db", b'{"b": 1.0, "a": "x", "none": null, "o": {"k": [null]}}')
    assert list(document.members()) == [("b", b"1.0"), ("a", b"x"), ("o", b'{"k":[null]}')]
    assert len(document) == 4


@pytest.mark.parametrize("content", [b"[1]", b'"x"', b"1", b"null"], ids=["array", "string", "number", "null"])
def test_members_need_an_object(content: bytes) -> None:
    with pytest.raises(Unusable, match=r"jmesPath \* needs a JSON object"):
        list(Document("app/db", content).members())
    assert len(Document("app/db", content)) == 0


def test_members_stop_at_the_budget() -> None:
    document = Document("app/db", b'{"a": [1, 2, 3, 4, 5]}', work=3)
    with pytest.raises(TooLarge, match=r"jmesPath \* needs too much work"):
        list(document.members())


numbers = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?", fullmatch=True).filter(
    str.isascii
)


@given(numbers)
def test_any_number_keeps_its_text(text: str) -> None:
    assert search(f'{{"n": {text}, "l": [{text}]}}', "n") == text.encode()
    assert search(f"[{text}]", "@") == f"[{text}]".encode()


@given(numbers)
def test_any_number_works_as_one(text: str) -> None:
    document = Document("app/db", text.encode())
    assert document.search("type(@)") == b"number"
    assert document.search("@ == @") == b"true"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(json_values))
def test_any_json_value_comes_out_as_the_same_compact_json(value: list[object]) -> None:
    expected = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert search(json.dumps(value), "@").decode() == expected


@given(
    json_values, st.lists(st.sampled_from([*"@.*[]()|&?,=!'`\"", "[]", "a", "1", "join(", "sort(", "map(&", "max_by("]))
)
def test_any_expression_gives_bytes_or_an_error_of_ours(value: object, tokens: list[str]) -> None:
    document = Document("app/db", json.dumps(value).encode())
    try:
        result = document.search("".join(tokens))
    except KeyferryError:
        return
    except PendingDeprecationWarning:  # the library's way to say that a back-tick literal is not JSON
        return
    assert isinstance(result, bytes)
