"""Objects of Kubernetes in YAML files: as plain values, with the line of every field; and back to YAML."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from driver.cli.classes import Finding, is_null, line_of
from driver.errors import InvalidInput
from driver.spc import goscalar

NODES_LIMIT = 1_000_000
"""Values of one file; an alias counts as often as it is used."""

_DEPTH = 100
TOO_MUCH = f"more than {NODES_LIMIT:,} values, or more than {_DEPTH} inside each other"
_MERGE = "tag:yaml.org,2002:merge"


class Document(msgspec.Struct, frozen=True):
    """One object. ``lines``: the line, from 1, of each field's path (``spec.data[0].key``); the root's is empty."""

    file: str
    value: dict[str, Any]
    lines: dict[str, int]

    @property
    def api_group(self) -> str:
        """Return the group of ``apiVersion``; empty for the core's."""
        return str(self.value.get("apiVersion") or "").rpartition("/")[0]

    @property
    def kind(self) -> str:
        """Return ``kind``, empty when there is none."""
        return str(self.value.get("kind") or "")

    @property
    def metadata(self) -> dict[str, Any]:
        """Return ``metadata``; empty when it is none."""
        found = self.value.get("metadata")
        return found if isinstance(found, dict) else {}

    @property
    def name(self) -> str:
        """Return the object's name, empty when there is none."""
        return str(self.metadata.get("name") or "")

    def line(self, path: str) -> int:
        """Return the line of a field, of what it is in when it is not there, or of the object."""
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.lines.get(path) or self.lines[""]


def read(path: str) -> str:
    """Return the text of a file (``-``: stdin). Raises InvalidInput."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InvalidInput(path, f"cannot be read: {cause}", "name a readable YAML file") from None


def load(file: str, text: str) -> Iterator[Document | Finding]:
    """Yield the objects of a file, those in lists too, and what keeps the file from being read."""
    walk = _Walk()
    try:
        for root in yaml.compose_all(text, Loader=yaml.CSafeLoader):
            if root is not None:
                yield from _objects(file, root, walk)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        remedy = "check indentation, quotes, colons and brackets; a template must be rendered first"
        yield Finding(file, mark.line + 1 if mark else 0, "error", "file", "not valid YAML", remedy)
    except UnicodeEncodeError:
        yield Finding(file, 0, "error", "file", "not valid YAML: half of a surrogate pair", "remove the character")
    except _TooMuch:
        yield Finding(file, 0, "error", "file", TOO_MUCH, "split the file")


def objects(path: str) -> list[Document]:
    """Return the objects of a file (``-``: stdin). Raises InvalidInput for a file that cannot be read whole."""
    found = []
    for one in load(path, read(path)):
        if isinstance(one, Finding):
            raise InvalidInput(f"{path}:{one.line}", one.cause, one.remedy)
        found.append(one)
    return found


def _objects(file: str, root: yaml.Node, walk: "_Walk") -> Iterator[Document]:
    for node in _single(root):
        lines: dict[str, int] = {"": line_of(node)}
        value = walk.value(node, "", lines)
        if isinstance(value, dict):
            yield Document(file, value, lines)


def _single(root: yaml.Node) -> Iterator[yaml.Node]:
    """Yield an object, or those of a list; a list in a list is none."""
    kind, items = _field(root, "kind"), _field(root, "items")
    if not (isinstance(kind, yaml.ScalarNode) and kind.value.endswith("List") and items is not None):
        yield root
        return
    for item in items.value if isinstance(items, yaml.SequenceNode) else ():
        if _field(item, "items") is None:
            yield item


def _field(node: yaml.Node, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for key, value in pairs if key.value == name), None)


class _TooMuch(Exception):
    """A file of more, or more deeply nested, values than are read."""


class _Walk:
    """Turns nodes into values, as Kubernetes reads YAML (1.1), and counts them."""

    def __init__(self) -> None:
        self._count = 0

    def value(self, node: yaml.Node, path: str, lines: dict[str, int], depth: int = 0) -> Any:  # noqa: ANN401 # JSON
        """Return a node's value; the lines of its fields go to ``lines``."""
        self._count += 1
        if self._count > NODES_LIMIT or depth > _DEPTH:
            raise _TooMuch
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, lines, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self._entry(one, f"{path}[{i}]", lines, depth) for i, one in enumerate(node.value)]
        return _scalar(node)

    def _entry(self, node: yaml.Node, path: str, lines: dict[str, int], depth: int) -> Any:  # noqa: ANN401 # JSON
        lines[path] = line_of(node)
        return self.value(node, path, lines, depth + 1)

    def _mapping(self, node: yaml.MappingNode, path: str, lines: dict[str, int], depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for part in value.value if isinstance(value, yaml.SequenceNode) else (value,):
                    found = self.value(part, path, lines, depth + 1)
                    merged = {**(found if isinstance(found, dict) else {}), **merged}
                continue
            name = str(key.value)
            below = f"{path}.{name}" if path else name
            lines[below] = line_of(key)
            own[name] = self.value(value, below, lines, depth + 1)
        return {**merged, **own}


def _scalar(node: Any) -> Any:  # noqa: ANN401 # a ScalarNode in, JSON out
    raw = str(node.value)
    if node.style or goscalar.is_text(raw):
        return raw
    if is_null(node):
        return None
    word = str(goscalar.resolve(raw))
    if word in {"true", "false"}:
        return word == "true"
    try:
        return int(word)
    except ValueError:
        return float(word)


class _Dumper(yaml.SafeDumper):
    """Writes what Kubernetes, too, reads as a text in quotes, and texts of several lines as blocks."""

    yaml_representers = {  # noqa: RUF012 # never changed: PyYAML finds representers in this attribute
        **yaml.SafeDumper.yaml_representers,
        str: lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text)),
    }

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 # PyYAML's
        """Indent the entries of a list below their field."""
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 # PyYAML's name
        """Write every value where it stands."""
        return True


def _style(text: str) -> str | None:
    if not goscalar.is_text(text):
        return '"'
    return "|" if "\n" in text.strip("\n") else None


def dump(value: dict[str, Any]) -> str:
    """Return an object as a YAML document, its fields in their order."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000))
