"""The chart's values with what is written about them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "deploy/chart"
_LONGEST = 80
_KEY = re.compile(r"( *)(\w+):")


@dataclass(frozen=True)
class Value:
    path: str
    default: Any
    meaning: str

    @property
    def shown(self) -> str:
        text = json.dumps(self.default, ensure_ascii=False)
        return text if len(text) <= _LONGEST else "see values.yaml"


def defaults() -> dict[str, Any]:
    return yaml.safe_load((CHART / "values.yaml").read_text())  # type: ignore[no-any-return] # a mapping


def documented() -> Iterator[Value]:
    """Yield every value above which a comment begins with ``# --``."""
    found = defaults()
    parents: list[str] = []
    comment: list[str] = []
    for line in (CHART / "values.yaml").read_text().splitlines():
        text = line.strip()
        if text.startswith("# -- "):
            comment = [text.removeprefix("# -- ")]
        elif text.startswith("# ") and comment:
            comment.append(text.removeprefix("# "))
        elif key := _KEY.match(line):
            del parents[len(key[1]) // 2 :]
            parents.append(key[2])
            if comment:
                yield Value(".".join(parents), _at(found, parents), " ".join(comment))
            comment = []


def _at(found: Any, path: list[str]) -> Any:
    for name in path:
        found = found[name]
    return found


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping inside plain values, itself too."""
    if isinstance(node, dict):
        yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from mappings(child)


def leaves(found: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the paths of all values that are no mapping with something in it."""
    for name, value in found.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"
