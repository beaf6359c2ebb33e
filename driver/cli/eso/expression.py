"""The tokens of a template's expression, lodash's or Go's, and what a conversion of it gives (pure)."""

import re
from typing import Never

LODASH = re.compile(r"<%=(?P<plain>(?:[^%]|%(?!>))+)%>|\$\{(?P<dollar>[^\\}]*)\}|(?P<other><%|\$\{)")
"""Lodash's expressions in a template; ``other`` is one that has no counterpart."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<name>[A-Za-z_$][\w$]*)|(?P<string>"(?:\\.|[^"\\\n])*"|'[^'\\\n]*'|`[^`]*`)"""
    r"""|(?P<number>\d{1,9})|(?P<sign>[.()\[\],|]))"""
)
_DEPTH = 20


class Unmatched(Exception):
    """A template has no counterpart; the text is the part of it that has none."""


class Matched:
    """A template's counterpart. ``parses``: it reads JSON, whose numbers and nulls the two print differently."""

    def __init__(self, text: str, parses: bool) -> None:
        self.text = text
        self.parses = parses


class Words:
    """The tokens of one expression."""

    def __init__(self, source: str) -> None:
        self.source = source.strip()
        self._tokens: list[tuple[str, str]] = []
        self._next = 0
        self.depth = 0
        at = 0
        while at < len(self.source):
            match = _TOKEN.match(self.source, at)
            if match is None or match.lastgroup is None:
                self.refuse()
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def refuse(self) -> Never:
        """Raise ``Unmatched`` with the expression."""
        raise Unmatched(self.source)

    @property
    def ended(self) -> bool:
        """Tell whether no token is left."""
        return self._next >= len(self._tokens)

    def sees(self, *texts: str) -> bool:
        """Tell whether the next token is one of these."""
        return not self.ended and self._tokens[self._next][1] in texts

    def kind(self) -> str:
        """Return the kind of the next token: name, string, number, sign; empty when none is left."""
        return "" if self.ended else self._tokens[self._next][0]

    def take(self, *expected: str) -> str:
        """Return the next token, which is one of the texts or kinds expected."""
        if self.ended or (expected and not set(expected) & set(self._tokens[self._next])):
            self.refuse()
        self._next += 1
        return self._tokens[self._next - 1][1]

    def deeper(self) -> None:
        """Count a level of nesting; raise ``Unmatched`` for too many."""
        self.depth += 1
        if self.depth > _DEPTH:
            self.refuse()
