"""The fields of an object, and reading them from its YAML mapping without stopping at the first problem."""

from collections.abc import Iterable, Mapping

from driver.errors import InvalidInput, KeyferryError, all_of
from driver.spc.goyaml import Field, InvalidAt, Node, Scalar, Sequence
from driver.spc.goyaml import Mapping as YamlMapping

OBJECT_FIELDS = (
    "objectName",
    "objectType",
    "objectAlias",
    "objectVersion",
    "objectVersionLabel",
    "filePermission",
    "jmesPath",
    "failoverObject",
    "region",
    "optional",
    "decode",
    "objectEncoding",
    "roleArn",
    "externalId",
)
EXTRACT_FIELDS = ("path", "objectAlias", "filePermission")
FAILOVER_FIELDS = ("objectName", "objectVersion", "objectVersionLabel")

TRUE_WORDS = frozenset(("1", "t", "T", "TRUE", "true", "True"))
FALSE_WORDS = frozenset(("0", "f", "F", "FALSE", "false", "False"))
"""The words of Go's ``ParseBool``."""

_QUOTED_LIMIT = 60


PROBLEMS_LIMIT = 200
"""Problems that are told; more are counted."""


class Problems:
    """What is wrong with a manifest, gathered so that all of it is told at once."""

    def __init__(self) -> None:
        self._found: dict[str, KeyferryError] = {}
        self._left_out = 0

    def add(self, subject: str, cause: str, remedy: str) -> None:
        """Note one problem."""
        self.take(InvalidInput(subject, cause, remedy))

    def take(self, error: KeyferryError) -> None:
        """Note a problem that came as an error."""
        if len(self._found) < PROBLEMS_LIMIT:
            self._found[str(error)] = error
        else:
            self._left_out += 1

    def check(self) -> None:
        """Raise all that was found as one error; nothing found: return."""
        if self._left_out:
            cause = f"more than {PROBLEMS_LIMIT} problems"
            raise all_of([*self._found.values(), InvalidInput("objects", cause, "correct these first")])
        if self._found:
            raise all_of(self._found.values())


def quoted(text: str) -> str:
    """Return a text of the manifest for a message: in quotes, printable and short."""
    shown = text if len(text) <= _QUOTED_LIMIT else text[:_QUOTED_LIMIT] + "…"
    return "'" + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown) + "'"


def by_lower_case(names: Iterable[str]) -> dict[str, str]:
    """Return names under their lower-case forms, as ``goyaml.Mapping.known`` takes them."""
    return {name.lower(): name for name in names}


class Reader:
    """One mapping's fields. What is wrong goes to ``problems`` under ``subject``; the field then counts as unset."""

    def __init__(self, node: YamlMapping, names: Mapping[str, str], subject: str, problems: Problems) -> None:
        self.line = node.line
        self.subject = subject
        self.problems = problems
        self._fields: dict[str, Field] = node.known(names)

    def line_of(self, field: str) -> int:
        """Return the line of a field, or of the mapping when it is not there."""
        found = self._fields.get(field)
        return found.line if found else self.line

    def refuse(self, field: str, cause: str, remedy: str) -> None:
        """Note a problem of a field; the cause is followed by field and line."""
        self.problems.take(InvalidAt(self.subject, cause, remedy, self.line_of(field), field=field))

    def node(self, field: str) -> Node | None:
        """Return a field's value; None when it is absent or null."""
        found = self._fields.get(field)
        if found is None or (isinstance(found.value, Scalar) and found.value.go is None):
            return None
        return found.value

    def text(self, field: str) -> str:
        """Return a field's text as written, empty when it is unset."""
        node = self.node(field)
        if node is None or isinstance(node, Scalar):
            return node.text if node else ""
        kind = "list" if isinstance(node, Sequence) else "mapping"
        self.refuse(field, f"{field} is a {kind}", "write one text")
        return ""

    def texts(self, field: str) -> tuple[str, ...]:
        """Return the texts of a list, or the one text of a scalar."""
        node = self.node(field)
        if not isinstance(node, Sequence):
            text = self.text(field)
            return (text,) if text else ()
        if not all(isinstance(item, Scalar) for item in node.items):
            self.refuse(field, f"{field} has an entry that is not a text", "write a list of texts")
            return ()
        return tuple(item.text for item in node.items if isinstance(item, Scalar))

    def flag(self, field: str) -> bool:
        """Return a field's truth; unset is false. Takes what the AWS provider takes for ``usePodIdentity``."""
        node = self.node(field)
        word = node.go if isinstance(node, Scalar) else self.text(field)
        if word and word not in TRUE_WORDS | FALSE_WORDS:
            self.refuse(field, f"{field} is {quoted(word)}", 'write "true" or "false"')
        return word in TRUE_WORDS

    def mode(self, field: str, default: int) -> int:
        """Return permission bits from four octal digits; ``default`` when unset. Special bits are dropped."""
        text = self.text(field)
        if not text:
            return default
        if len(text) == 4 and all(digit in "01234567" for digit in text):
            return int(text, 8) & 0o777
        self.refuse(field, f"Invalid File Permission: {quoted(text)}", 'write four octal digits in quotes, as "0640"')
        return default

    def mapping(self, field: str) -> YamlMapping | None:
        """Return a field that must be a mapping; None when it is unset."""
        node = self.node(field)
        if node is None or isinstance(node, YamlMapping):
            return node
        self.refuse(field, f"{field} is not a mapping", "write its fields below it, indented")
        return None
