"""The tables that the code knows best: ``python -m tests.generated_docs --write`` puts them into the Markdown files.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from driver import errors
from driver.cli import COMMANDS
from driver.config import PROVIDER_OPTIONS, SYNC_OPTIONS
from driver.errors import Failures, KeyferryError
from driver.metrics import METRICS, SYNC_METRICS, Metric
from driver.options import Option

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def commands() -> str:
    return table(("command", "what it does"), ((f"`keyferry {name}`", what) for name, what in COMMANDS.items()))


def settings(options: Iterable[Option]) -> str:
    rows = (
        (
            flags(option),
            f"`{option.variable}`" + (f", `{option.also}`" if option.also else ""),
            f"`{option.default}`" if option.default else "",
            option.help,
        )
        for option in options
    )
    return table(("flag", "variable", "default", "meaning"), rows)


def flags(option: Option) -> str:
    return f"`{option.flag}`, `--no-{option.name}`" if option.switch else f"`{option.flag} {option.metavar}`"


def metrics(found: Iterable[Metric]) -> str:
    rows = ((f"`{m.name}`", m.kind, ", ".join(f"`{label}`" for label in m.labels), m.meaning) for m in found)
    return table(("metric", "kind", "labels", "meaning"), rows)


def codes() -> str:
    rows = (
        (kind.__name__, f"`{kind.code}`", "yes" if kind.retryable else "no", meaning.rstrip("."))
        for kind, meaning in error_meanings()
        if kind is not Failures
    )
    return table(("error", "gRPC code", "passes by itself", "meaning"), rows)


def error_meanings() -> Iterator[tuple[type[KeyferryError], str]]:
    """Yield every error with the meaning that the tree in the module's docstring gives it."""
    for name, meaning in re.findall(r"[├└]── (\w+) +(.+)", inspect.getdoc(errors) or ""):
        kind = getattr(errors, name)
        assert issubclass(kind, KeyferryError)
        yield kind, meaning


TABLES: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "settings": lambda: settings(PROVIDER_OPTIONS),
    "sync_settings": lambda: settings(SYNC_OPTIONS),
    "metrics": lambda: metrics(METRICS),
    "sync_metrics": lambda: metrics(SYNC_METRICS),
    "errors": codes,
}


def updated(text: str) -> str:
    """Return a page with its tables made anew."""
    return _MARKED.sub(lambda match: f"{match[1]}{TABLES[match[2]]()}{match[3]}", text)


def main(arguments: list[str]) -> int:
    """Tell which pages are out of date; with ``--write`` bring them up to date."""
    stale = [page for page in PAGES if updated(page.read_text()) != page.read_text()]
    for page in stale:
        if "--write" in arguments:
            page.write_text(updated(page.read_text()))
        print(f"{'updated' if '--write' in arguments else 'out of date'}: {page.relative_to(ROOT)}")  # noqa: T201 - a command
    return 1 if stale and "--write" not in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
