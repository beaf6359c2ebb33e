"""Property paths, times and paths of parameters, in both operators' notations (pure)."""

import re
from collections.abc import Sequence

from driver.sync import values

EVERY_NAME = ".*"
LAST_SEGMENT = {"regexp": {"source": "^.*/", "target": ""}}
"""The ``rewrite`` that leaves the last segment of a parameter's name."""

_GJSON_SIGNS = re.compile(r"[.*?|#@!{}\[\]()=<>%\"'\\:~^]")
_GJSON_STEP = re.compile(r"(?:\\.|[^.\\])+")
_PLAIN = re.compile(r"[^.\[\]]+")
_GO_TIME = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(h|ms|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def to_gjson(path: str) -> str:
    """Return a property path (lodash) as gjson has it, the External Secrets Operator's."""
    return ".".join(_GJSON_SIGNS.sub(r"\\\g<0>", step) for step in values.steps(path))


def from_gjson(path: str) -> str | None:
    """Return a gjson path as a property path; None when it is more than steps from property to property."""
    steps = _GJSON_STEP.findall(path)
    if ".".join(steps) != path or any(_GJSON_SIGNS.search(re.sub(r"\\.", "", step)) for step in steps):
        return None
    plain = [re.sub(r"\\(.)", r"\1", step) for step in steps]
    found = joined(plain)
    return found if values.steps(found) == plain else None


def joined(steps: Sequence[str]) -> str:
    """Return the property path (lodash) that goes from property to property."""
    return "".join(_step(step, first=index == 0) for index, step in enumerate(steps))


def _step(step: str, *, first: bool) -> str:
    if _PLAIN.fullmatch(step):
        return step if first else f".{step}"
    escaped = step.replace("\\", "\\\\").replace('"', '\\"')
    return f'["{escaped}"]'


def to_time(seconds: float) -> str:
    """Return seconds as a Go duration, such as ``1h30m``, ``90s`` as ``1m30s``."""
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def from_time(text: str) -> float | None:
    """Return the seconds of a Go duration; None when it is none."""
    if text in {"0", "+0", "-0"}:
        return 0.0
    parts = _GO_TIME.findall(text)
    if not parts or "".join(count + unit for count, unit in parts) != text:
        return None
    return sum(float(count) * _SECONDS[unit] for count, unit in parts)


def children_of(path: str) -> str:
    """Return the regular expression (Go) for the names of parameters right below a path."""
    return "^" + re.sub(r"[.+*?()|\[\]{}^$\\]", r"\\\g<0>", path.rstrip("/")) + "/[^/]+$"
