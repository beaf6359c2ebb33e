"""SecretProviderClasses in YAML files, each value with its line in the file."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec
import yaml

from driver.spc import goscalar

KIND = "SecretProviderClass"
PROVIDERS = frozenset(("aws", "keyferry"))
GROUP = "secrets-store.csi.x-k8s.io/"


class Finding(msgspec.Struct, frozen=True):
    """Something to tell about a file. ``line`` counts from 1; 0 is the file as a whole."""

    file: str
    line: int
    severity: Literal["error", "warning"]
    object: str
    cause: str
    remedy: str


class Entry(msgspec.Struct, frozen=True):
    """A field of a mapping in a file."""

    name: str
    value: yaml.Node
    line: int

    @property
    def text(self) -> str | None:
        """The field's text; None when it is a list or mapping, empty when it is null."""
        if not isinstance(self.value, yaml.ScalarNode):
            return None
        return "" if is_null(self.value) else str(self.value.value)

    def line_within(self, line: int) -> int:
        """Return the line in the file of a line of the field's text. Only a literal block keeps its lines apart."""
        literal = isinstance(self.value, yaml.ScalarNode) and self.value.style == "|"
        return line_of(self.value) + (line if literal else 0)


Fields: TypeAlias = dict[str, Entry]


class ProviderClass(msgspec.Struct, frozen=True):
    """A class as it stands in a file."""

    file: str
    line: int
    name: str
    spec: Fields
    parameters: Fields


def fields(node: yaml.Node | None) -> Fields:
    """Return the fields of a mapping node by name; of anything else none. The last of equal names wins."""
    if not isinstance(node, yaml.MappingNode):
        return {}
    pairs = ((key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode))
    return {key.value: Entry(name=key.value, value=value, line=line_of(key)) for key, value in pairs}


def line_of(node: yaml.Node) -> int:
    """Return a node's line, from 1."""
    return int(node.start_mark.line) + 1


def is_null(node: yaml.Node) -> bool:
    """Tell whether a node is a null."""
    return isinstance(node, yaml.ScalarNode) and not node.style and goscalar.resolve(node.value) is None


def find(file: str, text: str) -> Iterator[ProviderClass | Finding]:
    """Yield the classes of a file that are for this provider, and what keeps the file from being read."""
    try:
        for document in yaml.compose_all(text, Loader=yaml.CSafeLoader):
            yield from _classes(file, document)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        remedy = "check indentation, quotes, colons and brackets; a template must be rendered first"
        yield Finding(file, mark.line + 1 if mark else 0, "error", "file", "not valid YAML", remedy)
    except UnicodeEncodeError:
        yield Finding(file, 0, "error", "file", "not valid YAML: half of a surrogate pair", "remove the character")


def of_object(value: Mapping[str, Any], providers: Collection[str] = PROVIDERS) -> ProviderClass | None:
    """Return an object as the class that it is; None when it is another's. Its lines are those of ``objects`` only.

    ``line`` of what is found about a text is the line within that text plus 1; of all else it is 1.
    """
    return next(_class("", _node(value), providers), None)


def _node(value: object) -> yaml.Node:
    mark = yaml.Mark("", 0, 0, 0, None, 0)
    if isinstance(value, Mapping):
        pairs = [(_node(str(name)), _node(one)) for name, one in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, mark, mark)
    if isinstance(value, list):
        return yaml.SequenceNode("tag:yaml.org,2002:seq", [_node(one) for one in value], mark, mark)
    style = "|" if isinstance(value, str) else None
    text = value if isinstance(value, str) else "null" if value is None else str(value).lower()
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, mark, mark, style=style)


def _classes(file: str, root: yaml.Node | None) -> Iterator[ProviderClass]:
    top = fields(root)
    items = top["items"].value if "items" in top else None
    if _text(top, "kind") in {"List", KIND + "List"} and isinstance(items, yaml.SequenceNode):
        for item in items.value:
            yield from _class(file, item)
    elif root is not None:
        yield from _class(file, root)


def _class(file: str, root: yaml.Node, providers: Collection[str] = PROVIDERS) -> Iterator[ProviderClass]:
    top = fields(root)
    if _text(top, "kind") != KIND or not _text(top, "apiVersion").startswith(GROUP):
        return
    spec = _below(top, "spec")
    if _text(spec, "provider") in providers:
        name = _text(_below(top, "metadata"), "name") or KIND
        yield ProviderClass(file=file, line=line_of(root), name=name, spec=spec, parameters=_below(spec, "parameters"))


def _below(found: Fields, name: str) -> Fields:
    return fields(found[name].value) if name in found else {}


def _text(found: Fields, name: str) -> str:
    return (found[name].text or "") if name in found else ""
