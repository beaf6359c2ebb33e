"""JSON values as kubernetes-external-secrets (KES) puts them into Secrets: properties, spreading, text.

What comes out is the stored text where KES 8.5.5 went through JavaScript: ``1.0`` and numbers above 2**53 keep their
digits. Names that JavaScript objects inherit (``toString``, ``length``) are not properties here. Nothing of a value,
keys included, is ever part of an error.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import Never

from driver.errors import Unusable
from driver.spc.fields import quoted

Json = None | bool | str | list["Json"] | dict[str, "Json"]
"""A decoded JSON value; numbers are ``Number``, texts too, told apart by their class."""


class Number(str):
    """A JSON number, as it was stored."""

    __slots__ = ()


def _no_constant(_name: str) -> Never:
    raise ValueError  # NaN and Infinity are not JSON


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=_no_constant)
_quote = json.JSONEncoder(ensure_ascii=False).encode
_SURROGATE = re.compile("[\ud800-\udfff]")
_WHITESPACE = b" \t\r\n\v\f"
_INDEX = re.compile(r"0|[1-9]\d{0,9}", re.ASCII)

# A step of a lodash path (lodash.com/docs, "get"): ["a.b"] or ['a.b'], [0], a plain name, or nothing between two dots
_STEP = re.compile(
    r"""\[(?P<mark>["'])(?P<text>(?:\\.|(?!(?P=mark))[^\\])*)(?P=mark)\]"""
    r"""|\[(?P<number>-?\d+(?:\.\d+)?)\]"""
    r"""|(?P<plain>[^.\[\]]+)"""
    r"""|(?P<nothing>(?=(?:\.|\[\])(?:\.|\[\]|\Z)))"""
)


def decode(subject: str, content: bytes, need: str) -> Json:
    """Return a JSON value; ``need`` is what asks for one (``property``).

    Raises ``Unusable`` for what is not one JSON value (RFC 8259), or one too deep for Python's recursion limit.
    """
    try:
        found: Json = _DECODER.decode(content.decode("utf-8", "replace"))
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if content else "it is empty"
    except ValueError:
        where = "NaN or Infinity"
    except RecursionError:
        where = "nested too deeply"
    else:
        return found
    cause = f"its value is not JSON ({where}), and {need} needs that"
    raise Unusable(subject, cause, "store a JSON object, or ask for the whole value by key and name")


def text(value: Json) -> str:
    """Return a value's text: a string's characters, all else as compact JSON (``null`` too), as stored."""
    return value if isinstance(value, str) else "".join(_written(value))


def to_bytes(characters: str) -> bytes:
    """Return UTF-8; lone surrogates become U+FFFD."""
    try:
        return characters.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", characters).encode()


def _written(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value if isinstance(value, Number) else _quote(value)
    elif isinstance(value, dict):
        yield "{"
        for index, (key, member) in enumerate(value.items()):
            yield f"{',' if index else ''}{_quote(key)}:"
            yield from _written(member)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for index, member in enumerate(value):
            yield "," if index else ""
            yield from _written(member)
        yield "]"
    else:
        yield "null" if value is None else str(value).lower()


def lookup(subject: str, value: Json, path: str) -> Json:
    """Return what a property path points to: the key of exactly that name, else step by step (``a.b[0]["c.d"]``).

    Raises ``Unusable`` when there is nothing.
    """
    if isinstance(value, dict) and path in value:
        return value[path]
    return walk(subject, value, steps(path), path)


def walk(subject: str, value: Json, names: Iterable[str], shown: str) -> Json:
    """Return what is found step by step; ``shown`` is how errors name the way. Raises ``Unusable``."""
    try:
        for step in names:
            value = _member(value, step)
    except LookupError:
        kind = f"a JSON object with {len(value)} keys" if isinstance(value, dict) else "not a JSON object"
        cause = f"Could not find property {quoted(shown)} (where the search ended the value is {kind})"
        raise Unusable(subject, cause, "correct the property, or add it to the stored JSON") from None
    return value


def steps(path: str) -> list[str]:
    """Return the names and indices of a property path."""
    found = []
    for match in _STEP.finditer(path):
        inner = match["text"]
        found.append(re.sub(r"\\(.)", r"\1", inner) if inner is not None else match["number"] or match["plain"] or "")
    return found or [path]


def _member(value: Json, step: str) -> Json:
    if isinstance(value, dict):
        return value[step]
    if isinstance(value, list) and _INDEX.fullmatch(step):
        return value[int(step)]
    raise LookupError


def members(subject: str, value: Json) -> dict[str, bytes]:
    """Return the text of every property of a JSON object. Raises ``Unusable`` for another kind of JSON."""
    if not isinstance(value, dict):
        cause = "its value is JSON of another kind than an object, and has no properties to spread"
        raise Unusable(subject, cause, "store a JSON object, or ask for the whole value by key and name")
    return {to_bytes(key).decode(): to_bytes(text(member)) for key, member in value.items()}


def unpacked(subject: str, content: bytes) -> bytes:
    """Return the bytes of base64 text, as ``isBinary`` asks; bytes that are no text are returned as they are.

    Takes what KES takes of well-formed text: the URL-safe letters, white space, missing padding. Raises ``Unusable``
    for other text.
    """
    try:
        content.decode()
    except UnicodeDecodeError:
        return content  # SecretBinary: AWS has already decoded it
    plain = content.translate(bytes.maketrans(b"-_", b"+/"), _WHITESPACE).rstrip(b"=")
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        cause = "its value is not base64 text, and isBinary asks for that"
        raise Unusable(subject, cause, "store it as base64, or remove isBinary") from None
