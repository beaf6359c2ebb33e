"""From ``{{ .x }}`` to ``<%= data.x %>``: the way back of ``gotemplate`` (pure)."""

import json
import re
from collections.abc import Callable, Iterator

from driver.cli.eso.expression import LODASH, Matched, Unmatched, Words
from driver.sync import template

_GO = re.compile(
    r"\{\{(?P<left>- )?(?P<inner>(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|(?!\}\}).)*?)(?P<right> -)?\}\}", re.DOTALL
)


def to_lodash(text: str) -> Matched:
    """Return a Go template as one of an ExternalSecret (kubernetes-client.io). Raises ``Unmatched``."""
    pieces = list(_pieces(text))
    whole = "".join(piece for piece, _ in pieces)
    expected = [piece for piece, action in pieces if action]
    found = [match[0] for match in LODASH.finditer(whole)]
    # A text that is an expression only here would be rendered
    if found != expected or template.check("", whole):
        raise Unmatched(next((one for one in found if one not in expected), whole))
    return Matched(whole, "JSON.parse" in whole)


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Yield texts and lodash's expressions, with whether they are expressions."""
    at = 0
    trims = False
    for match in _GO.finditer(text):
        before = text[at : match.start()]
        before = before.lstrip() if trims else before
        yield (before.rstrip() if match["left"] else before), False
        yield _action(match["inner"])
        at, trims = match.end(), match["right"] is not None
    rest = text[at:].lstrip() if trims else text[at:]
    if "{{" in rest:
        raise Unmatched(rest[rest.index("{{") :])
    yield rest, False


def _action(inner: str) -> tuple[str, bool]:
    words = Words(inner)
    if words.kind() == "string":
        literal = _string(words)
        if words.ended:
            return literal, False
        words.refuse()
    found = _go_pipeline(words)
    if not words.ended or found == "data":
        words.refuse()
    return f"<%= {found} %>", True


def _go_pipeline(words: Words) -> str:
    words.deeper()
    found = _go_call(words)
    while words.sees("|"):
        words.take("|")
        found = _applied(words, words.take("name"), found)
    words.depth -= 1
    return found


def _go_call(words: Words) -> str:
    if words.kind() != "name":
        return _go_operand(words)
    name = words.take("name")
    if name != "index":
        return _applied(words, name, _go_operand(words))
    found = _go_operand(words)
    while words.kind() in {"string", "number"}:
        number = words.kind() == "number"
        found = _lodash_member(words, found, int(words.take()) if number else _string(words))
    return found


def _applied(words: Words, name: str, operand: str) -> str:
    made: dict[str, Callable[[str], str]] = {
        "fromJson": lambda inner: f"JSON.parse({inner})",
        "trim": lambda inner: f"{inner}.trim()",
        "b64enc": lambda inner: f'Buffer.from({inner}).toString("base64")',
        "b64dec": lambda inner: f'Buffer.from({inner}, "base64").toString()',
        "toString": lambda inner: inner,
    }
    if name not in made or operand == "data":
        words.refuse()
    return made[name](operand)


def _go_operand(words: Words) -> str:
    if words.sees("("):
        words.take("(")
        found = _go_pipeline(words)
        words.take(")")
    else:
        words.take(".")
        found = _lodash_member(words, "data", words.take("name")) if words.kind() == "name" else "data"
    while words.sees("."):
        words.take(".")
        found = _lodash_member(words, found, words.take("name"))
    return found


def _lodash_member(words: Words, inner: str, step: str | int) -> str:
    # A value is a text: only what JSON gives has properties
    if inner != "data" and not inner.startswith("JSON.parse("):
        words.refuse()
    if isinstance(step, int):
        return f"{inner}[{step}]"
    if re.fullmatch(r"[A-Za-z_$][\w$]*", step):
        return f"{inner}.{step}"
    mark = "'" if '"' in step else '"'
    if mark in step or "\\" in step or "\n" in step or "%>" in step:
        words.refuse()
    return f"{inner}[{mark}{step}{mark}]"


def _string(words: Words) -> str:
    text = words.take("string")
    if text[0] == "`":
        return text[1:-1]
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        words.refuse()


def literal(text: str) -> Matched:
    """Return a text that is no template and stays as it is. Raises ``Unmatched`` when it would be one here."""
    found = LODASH.search(text)
    if found:
        raise Unmatched(found[0])
    return Matched(text, False)
