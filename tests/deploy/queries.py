"""What a PromQL expression asks for: metrics, matchers and labels, held against the tables of the code."""

import re
from collections.abc import Iterator, Mapping

from driver.metrics import METRICS, PROCESS_METRICS, SYNC_METRICS, Metric

TABLE: Mapping[str, list[Metric]] = {
    name: [metric for metric in (*METRICS, *SYNC_METRICS, *PROCESS_METRICS) if metric.name == name]
    for name in {metric.name for metric in (*METRICS, *SYNC_METRICS, *PROCESS_METRICS)}
}
TARGET = {"namespace", "pod", "job", "instance"}
"""Labels that Prometheus gives to what it scrapes."""
WORDS = {"sum", "max", "min", "count", "by", "without", "and", "or", "vector", "label_values"}
WORDS |= {"rate", "increase", "histogram_quantile", "max_over_time", "min_over_time", "changes"}
_SELECTOR = re.compile(r"\b([a-z_]+)\s*\{([^}]*)\}|\b((?:keyferry|process)_[a-z_]+)\b")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')

Matcher = tuple[str, str, str]


def selectors(expression: str) -> Iterator[tuple[str, list[Matcher]]]:
    """Yield metric and matchers of each selector."""
    for match in _SELECTOR.finditer(expression):
        yield match[1] or match[3], _MATCHER.findall(match[2] or "")


def family(name: str) -> list[Metric]:
    """Return the rows of the metric that a series belongs to; none if there is no such metric."""
    if name in TABLE:
        return TABLE[name]
    whole = re.sub(r"_(bucket|count|sum)$", "", name)
    return [metric for metric in TABLE.get(whole, []) if metric.kind == "histogram"]


def problems(expression: str) -> list[str]:
    """Return what an expression asks for that there is not."""
    found = []
    labels = TARGET | {"le"}
    for name, matchers in selectors(expression):
        rows = family(name)
        if not rows:
            found.append(f"no metric {name}")
        words = {label: set(each) for row in rows for label, each in row.labels.items()}
        for row in rows:
            for label, each in row.labels.items():
                words[label] |= set(each)
        labels |= words.keys()
        found += [text for matcher in matchers if (text := _wrong(name, matcher, words))]
    rest = re.sub(r"\$__?\w+|\d+[smhd]\b|0x\w+|\b\d[\d.]*", "", _SELECTOR.sub("", expression))
    unknown = set(re.findall(r"[A-Za-z_]\w*", rest)) - WORDS - labels
    return found + [f"unknown word {word}" for word in sorted(unknown)]


def _wrong(name: str, matcher: Matcher, words: Mapping[str, set[str]]) -> str:
    label, operator, text = matcher
    if label in TARGET or text.startswith("$"):
        return ""
    if label not in words:
        return f"{name} has no label {label}"
    asked = text.split("|") if "~" in operator else [text]
    return "".join(f"{name}: {label} is never {word}" for word in asked if word not in words[label])


def matching(samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float], expression: str) -> list[float]:
    """Return the values of all series that an expression selects. A selector that selects nothing is an error."""
    found: list[float] = []
    for name, matchers in selectors(expression):
        chosen = [value for (each, labels), value in samples.items() if each == name and _fits(dict(labels), matchers)]
        assert chosen, f"nothing for {name} {matchers}"
        found += chosen
    return found


def _fits(labels: Mapping[str, str], matchers: list[Matcher]) -> bool:
    return all(_holds(labels.get(label, ""), operator, text) for label, operator, text in matchers)


def _holds(value: str, operator: str, text: str) -> bool:
    same = bool(re.fullmatch(text, value)) if "~" in operator else value == text
    return same != operator.startswith("!")
