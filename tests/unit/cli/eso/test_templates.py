"""Templates of lodash and of Go: what both can say, both ways."""

import pytest

from driver.cli.eso import gotemplate, lodash
from driver.cli.eso.expression import Unmatched

PAIRS = [
    pytest.param("plain", "plain", id="text"),
    pytest.param("<%= data.a %>", "{{ .a }}", id="a value"),
    pytest.param('<%= data["tls.crt"] %>', '{{ index . "tls.crt" }}', id="a value of another name"),
    pytest.param("a{<%= data.a %>}", 'a{{ "{" }}{{ .a }}}', id="braces beside a value"),
    pytest.param("{{ .a }} {{{", '{{ "{{" }} .a }} {{ "{{{" }}', id="what Go would render"),
    pytest.param("<%= JSON.parse(data.a).b[0].c %>", "{{ (index (fromJson .a).b 0).c }}", id="a JSON value"),
    pytest.param('<%= JSON.parse(data.a)["b-c"] %>', '{{ index (fromJson .a) "b-c" }}', id="a JSON value by text"),
    pytest.param("<%= data.a.trim() %>", "{{ trim .a }}", id="trimmed"),
    pytest.param('<%= Buffer.from(data.a).toString("base64") %>', "{{ b64enc .a }}", id="to base64"),
    pytest.param('<%= Buffer.from(data.a, "base64").toString() %>', "{{ b64dec .a }}", id="from base64"),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_a_template_has_its_counterpart(ours: str, theirs: str) -> None:
    assert gotemplate.to_go(ours).text == theirs
    assert lodash.to_lodash(theirs).text == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        pytest.param(
            "{{ .a | trim | b64enc }}", '<%= Buffer.from(data.a.trim()).toString("base64") %>', id="a pipeline"
        ),
        pytest.param("{{.a | toString}}", "<%= data.a %>", id="a text as text"),
        pytest.param("a {{- .a -}} b", "a<%= data.a %>b", id="trim marks"),
        pytest.param('{{ index (.a | fromJson) "b" 0 }}', "<%= JSON.parse(data.a).b[0] %>", id="an index with steps"),
        pytest.param("{{ `raw` }}", "raw", id="a raw text"),
    ],
)
def test_other_ways_to_write_it_in_go_are_read(theirs: str, ours: str) -> None:
    assert lodash.to_lodash(theirs).text == ours


def test_the_dollar_form_is_a_value_too() -> None:
    assert gotemplate.to_go("${data.a}").text == "{{ .a }}"


@pytest.mark.parametrize(
    "text",
    [
        "<% if (x) { %>",
        "<%- data.a %>",
        "<%= JSON.stringify(data.a) %>",
        "<%= encodeURIComponent(data.a) %>",
        "<%= data.a.b %>",
        "<%= data.a.toString() %>",
        "<%= Buffer.from(data.a) %>",
        "<%= Buffer.from(data.a).toString() %>",
        "<%= data.a b %>",
        "<%= " + "JSON.parse(" * 30 + "data.a" + ")" * 30 + " %>",
    ],
)
def test_what_go_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(Unmatched):
        gotemplate.to_go(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ if .a }}x{{ end }}",
        "{{ .a | upper }}",
        "{{ . }}",
        "{{ .a.b }}",
        "{{ .a .b }}",
        "{{ $x := .a }}",
        "{{ .a",
        "{{/* note */}}",
        '{{ "a" | trim }}',
        "{{ toString . }}",
        '{{ index . "a\\"b" }}x{{ index . "\'\\"" }}',
        "costs ${x}",
        "<%= data.a %>",
        "$" + '{{ "{a}" }}',
        "<{{ `%= data.a %>` }}",
    ],
)
def test_what_lodash_does_not_have_is_refused(text: str) -> None:
    """A text that would only become an expression here, too."""
    with pytest.raises(Unmatched):
        lodash.to_lodash(text)
