"""Reads the ``objects`` text as AWS provider 3.1.1 does: sigs.k8s.io/yaml over go-yaml v2, first document only.

The result is a tree of immutable nodes that know their lines. It is made from parser events, one by one, so that a text
that is too deep, too long or too expensive is refused before the rest of it has been looked at. An alias is the node it
names, not a copy; what its copies would cost is counted all the same.
"""

import binascii
from collections.abc import Mapping as AbcMapping
from typing import Literal, TypeAlias

import msgspec
import yaml

from driver.errors import InvalidInput
from driver.spc import goscalar

TEXT_LIMIT = 256 * 1024
"""Longest text in bytes."""

ITEMS_LIMIT = 1_000
"""Most entries of the outermost list."""

NODES_LIMIT = 30_000
"""Most nodes, each alias counted as what it stands for."""

DEPTH_LIMIT = 64

_TAG = "tag:yaml.org,2002:"
_RESOLVED_TAGS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "timestamp"))


class InvalidAt(InvalidInput):
    """A broken rule at a line of the text.

    The message says where: after the cause when ``field`` is given, else after the subject. ``what`` is the cause
    alone, for readers that show the line in their own way.
    """

    def __init__(self, subject: str, cause: str, remedy: str, line: int, *, field: str = "") -> None:
        place = f"{subject} (line {line})"
        super().__init__(subject if field else place, f"{cause} ({field}, line {line})" if field else cause, remedy)
        self.what = cause
        self.line = line
        self.field = field


class Scalar(msgspec.Struct, frozen=True):
    """A text: ``go`` is what the AWS provider sees (None: null), ``raw`` what is written. ``line`` counts from 1."""

    go: str | None
    raw: str
    line: int

    @property
    def text(self) -> str:
        """What the author meant: the text as written, empty for a null. ``0123`` and ``yes`` stay what they are."""
        return "" if self.go is None else self.raw


class Sequence(msgspec.Struct, frozen=True):
    """A list."""

    items: tuple["Node", ...]
    line: int


class Field(msgspec.Struct, frozen=True):
    """A key of a mapping and its value."""

    name: str
    value: "Node"
    line: int


class Mapping(msgspec.Struct, frozen=True):
    """A mapping without repeated keys: merge keys are resolved, and of two equal keys the last has won."""

    fields: tuple[Field, ...]
    line: int

    def known(self, names: AbcMapping[str, str]) -> dict[str, Field]:
        """Return the fields that ``names`` knows (lower case → name), found in any letter case.

        Of two spellings of a field the last in sorted order wins, as in Go: the usual one, except over all lower case.
        """
        found: dict[str, Field] = {}
        for item in self.fields:
            name = names.get(item.name.lower())
            if name is not None and (name not in found or item.name > found[name].name):
                found[name] = item
        return found


Node: TypeAlias = Scalar | Sequence | Mapping


def load(text: str, subject: str = "objects") -> Node | None:
    """Return the root of the first document; None when there is none.

    Raises ``InvalidInput`` with ``subject`` and line for a text that is not YAML or passes a limit.
    """
    if len(text) > TEXT_LIMIT or len(text.encode(errors="replace")) > TEXT_LIMIT:
        cause = f"the text is longer than {TEXT_LIMIT // 1024} KiB"
        raise InvalidInput(subject, cause, "split it over several SecretProviderClasses")
    composer = _Composer(subject)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            composer.take(event)
            # As in Go: what follows the root, even in its document, is never looked at
            if composer.root is not None:
                break
    except yaml.YAMLError as error:
        raise _malformed(error, text, subject) from None
    except UnicodeEncodeError:
        raise InvalidInput(subject, "not valid YAML: half of a surrogate pair", "remove the character") from None
    return composer.root


def _malformed(error: yaml.YAMLError, text: str, subject: str) -> InvalidInput:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return InvalidInput(subject, "not valid YAML: a control character", "remove the character")
    line = mark.line + 1
    written = text.split("\n", line)[line - 1] if text.count("\n") >= line - 1 else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return InvalidAt(subject, "not valid YAML: a tab in the indentation", "indent with spaces", line)
    remedy = "check indentation, quotes, colons and brackets here and a line above"
    return InvalidAt(subject, "not valid YAML", remedy, line)


class _Frame:
    """A list or mapping that has begun and not yet ended."""

    __slots__ = ("anchor", "before", "children", "is_mapping", "line")

    def __init__(self, *, is_mapping: bool, line: int, anchor: str | None, before: int) -> None:
        self.is_mapping = is_mapping
        self.line = line
        self.anchor = anchor
        self.before = before
        self.children: list[Node | Literal["<<"]] = []


class _Composer:
    """Turns events into nodes."""

    def __init__(self, subject: str) -> None:
        self.root: Node | None = None
        self._subject = subject
        self._frames: list[_Frame] = []
        self._nodes = 0
        # An anchor's node and what it costs; None while it is being read
        self._anchors: dict[str, tuple[Node, int] | None] = {}

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor or "", _line(event))
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        line = _line(event)
        self._count(1, line)
        if event.implicit[0] and event.value == "<<" and self._expects_key():
            self._frames[-1].children.append("<<")
            return
        node = self._text(event, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, 1)
        self._add(node)

    def _text(self, event: yaml.ScalarEvent, line: int) -> Scalar:
        value, tag = event.value, event.tag
        if tag is None and event.implicit[0]:
            return Scalar(goscalar.resolve(value), value, line)
        if tag in _RESOLVED_TAGS:
            resolved = goscalar.resolve(value)
            return Scalar(resolved, resolved or "", line)
        if tag == _TAG + "binary":
            value = self._decoded(value, line)
        return Scalar(value, value, line)

    def _decoded(self, value: str, line: int) -> str:
        try:
            return binascii.a2b_base64("".join(value.split()), strict_mode=True).decode(errors="replace")
        except ValueError:
            raise self._refused(line, "a !!binary value is not base64", "write the text itself, in quotes") from None

    def _alias(self, name: str, line: int) -> None:
        if name not in self._anchors:
            raise self._refused(line, "an alias names an anchor that does not exist", "define it with & before its use")
        known = self._anchors[name]
        if known is None:
            raise self._refused(line, "an anchor contains itself", "write the value out")
        node, cost = known
        self._count(cost, line)
        self._add(node)

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        line = _line(event)
        if len(self._frames) >= DEPTH_LIMIT:
            raise self._refused(line, f"nested deeper than {DEPTH_LIMIT} levels", "write a flat list of objects")
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._frames.append(_Frame(is_mapping=is_mapping, line=line, anchor=event.anchor, before=self._nodes))
        self._count(1, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = None

    def _close(self) -> None:
        frame = self._frames.pop()
        node = self._mapping(frame) if frame.is_mapping else Sequence(tuple(_nodes(frame.children)), frame.line)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (node, self._nodes - frame.before)
        self._add(node)

    def _add(self, node: Node) -> None:
        if not self._frames:
            self.root = node
            return
        children = self._frames[-1].children
        children.append(node)
        if len(children) > ITEMS_LIMIT and len(self._frames) == 1 and not self._frames[0].is_mapping:
            cause = f"more than {ITEMS_LIMIT} entries"
            raise self._refused(node.line, cause, "split the list over several SecretProviderClasses")

    def _expects_key(self) -> bool:
        return bool(self._frames) and self._frames[-1].is_mapping and len(self._frames[-1].children) % 2 == 0

    def _mapping(self, frame: _Frame) -> Mapping:
        found: dict[str, Field] = {}
        pairs = iter(frame.children)
        for key, value in zip(pairs, pairs, strict=True):
            # A value is never the merge mark: that is only set where a key is expected
            if isinstance(value, str):
                continue
            if isinstance(key, str):
                found.update(self._merged(value))
            else:
                name = self._key(key)
                found[name] = Field(name, value, key.line)
        return Mapping(tuple(found.values()), frame.line)

    def _merged(self, value: Node) -> dict[str, Field]:
        """Return what ``<<`` brings. As in go-yaml v2 it overrides the keys above it, and of a list the first wins."""
        sources = value.items if isinstance(value, Sequence) else (value,)
        found: dict[str, Field] = {}
        for source in reversed(sources):
            if not isinstance(source, Mapping):
                raise self._refused(value.line, "<< needs a mapping or a list of mappings", "merge an anchored mapping")
            found.update({item.name: item for item in source.fields})
        return found

    def _key(self, key: Node) -> str:
        if isinstance(key, Scalar) and key.go is not None:
            return key.go
        raise self._refused(key.line, "a key is not a text", "write 'field: value'")

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > NODES_LIMIT:
            cause = f"more than {NODES_LIMIT} values, with aliases written out"
            raise self._refused(line, cause, "write fewer or shorter objects")

    def _refused(self, line: int, cause: str, remedy: str) -> InvalidInput:
        return InvalidAt(self._subject, cause, remedy, line)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _nodes(children: list[Node | Literal["<<"]]) -> list[Node]:
    return [child for child in children if not isinstance(child, str)]
