"""The tables that the code knows best: ``python -m tests.generated_docs --write`` puts them into the Markdown files.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import yaml

from driver import audit, errors, telemetry
from driver.cli import COMMANDS
from driver.config import PROVIDER_OPTIONS, SYNC_OPTIONS
from driver.errors import Failures, KeyferryError
from driver.metrics import METRICS, PROCESS_METRICS, SYNC_METRICS, Metric
from driver.options import Option
from tests.dependencies import locked
from tests.deploy.values import documented
from tests.docs.error_texts import all_texts

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "deploy/chart/README.md")
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
    rows = ((f"`{m.name}`", m.kind, ", ".join(map(label_words, m.labels.items())), m.meaning) for m in found)
    return table(("metric", "kind", "labels", "meaning"), rows)


def label_words(label: tuple[str, tuple[str, ...]]) -> str:
    name, words = label
    return f"`{name}`: {', '.join(words)}" if len(words) <= 4 else f"`{name}`"


def alerts() -> str:
    """Return the alerts of the chart's rule file."""
    groups = yaml.safe_load((ROOT / "deploy/chart/monitoring/alerts.yaml").read_text())["groups"]
    rows = (
        (
            f"`{rule['alert']}`",
            rule["labels"]["severity"],
            rule["annotations"]["summary"] + (f", for {rule['for']}" if "for" in rule else ""),
            rule["annotations"]["action"],
        )
        for group in groups
        for rule in group["rules"]
    )
    return table(("alert", "severity", "fires when", "what to do"), rows)


def keys(found: Mapping[str, str]) -> str:
    return table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in found.items()))


def codes() -> str:
    rows = (
        (kind.__name__, f"`{kind.code}`", "yes" if kind.retryable else "no", meaning.rstrip("."))
        for kind, meaning in error_meanings()
        if kind is not Failures
    )
    return table(("error", "gRPC code", "passes by itself", "meaning"), rows)


def error_texts() -> str:
    where = {
        **dict.fromkeys(("cli", "options", "health", "serving", "app"), "a command, or a process that starts"),
        **dict.fromkeys(("spc", "mount"), "a class: a pod's event, lint, sync"),
        "sync": "an object of sync: its status or Event, lint, render",
    }
    rows = ((f"`{text.cause}`", where.get(text.part, "both doors")) for text in all_texts())
    return table(("text", "where"), rows)


def chart_values() -> str:
    rows = ((f"`{value.path}`", f"`{value.shown}`", value.meaning) for value in documented())
    return table(("value", "default", "meaning"), rows)


def licences() -> str:
    return table(("distribution", "licence"), ((f"`{found.name}`", found.licence) for found in locked("runtime")))


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
    "process_metrics": lambda: metrics(PROCESS_METRICS),
    "alerts": alerts,
    "log_keys": lambda: keys(telemetry.KEYS),
    "audit_fields": lambda: keys(audit.FIELDS),
    "errors": codes,
    "error_texts": error_texts,
    "licences": licences,
    "values": chart_values,
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
