"""From ``<%= data.x %>`` to ``{{ .x }}``: the templates that both operators can render (pure).

Go's are those of text/template (pkg.go.dev) with the functions of the External Secrets Operator's engine v2. What both
have: a value, a property of ``JSON.parse`` (``fromJson``), ``.trim()`` (``trim``), base64 to and fro.
"""

import json
import re

from driver.cli.eso.expression import LODASH, Matched, Unmatched, Words

_GO_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_BRACES = re.compile(r"\{{2,}")


def to_go(text: str) -> Matched:
    """Return a checked template of an ExternalSecret (kubernetes-client.io) in Go's form. Raises ``Unmatched``."""
    parts: list[str] = []
    at = 0
    parses = False
    for match in LODASH.finditer(text):
        if match["other"] is not None:
            raise Unmatched(text[match.start() :].partition("%>")[0] + "%>")
        parts.append(_literal(text[at : match.start()], before_action=True))
        expression = _lodash_value(words := Words(match["plain"] or match["dollar"] or ""))
        if not words.ended:
            words.refuse()
        parses |= "fromJson" in expression
        parts.append("{{ " + _bare(expression) + " }}")
        at = match.end()
    return Matched("".join(parts) + _literal(text[at:], before_action=False), parses)


def literal_to_go(text: str) -> str:
    """Return a text as a Go template that renders to it."""
    return _literal(text, before_action=False)


def _literal(text: str, *, before_action: bool) -> str:
    """Return a text that Go leaves as it is: braces that would open an action are written by one."""
    quoted = _BRACES.sub(lambda match: '{{ "' + match[0] + '" }}', text)
    # What is left of braces at the end is single
    return quoted[:-1] + '{{ "{" }}' if before_action and quoted.endswith("{") else quoted


def _bare(expression: str) -> str:
    return expression[1:-1] if expression.startswith("(") and expression.endswith(")") else expression


def _lodash_value(words: Words) -> str:
    words.deeper()
    first = words.take("data", "JSON", "Buffer")
    if first == "data":
        found = _go_member(".", _lodash_step(words))
    elif first == "JSON":
        words.take(".")
        words.take("parse")
        found = f"(fromJson {_lodash_argument(words)})"
    else:
        found = _lodash_buffer(words)
    while words.sees(".", "["):
        found = _lodash_after(words, found)
    words.depth -= 1
    return found


def _lodash_argument(words: Words) -> str:
    words.take("(")
    found = _lodash_value(words)
    words.take(")")
    return found


def _lodash_buffer(words: Words) -> str:
    """Return base64 of a text, or the text of base64: what a Buffer is used for."""
    words.take(".")
    words.take("from")
    words.take("(")
    inner = _lodash_value(words)
    decode = words.sees(",") and bool(words.take(",")) and _coding(words)
    for part in (")", ".", "toString", "("):
        words.take(part)
    encode = not words.sees(")") and _coding(words)
    words.take(")")
    if decode == encode:
        words.refuse()
    return f"(b64dec {inner})" if decode else f"(b64enc {inner})"


def _coding(words: Words) -> bool:
    return words.take("string")[1:-1].lower() == "base64"


def _lodash_step(words: Words) -> str | int:
    if words.take(".", "[") == ".":
        return words.take("name")
    number = words.kind() == "number"
    text = words.take("string", "number")
    words.take("]")
    return int(text) if number else text[1:-1]


def _lodash_after(words: Words, inner: str) -> str:
    step = _lodash_step(words)
    if not words.sees("("):
        # A value is a text: only what JSON gives has properties
        if not inner.startswith(("(fromJson", "(index (fromJson")):
            words.refuse()
        return _go_member(inner, step)
    words.take("(")
    words.take(")")
    if step != "trim":
        words.refuse()
    return f"(trim {inner})"


def _go_member(inner: str, step: str | int) -> str:
    if isinstance(step, str) and _GO_NAME.fullmatch(step):
        return f".{step}" if inner == "." else f"{inner}.{step}"
    if inner == ".":
        step = str(step)
    return f"(index {inner} {json.dumps(step, ensure_ascii=False)})"
