"""The part of lodash's templates (lodash.com/docs, "template") that needs no execution of code.

``<%= … %>`` and ``${…}`` give a value, ``<%- … %>`` escapes it for HTML; all else is text. An expression is::

    data.NAME   data["NAME"]   JSON.parse(…)   JSON.stringify(…)   encodeURIComponent(…)
    Buffer.from(…).toString("base64")   Buffer.from(…, "base64").toString()
    and after each of these  .name  ["name"]  [0]  .trim()  .toString()

Anything else is refused. In kubernetes-external-secrets a template was JavaScript inside the controller and could read
its credentials; its names without a value gave nothing and non-ASCII text was spoilt: here a name without a value
is an error, and texts are UTF-8.
"""

import base64
import re
from collections.abc import Callable, Mapping
from typing import Never
from urllib.parse import quote

from driver.errors import InvalidInput, KeyferryError, TooLarge, Unusable
from driver.spc.fields import quoted
from driver.sync import values
from driver.sync.values import Json

TEXT_LIMIT = 256 * 1024
"""Longest template text in characters."""

TAGS_LIMIT = 1_000
"""Expressions of one text."""

OUTPUT_LIMIT = 1024 * 1024
"""Longest result in characters."""

SUPPORTED = 'data.NAME, data["NAME"], JSON.parse(…).a.b[0], JSON.stringify(…), encodeURIComponent(…), .trim() and '
SUPPORTED += 'Buffer.from(…).toString("base64")'

_DEPTH = 20
_TAG = re.compile(
    r"<%-(?P<escaped>(?:[^%]|%(?!>))+)%>|<%=(?P<plain>(?:[^%]|%(?!>))+)%>|\$\{(?P<dollar>[^\\}]*)\}|(?P<other><%|\$\{)"
)
_TOKEN = re.compile(
    r"""\s*(?:(?P<name>[A-Za-z_$][\w$]*)|(?P<string>"[^"\\\n]*"|'[^'\\\n]*')|(?P<number>\d{1,9})|(?P<sign>[.()\[\],]))"""
)
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
_CODINGS = {"base64": True, "utf8": False, "utf-8": False}

Value = Json | bytes
Step = Callable[["Scope"], Value]


class Scope:
    """What expressions see: the values by name, as texts, and JSON that was parsed already."""

    def __init__(self, place: str, data: Mapping[str, bytes], parsed: dict[str, Json]) -> None:
        self.place = place
        self._data = data
        self._parsed = parsed

    def value(self, name: str) -> Value:
        """Return a value's text. Raises ``Unusable`` when there is none or it is no text."""
        if name not in self._data:
            raise Unusable(self.place, f"there is no value {quoted(name)}", "correct the name, or add it to data")
        try:
            return self._data[name].decode()
        except UnicodeDecodeError:
            cause = f"the value {quoted(name)} is not text"
            raise Unusable(self.place, cause, "leave it out of the template") from None

    def parse(self, text: str) -> Json:
        """Return the JSON value of a text. Raises ``Unusable``."""
        if text not in self._parsed:
            self._parsed[text] = values.decode(self.place, values.to_bytes(text), "JSON.parse")
        return self._parsed[text]


class _Parser:
    """Reads one expression into a function of a scope."""

    def __init__(self, place: str, source: str) -> None:
        self._place = place
        self._source = source.strip()
        self._tokens: list[tuple[str, str]] = []
        self._next = 0
        self._depth = 0
        at = 0
        while at < len(self._source):
            match = _TOKEN.match(self._source, at)
            if match is None or match.lastgroup is None:
                self.refuse()
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def refuse(self) -> Never:
        cause = f"the expression {quoted(self._source)} is not supported"
        raise InvalidInput(self._place, cause, f"no code is run; supported are {SUPPORTED}")

    def whole(self) -> Step:
        found = self._value()
        if self._next < len(self._tokens):
            self.refuse()
        return found

    def _take(self, *expected: str) -> str:
        kind, text = self._tokens[self._next] if self._next < len(self._tokens) else ("", "")
        if expected and text not in expected and kind not in expected:
            self.refuse()
        self._next += 1
        return text

    def _sees(self, text: str) -> bool:
        return self._next < len(self._tokens) and self._tokens[self._next][1] == text

    def _value(self) -> Step:
        self._depth += 1
        if self._depth > _DEPTH:
            self.refuse()
        first = self._take("data", "JSON", "Buffer", "encodeURIComponent")
        if first == "data":
            found = self._data()
        elif first == "Buffer":
            found = self._buffer()
        else:
            found = self._call(first)
        while self._sees(".") or self._sees("["):
            found = self._after(found)
        self._depth -= 1
        return found

    def _data(self) -> Step:
        name = self._step()
        return lambda scope: scope.value(name)

    def _step(self) -> str:
        if self._take(".", "[") == ".":
            return self._take("name")
        text = self._take("string", "number")
        self._take("]")
        return text[1:-1] if text[0] in "\"'" else text

    def _argument(self) -> Step:
        self._take("(")
        return self._value()

    def _call(self, name: str) -> Step:
        if name == "JSON":
            self._take(".")
            name = self._take("parse", "stringify")
        argument = self._argument()
        self._take(")")
        if name == "parse":
            return lambda scope: scope.parse(_text(scope, argument(scope)))
        if name == "stringify":
            return lambda scope: _as_json(scope, argument(scope))
        return lambda scope: quote(_text(scope, argument(scope)), safe="!'()*-._~")

    def _buffer(self) -> Step:
        self._take(".")
        self._take("from")
        argument = self._argument()
        coded = False
        if self._sees(","):
            self._take(",")
            coded = self._coding()
        self._take(")")
        return lambda scope: _bytes(scope, argument(scope), coded=coded)

    def _coding(self) -> bool:
        word = self._take("string")[1:-1].lower()
        if word not in _CODINGS:
            self.refuse()
        return _CODINGS[word]

    def _after(self, inner: Step) -> Step:
        step = self._step()
        if not self._sees("("):
            return lambda scope: _member(scope, inner(scope), step)
        self._take("(")
        coded = step == "toString" and not self._sees(")") and self._coding()
        self._take(")")
        if step == "trim":
            return lambda scope: _text(scope, inner(scope)).strip()
        if step != "toString":
            self.refuse()
        return lambda scope: _as_text(scope, inner(scope), coded=coded)


def _member(scope: Scope, value: Value, step: str) -> Value:
    if isinstance(value, bytes):
        raise Unusable(scope.place, "a Buffer has no properties here", 'end it with .toString("base64")')
    return values.walk(scope.place, value, [step], step)


def _text(scope: Scope, value: Value) -> str:
    """Return what a value prints as."""
    if isinstance(value, bytes):
        raise Unusable(scope.place, "a Buffer is not a text", 'end it with .toString("base64")')
    if isinstance(value, (dict, list)):
        raise Unusable(scope.place, "a JSON object or list is not a text", "use JSON.stringify(…), or name a property")
    return "" if value is None else values.text(value)


def _as_json(scope: Scope, value: Value) -> str:
    if isinstance(value, bytes):
        return _text(scope, value)
    return "".join(values.text([value]))[1:-1]


def _bytes(scope: Scope, value: Value, *, coded: bool) -> bytes:
    content = values.to_bytes(_text(scope, value))
    return values.unpacked(scope.place, content) if coded else content


def _as_text(scope: Scope, value: Value, *, coded: bool) -> str:
    if not isinstance(value, bytes):
        return _text(scope, value)
    if coded:
        return base64.b64encode(value).decode()
    return value.decode("utf-8", "replace")


def check(place: str, text: str) -> KeyferryError | None:
    """Return what is not supported in a template text; None when it can be rendered. ``place`` is the field's path."""
    try:
        _parts(place, text)
    except KeyferryError as error:
        return error
    return None


def _parts(place: str, text: str) -> list[str | tuple[Step, bool]]:
    """Return texts, and expressions with whether they are escaped."""
    if len(text) > TEXT_LIMIT:
        raise TooLarge(place, f"a template of more than {TEXT_LIMIT:,} characters", "shorten it")
    parts: list[str | tuple[Step, bool]] = []
    at = 0
    for count, match in enumerate(_TAG.finditer(text)):
        if match["other"] is not None or count >= TAGS_LIMIT:
            raise _unfit(place, text[match.start() :], count)
        parts.append(text[at : match.start()])
        source = match["escaped"] or match["plain"] or match["dollar"] or ""
        parts.append((_Parser(place, source).whole(), match["escaped"] is not None))
        at = match.end()
    parts.append(text[at:])
    return parts


def _unfit(place: str, rest: str, count: int) -> KeyferryError:
    if count >= TAGS_LIMIT:
        return TooLarge(place, f"more than {TAGS_LIMIT:,} expressions", "use fewer")
    statement = rest.partition("%>")[0].partition("\n")[0]
    cause = f"the statement {quoted(statement)} is not supported"
    return InvalidInput(place, cause, f"no code is run; supported in <%= … %> are {SUPPORTED}")


def render(place: str, text: str, data: Mapping[str, bytes], parsed: dict[str, Json] | None = None) -> str:
    """Return a template's text with its expressions replaced by their values.

    ``data`` are the values that were read, by the Secret's keys. ``parsed`` keeps decoded JSON from one text to the
    next. Raises ``InvalidInput`` for what is not supported, ``Unusable`` for names without a value and values of the
    wrong kind, ``TooLarge``.
    """
    scope = Scope(place, data, {} if parsed is None else parsed)
    pieces: list[str] = []
    length = 0
    for part in _parts(place, text):
        piece = part if isinstance(part, str) else _shown(scope, *part)
        length += len(piece)
        if length > OUTPUT_LIMIT:
            raise TooLarge(place, f"it renders to more than {OUTPUT_LIMIT:,} characters", "use fewer or shorter values")
        pieces.append(piece)
    return "".join(pieces)


def _shown(scope: Scope, step: Step, escaped: bool) -> str:
    try:
        piece = _text(scope, step(scope))
    except RecursionError:
        raise Unusable(scope.place, "a JSON value is nested too deeply", "store a flatter JSON value") from None
    return piece.translate(_ESCAPES) if escaped else piece
