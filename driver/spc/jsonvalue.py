"""JSON text and what JMESPath expressions point to in it.

What comes out of a JSON value is text, as near to the stored text as can be: a string gives its characters, a number
the digits it was stored with (``1.0``, ``1e400``, 2**63), ``true`` and ``false`` their names, an object or array
compact JSON with its keys in stored order. The AWS provider 3.1.1 delivers strings only; all else is an extension.

Both the value and the expression may be hostile, and neither the JMESPath library nor Python can be interrupted: each
document has a budget of work, and an evaluation that would exceed it ends with an error. Nothing of a value, keys
included, is ever part of an error.
"""

import json
import math
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, Never, Self

from jmespath import exceptions
from jmespath.functions import Functions, signature
from jmespath.parser import Parser
from jmespath.visitor import Options, TreeInterpreter

from driver.errors import InvalidInput, KeyferryError, TooLarge, Unusable

WORK = 100_000
"""Steps that all searches in one document may take together; one step is about 1 µs or 8 elements or characters."""

_INT_DIGITS = 1_000  # below the interpreter's own limit (4,300), above any number that is meant to be calculated with
_SURROGATE = re.compile("[\ud800-\udfff]")
_quote = json.JSONEncoder(ensure_ascii=False).encode


class _Number(float):
    """A number whose stored text differs from what Python would write for it."""

    __slots__ = ("text",)

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number

    text: str


_Number.__name__ = "float"  # the JMESPath library tells types by the names of their classes


def _whole(text: str) -> int | _Number:
    return int(text) if len(text) <= _INT_DIGITS and text != "-0" else _Number(text)


def _fraction(text: str) -> float:
    number = float(text)
    return number if repr(number) == text else _Number(text)


def _no_constant(_name: str) -> Never:
    raise ValueError  # NaN and Infinity are not JSON


_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_fraction, parse_constant=_no_constant)


class _Exhausted(Exception):
    """The budget of work is used up. It becomes an error where the subject is known."""


class _Work:
    """What is left of a budget."""

    __slots__ = ("left",)

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take ``steps`` off the budget. Raises ``_Exhausted`` when it does not have them."""
        self.left -= steps
        if self.left < 0:
            raise _Exhausted

    def weigh(self, value: object) -> None:
        """Take a step for each value that a walk through ``value`` meets: shared parts count each time."""
        pending = [value]
        while pending:
            item = pending.pop()
            self.spend(1)
            if isinstance(item, list):
                pending.extend(item)
            elif isinstance(item, dict):
                pending.extend(item.values())


def _text(value: object, work: _Work) -> str:
    """Return a value's text. Raises TypeError for what is not JSON, ValueError for numbers that are not finite."""
    if isinstance(value, str):
        work.spend(1 + (len(value) >> 3))
        return value
    pieces: list[str] = []
    _write(value, pieces, work)
    return "".join(pieces)


def _write(value: object, pieces: list[str], work: _Work) -> None:
    if isinstance(value, dict):
        lead = "{"
        for key, member in value.items():
            pieces += (lead, _scalar(key, work), ":")
            _write(member, pieces, work)
            lead = ","
        pieces.append("}" if value else "{}")
    elif isinstance(value, list):
        lead = "["
        for member in value:
            pieces.append(lead)
            _write(member, pieces, work)
            lead = ","
        pieces.append("]" if value else "[]")
    else:
        pieces.append(_scalar(value, work))
        return
    work.spend(1)


def _scalar(value: object, work: _Work) -> str:
    if isinstance(value, str):
        work.spend(1 + (len(value) >> 3))
        return _quote(value)
    work.spend(1)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    raise TypeError


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).encode()


class _Functions(Functions):
    """JMESPath's functions; those that can multiply their input look at the budget first."""

    def __init__(self, work: _Work) -> None:
        self._work = work

    @signature({"types": []})
    def _func_to_string(self, value: object) -> str:
        return _text(value, self._work)

    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, parts: list[str]) -> str:
        self._work.spend((len(separator) * len(parts) + sum(map(len, parts))) >> 3)
        return separator.join(parts)

    @signature({"types": ["array", "string"]}, {"types": []})
    def _func_contains(self, subject: Any, search: object) -> bool:  # noqa: ANN401 # a list of anything, or text
        self._work.weigh(subject)
        return search in subject


class _Interpreter(TreeInterpreter):
    """JMESPath's evaluation, with a price for each step."""

    def __init__(self, work: _Work) -> None:
        super().__init__(Options(custom_functions=_Functions(work)))
        self._work = work

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 # the library's own signature
        result = super().visit(node, *args, **kwargs)
        self._work.spend(1 + (len(result) >> 3) if isinstance(result, (str, list, dict)) else 1)
        return result

    def visit_flatten(self, node: Any, value: Any) -> Any:  # noqa: ANN401 # the library's own signature
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        parts = [item if isinstance(item, list) else [item] for item in base]
        self._work.spend(sum(map(len, parts)) >> 3)
        return list(chain.from_iterable(parts))

    def visit_comparator(self, node: Any, value: Any) -> Any:  # noqa: ANN401 # the library's own signature
        sides = [self.visit(child, value) for child in node["children"]]
        for side in sides:
            self._work.weigh(side)
        known: Any = {**node, "children": [{"type": "literal", "value": side, "children": []} for side in sides]}
        return super().visit_comparator(known, value)


class Document:
    """A JSON value that has been read once, to be searched many times.

    ``subject`` is how errors name it. Bytes that are not UTF-8 count as U+FFFD; of equal keys the last one holds.
    Raises ``Unusable`` when ``content`` is not one JSON value (RFC 8259: no NaN, no byte order mark, nothing after it),
    or one that is nested deeper than Python's recursion limit.
    """

    __slots__ = ("_subject", "_value", "_work")

    def __init__(self, subject: str, content: bytes, work: int = WORK) -> None:
        self._subject = subject
        self._work = _Work(work)
        try:
            self._value: object = _DECODER.decode(content.decode("utf-8", "replace"))
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}" if content else "it is empty"
            raise self._not_json(where) from None
        except ValueError:
            raise self._not_json("NaN or Infinity") from None
        except RecursionError:
            raise Unusable(subject, "its JSON value is nested too deeply", "store a flatter JSON value") from None

    def _not_json(self, where: str) -> Unusable:
        return Unusable(self._subject, f"its value is not JSON ({where})", "store a JSON value, or remove jmesPath")

    def search(self, path: str) -> bytes:
        """Return the text, in UTF-8, of what a JMESPath expression points to.

        Lone surrogates become U+FFFD. Raises ``Unusable`` when that is nothing, or null, or cannot be evaluated with
        this value; ``InvalidInput`` when the expression is wrong for every value; ``TooLarge`` when it takes too much
        work.
        """
        try:
            found = _Interpreter(self._work).visit(Parser().parse(path).parsed, self._value)
            if found is not None:
                return _utf8(_text(found, self._work))
        except exceptions.UnknownFunctionError:
            raise self._wrong(path, "has an unknown function") from None
        except exceptions.ArityError:
            raise self._wrong(path, "has a wrong number of arguments") from None
        except (exceptions.ParseError, exceptions.EmptyExpressionError):
            raise self._wrong(path, "is not a JMESPath expression") from None
        except _Exhausted:
            raise self._too_much(f"jmesPath {excerpt(path)} needs too much work") from None
        except (TypeError, ValueError, ArithmeticError, AttributeError):
            raise self._unfit(path) from None
        except RecursionError:
            raise Unusable(
                self._subject,
                f"jmesPath {excerpt(path)} or its result is nested too deeply",
                "use a simpler expression",
            ) from None
        raise self._nothing(path)

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Yield each top-level key with the text of its value, without those that are null.

        Lone surrogates become U+FFFD, in keys too.
        Raises ``Unusable`` when the value is no object, ``TooLarge`` when it is too much work.
        """
        if not isinstance(self._value, dict):
            raise Unusable(
                self._subject, "jmesPath * needs a JSON object, and the value is another kind of JSON", "name a path"
            )
        try:
            for key, member in self._value.items():
                if member is not None:
                    yield _utf8(key).decode(), _utf8(_text(member, self._work))
        except _Exhausted:
            raise self._too_much("jmesPath * needs too much work") from None
        except RecursionError:
            raise Unusable(self._subject, "its JSON value is nested too deeply", "store a flatter JSON value") from None

    def __len__(self) -> int:
        """Return the number of top-level keys; 0 when the value is no object."""
        return len(self._value) if isinstance(self._value, dict) else 0

    def _nothing(self, path: str) -> KeyferryError:
        kind = f"a JSON object with {len(self)} keys" if isinstance(self._value, dict) else "not a JSON object"
        cause = f"jmesPath {excerpt(path)} does not point to a value (the value is {kind})"
        return Unusable(self._subject, cause, "correct the path, or store the key with a value that is not null")

    def _unfit(self, path: str) -> KeyferryError:
        cause = f"jmesPath {excerpt(path)} cannot be evaluated with this value's types"
        return Unusable(self._subject, cause, "correct the expression, or the types in the stored JSON")

    def _wrong(self, path: str, what: str) -> KeyferryError:
        return InvalidInput(self._subject, f"jmesPath {excerpt(path)} {what}", "see jmespath.org for the expressions")

    def _too_much(self, cause: str) -> KeyferryError:
        return TooLarge(self._subject, cause, "use a simpler expression or a smaller JSON value")


def excerpt(text: str) -> str:
    """Return a path or name as errors show it: its first 80 characters."""
    return text if len(text) <= 80 else f"{text[:77]}..."
