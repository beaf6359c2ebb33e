r"""Regular expressions that take linear time whatever is written: for patterns that come with a namespace.

Python's ``re`` backtracks, so a pattern such as ``(a+)+b`` could hold up the controller for all namespaces. This is the
part of JavaScript's syntax that names and ARNs need: literals, ``.``, ``[a-z]``, ``\d \w \s`` and their opposites,
groups, ``|``, ``* + ? {m,n}``, ``^`` and ``$``. It is run as a set of states (Thompson's construction), with a bound on
the work. Look-around, back-references and ``\b`` are refused.
"""

import re
from collections.abc import Callable, Iterable
from typing import Never

from driver.errors import InvalidInput, TooLarge
from driver.spc.fields import quoted

LENGTH_LIMIT = 2_048
"""Longest pattern in characters."""

STATES_LIMIT = 4_096
"""States of a pattern, its counted repetitions written out."""

WORK_LIMIT = 2_000_000
"""States that all matches of one pattern may visit: about a second."""

_DEPTH_LIMIT = 50
_COUNT = re.compile(r"\{(\d+)(,(\d*))?\}", re.ASCII)
_REMEDY = "use letters, . [a-z] ( | ) * + ? {m,n}; it must match the whole name"
_SHORT = {
    "d": lambda c: c in "0123456789",
    "w": lambda c: c.isascii() and (c.isalnum() or c == "_"),
    "s": str.isspace,
}
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}

Test = Callable[[str], bool]


class _Node:
    """A state: takes a character that passes ``test``, or none (``test`` None), and goes on to ``out``.

    ``edge`` is ``^`` or ``$`` for states that are passed only there.
    """

    __slots__ = ("edge", "out", "test")

    def __init__(self, test: Test | None = None, edge: str = "") -> None:
        self.test = test
        self.edge = edge
        self.out: list[_Node] = []


Piece = tuple[_Node, _Node]
Build = Callable[[], Piece]


class Pattern:
    """A compiled pattern.

    Raises ``InvalidInput`` for what is not supported, ``TooLarge`` for patterns that are too large; ``subject`` is how
    errors name the pattern.
    """

    def __init__(self, subject: str, text: str) -> None:
        self._subject = subject
        self._text = text
        self._at = 0
        self._depth = 0
        self._states = 0
        self._work = 0
        if len(text) > LENGTH_LIMIT:
            raise TooLarge(subject, f"a pattern of more than {LENGTH_LIMIT:,} characters", "shorten it")
        build = self._choice()
        if self._at < len(text):
            self._refuse("has a ')' too many")
        self._start, self._end = build()

    def fullmatch(self, text: str) -> bool:
        """Tell whether the pattern matches all of a text. Raises ``TooLarge`` when that is too much work."""
        states = self._reached([self._start], first=True, last=not text)
        for index, char in enumerate(text):
            passed = [out for node in states if node.test is not None and node.test(char) for out in node.out]
            if not passed:
                return False
            states = self._reached(passed, first=False, last=index == len(text) - 1)
        return self._end in states

    def _reached(self, nodes: Iterable[_Node], *, first: bool, last: bool) -> set[_Node]:
        found: set[_Node] = set()
        pending = list(nodes)
        while pending:
            node = pending.pop()
            if node in found or (node.edge == "^" and not first) or (node.edge == "$" and not last):
                continue
            found.add(node)
            if node.test is None:
                pending.extend(node.out)
        self._work += len(found)
        if self._work > WORK_LIMIT:
            raise TooLarge(self._subject, "its pattern takes too much work", "use a simpler pattern")
        return found

    def _refuse(self, what: str) -> Never:
        raise InvalidInput(self._subject, f"the pattern {quoted(self._text)} {what}", _REMEDY)

    def _node(self, test: Test | None = None, edge: str = "") -> _Node:
        self._states += 1
        if self._states > STATES_LIMIT:
            raise TooLarge(self._subject, "a pattern with too large repetitions", "use smaller counts")
        return _Node(test, edge)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _choice(self) -> Build:
        self._depth += 1
        if self._depth > _DEPTH_LIMIT:
            self._refuse("has groups nested too deeply")
        branches = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._sequence())
        self._depth -= 1
        return branches[0] if len(branches) == 1 else lambda: self._alternatives(branches)

    def _alternatives(self, branches: list[Build]) -> Piece:
        start, end = self._node(), self._node()
        for build in branches:
            first, last = build()
            start.out.append(first)
            last.out.append(end)
        return start, end

    def _sequence(self) -> Build:
        parts: list[Build] = []
        while self._peek() not in {"", "|", ")"}:
            parts.append(self._repeated(self._atom()))
        return lambda: self._joined([build() for build in parts])

    def _joined(self, pieces: list[Piece]) -> Piece:
        start = end = self._node()
        for first, last in pieces:
            end.out.append(first)
            end = last
        return start, end

    def _repeated(self, atom: Build) -> Build:
        sign = self._peek()
        counted = _COUNT.match(self._text, self._at)
        if sign in {"*", "+", "?"} and sign:
            self._at += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        elif counted:
            self._at = counted.end()
            least = int(counted[1])
            most = least if counted[2] is None else int(counted[3]) if counted[3] else None
        else:
            return atom
        if most is not None and most < least:
            self._refuse("has a repetition with its larger number first")
        if self._peek() == "?":  # lazy: the same for a match of the whole text
            self._at += 1
        return lambda: self._times(atom, least, most)

    def _times(self, atom: Build, least: int, most: int | None) -> Piece:
        start, end = self._joined([atom() for _ in range(least)])
        if most is None:
            loop = self._node()
            first, last = atom()
            end.out.append(loop)
            loop.out.append(first)
            last.out.append(loop)
            return start, loop
        stop = self._node()
        for _ in range(most - least):
            end.out.append(stop)
            first, last = atom()
            end.out.append(first)
            end = last
        end.out.append(stop)
        return start, stop

    def _atom(self) -> Build:
        char = self._text[self._at]
        self._at += 1
        if char == "(":
            return self._group()
        if char in "*+?":
            self._refuse("has a repetition of nothing")
        if char in "^$":
            return lambda: self._single(None, char)
        test = self._class() if char == "[" else self._escape() if char == "\\" else _literal(char)
        return lambda: self._single(test)

    def _single(self, test: Test | None, edge: str = "") -> Piece:
        node, end = self._node(test, edge), self._node()
        node.out.append(end)
        return node, end

    def _group(self) -> Build:
        if self._text.startswith("?:", self._at):
            self._at += 2
        elif self._peek() == "?":
            self._refuse("has a look-around or named group")
        inner = self._choice()
        if self._peek() != ")":
            self._refuse("has a '(' without its ')'")
        self._at += 1
        return inner

    def _escape(self) -> Test:
        char = self._peek()
        self._at += 1
        if char.lower() in _SHORT and char:
            test = _SHORT[char.lower()]
            return (lambda c: not test(c)) if char.isupper() else test
        if char in _ESCAPED and char:
            return _literal(_ESCAPED[char], plain=True)
        if not char or char.isalnum():
            self._refuse(f"has the escape \\{char}")
        return _literal(char, plain=True)

    def _class(self) -> Test:
        negated = self._peek() == "^"
        self._at += negated
        tests: list[Test] = []
        while self._peek() != "]":
            tests.append(self._class_member())
        self._at += 1
        return lambda c: any(test(c) for test in tests) is not negated

    def _class_member(self) -> Test:
        first = self._class_char()
        if not isinstance(first, str):
            return first
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in {"]", ""}:
            return _literal(first, plain=True)
        self._at += 1
        last = self._class_char()
        if not isinstance(last, str) or last < first:
            self._refuse("has a range that is none")
        return lambda c: first <= c <= last

    def _class_char(self) -> str | Test:
        char = self._peek()
        self._at += 1
        if not char:
            self._refuse("has a '[' without its ']'")
        if char != "\\":
            return char
        escaped = self._peek()
        if escaped.lower() in _SHORT:
            return self._escape()
        self._escape()
        return _ESCAPED.get(escaped, escaped)


def _literal(char: str, *, plain: bool = False) -> Test:
    return (lambda c: c not in "\n\r") if char == "." and not plain else lambda c: c == char
