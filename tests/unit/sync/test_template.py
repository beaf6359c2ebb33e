"""The subset of lodash's templates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import KeyferryError, TooLarge
from driver.sync import template
from tests.unit.sync.material import failure

DATA = {
    "user": b"anna",
    "name": "né".encode(),
    "a.b": b"dotted",
    "doc": b'{"host": "db", "port": 5432, "list": [{"x": "y"}], "none": null, "on": true, "o": {"k": 1}}',
    "html": b"""<a href="x">'&'</a>""",
    "raw": b"\xff\xfe",
    "coded": b"aGk=",
}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        pytest.param("plain", "plain", id="same: text without tags"),
        pytest.param("<%= data.user %>", "anna", id="same: a value"),
        pytest.param("<%=data.user%>@${data.user}", "anna@anna", id="same: both spellings"),
        pytest.param('<%= data["a.b"] %>', "dotted", id="same: a name in brackets"),
        pytest.param("<%= data.name %>", "né", id="different: non-ASCII text stays"),
        pytest.param("<%- data.html %>", "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;", id="same: escaped"),
        pytest.param("<%= JSON.parse(data.doc).host %>", "db", id="same: JSON.parse"),
        pytest.param("<%= JSON.parse(data.doc).port %>", "5432", id="same: a number"),
        pytest.param("<%= JSON.parse(data.doc).list[0].x %>", "y", id="same: a path"),
        pytest.param("<%= JSON.parse(data.doc).none %>", "", id="same: null gives nothing"),
        pytest.param("<%= JSON.parse(data.doc).on %>", "true", id="same: a truth value"),
        pytest.param("<%= JSON.stringify(JSON.parse(data.doc).o) %>", '{"k":1}', id="same: JSON.stringify"),
        pytest.param("<%= JSON.stringify(data.user) %>", '"anna"', id="same: JSON.stringify of a text"),
        pytest.param('<%= Buffer.from(data.user).toString("base64") %>', "YW5uYQ==", id="same: to base64"),
        pytest.param('<%= Buffer.from(data.coded, "base64").toString() %>', "hi", id="same: from base64"),
        pytest.param("<%= encodeURIComponent(data.name) %>", "n%C3%A9", id="same: encodeURIComponent"),
        pytest.param("<%= data.user.trim() %>", "anna", id="same: trim"),
        pytest.param("a $ b % c < d }", "a $ b % c < d }", id="same: lone signs are text"),
    ],
)
def test_renders(text: str, result: str) -> None:
    assert template.check("p", text) is None
    assert template.render("p", text, DATA) == result


@pytest.mark.parametrize(
    "text",
    [
        "<%= process.env.AWS_SECRET_ACCESS_KEY %>",
        "<% for (;;) {} %>",
        "<% print(data.user) %>",
        "<%= data.constructor.constructor('return process')() %>",
        "<%= require('fs') %>",
        "<%= yaml.load(data.user) %>",
        "<%= data.user + data.name %>",
        "<%= data %>",
        "<%= %>",
        "<%= data.user",
        "${HOME}",
        "<%= [data.user] %>",
        "<%= data[`user`] %>",
        "<%= data.user.repeat(999999999) %>",
        "<%= " + "JSON.parse(" * 30 + "data.user" + ")" * 30 + " %>",
    ],
)
def test_code_is_refused_with_its_place_and_what_is_supported(text: str) -> None:
    error = template.check("spec.template.stringData.x", text)
    assert str(error).startswith("spec.template.stringData.x: ")
    assert "supported" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<%= data.nope %>", id="different: a name without a value is an error"),
        pytest.param("<%= data.raw %>", id="different: bytes that are no text"),
        pytest.param("<%= JSON.parse(data.user) %>", id="different: the error does not quote the value"),
        pytest.param("<%= JSON.parse(data.doc) %>", id="different: an object is not [object Object]"),
        pytest.param("<%= JSON.parse(data.doc).nope %>", id="different: a property that is not there"),
        pytest.param("<%= data.user.length %>", id="different: no inherited names"),
        pytest.param("<%= Buffer.from(data.user) %>", id="different: a Buffer needs its coding"),
    ],
)
def test_what_cannot_be_rendered_is_an_error_without_values(text: str) -> None:
    with pytest.raises(KeyferryError) as caught:
        template.render("p", text, DATA)
    assert "anna" not in str(caught.value)
    assert "5432" not in str(caught.value)


def test_output_is_bounded() -> None:
    with pytest.raises(TooLarge, match="renders to more"):
        template.render("p", "<%= data.big %>" * 40, {"big": b"x" * 65_536})


def test_the_number_of_expressions_is_bounded() -> None:
    assert isinstance(template.check("p", "<%= data.a %>" * 1_001), TooLarge)


def test_long_text_is_refused() -> None:
    assert isinstance(template.check("p", "x" * 300_000), TooLarge)


def test_unfinished_tags_take_no_time() -> None:
    assert template.check("p", "<%= " * 60_000) is not None
    assert template.check("p", "${" * 100_000) is not None


WORDS = ["data", "user", "doc", "JSON", "parse", "stringify", "Buffer", "from", "toString", "base64", "nope", "trim"]
SIGNS = ["<%=", "<%-", "%>", "${", "}", ".", "[", "]", '"', "'", "0", "(", ")", ",", " ", "\\", "é"]
PIECES = st.sampled_from([*WORDS, *SIGNS])


@given(st.lists(PIECES, max_size=20).map("".join) | st.text(max_size=40))
def test_any_template_gives_text_or_an_error_of_ours(text: str) -> None:
    assert "anna" not in failure(lambda: template.render("p", text, DATA))


@given(st.lists(PIECES, max_size=14).map("".join))
def test_expressions_end_in_text_or_an_error_of_ours(expression: str) -> None:
    assert "5432" not in failure(lambda: template.render("p", f"<%= data.doc{expression} %>", DATA))
