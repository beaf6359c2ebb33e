"""The rows of ``keyferry doctor`` as text for people and JSON for machines. Pure."""

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from tabulate import tabulate

from driver.cli.checkup.row import Level, Row

WIDTH = 120
_LEVEL, _SUBJECT = 7, 40
_FOUND = WIDTH - _LEVEL - _SUBJECT - 6
"""Columns; two spaces are before each of them."""

MOST = 50
"""Rows of one area and level that are shown as text."""

_ORDER = tuple(Level)


def text(rows: Sequence[Row]) -> str:
    """Return a table for each area, at most 120 columns wide, and a last line that sums up."""
    areas = list(dict.fromkeys(row.area for row in rows))
    blocks = [f"{area}\n{_table(list(_shown([row for row in rows if row.area == area])))}\n" for area in areas]
    return "\n".join([*blocks, _sum(rows)]) + "\n"


def as_json(rows: Sequence[Row]) -> str:
    """Return the rows, none summed up, and how many of each level there are."""
    counts = Counter(row.level for row in rows)
    found = [
        {name: value for name, value in msgspec.structs.asdict(row).items() if name != "sums"}
        for row in sorted(rows, key=lambda row: _ORDER.index(row.level))
    ]
    summary = {level.value: counts[level] for level in Level}
    return json.dumps({"summary": summary, "rows": found}, indent=2, ensure_ascii=False) + "\n"


def _shown(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the worst first, what is well summed up, and of many the first ones."""
    by_level = {level: [row for row in rows if row.level is level] for level in Level}
    for level, some in by_level.items():
        told = list(_summed(some)) if level is Level.OK else some
        yield from told[:MOST]
        if len(told) > MOST:
            yield Row(level, "", f"{len(told) - MOST} more", "--output json shows all of them")


def _summed(rows: Sequence[Row]) -> Iterator[Row]:
    counts = Counter(row.sums for row in rows)
    told: set[str] = set()
    for row in rows:
        if counts[row.sums] == 1 or not row.sums:
            yield row
        elif row.sums not in told:
            told.add(row.sums)
            what, _, found = row.sums.partition(": ")
            yield Row(row.level, row.area, f"{counts[row.sums]} {what}", found)


def _table(rows: Sequence[Row]) -> str:
    cells = [[row.level.value, _wrapped(row.subject, _SUBJECT), _found(row)] for row in rows]
    table = tabulate(cells, tablefmt="plain", disable_numparse=True, preserve_whitespace=True)
    return "\n".join(f"  {line}".rstrip() for line in table.splitlines())


def _found(row: Row) -> str:
    remedy = "\n" + _wrapped(f"-> {row.remedy}", _FOUND, "   ") if row.remedy else ""
    return _wrapped(row.found, _FOUND) + remedy


def _wrapped(text: str, width: int, indent: str = "") -> str:
    """Return a text in lines; names and commands are not broken at their hyphens."""
    return textwrap.fill(_printable(text), width, subsequent_indent=indent, break_on_hyphens=False)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _sum(rows: Sequence[Row]) -> str:
    counts = Counter(row.level for row in rows)
    words = [
        f"{counts[level]} {level.value}{'' if counts[level] == 1 or level is Level.UNKNOWN else 's'}"
        for level in (Level.PROBLEM, Level.WARNING, Level.UNKNOWN, Level.NOTE)
        if counts[level]
    ]
    return f"{', '.join(words) or 'nothing to do'}; {counts[Level.OK]} ok"
