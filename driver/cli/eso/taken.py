"""One mapping of a manifest whose every field is either asked for or told as a loss (pure)."""

from collections.abc import Mapping
from typing import Any

from driver.cli.eso.told import Told
from driver.spc.fields import quoted


class Taken:
    """Fields by name. Those that nobody asked for are told by ``close``; wrong types are told and count as unset."""

    def __init__(self, node: object, path: str, told: Told) -> None:
        self.path = path
        self._told = told
        self._node: Mapping[str, Any] = node if isinstance(node, Mapping) else {}
        self._asked: set[str] = set()
        self._below: list[Taken] = []
        if node is not None and not isinstance(node, Mapping):
            told.lose(path, "not a mapping of fields", "correct it")

    def lose(self, field: str, cause: str, remedy: str) -> None:
        """Tell that a field has no counterpart."""
        self._told.lose(f"{self.path}.{field}", cause, remedy)

    def note(self, field: str, cause: str, remedy: str) -> None:
        """Tell what differs a little about a field."""
        self._told.note(f"{self.path}.{field}", cause, remedy)

    def names(self) -> list[str]:
        """Return the fields that are there."""
        return [name for name, value in self._node.items() if value is not None]

    def raw(self, field: str) -> object:
        """Return a field as it is; None when it is absent."""
        self._asked.add(field)
        return self._node.get(field)

    def text(self, field: str) -> str:
        """Return a text, empty when there is none."""
        value = self.raw(field)
        if value is not None and not isinstance(value, str):
            self.lose(field, "not a text", "put it in quotes")
            return ""
        return value or ""

    def texts(self, field: str) -> list[str]:
        """Return a list of texts."""
        value = self.raw(field)
        found = value if isinstance(value, list) else []
        if value is not None and (not isinstance(value, list) or not all(isinstance(one, str) for one in found)):
            self.lose(field, "not a list of texts", "correct it")
            return []
        return found

    def mapping(self, field: str) -> Mapping[str, Any]:
        """Return a mapping whose names are the user's (labels, data)."""
        value = self.raw(field)
        if value is not None and not isinstance(value, Mapping):
            self.lose(field, "not a mapping of texts", "correct it")
        return value if isinstance(value, Mapping) else {}

    def below(self, field: str) -> "Taken":
        """Return a mapping with fields of its own; what is not asked of it is told by ``close`` of this one."""
        found = Taken(self.raw(field), f"{self.path}.{field}", self._told)
        self._below.append(found)
        return found

    def entries(self, field: str) -> list["Taken"]:
        """Return a list of mappings."""
        value = self.raw(field)
        if value is not None and not isinstance(value, list):
            self.lose(field, "not a list", "begin each entry with '- '")
        entries = value if isinstance(value, list) else []
        found = [Taken(one, f"{self.path}.{field}[{index}]", self._told) for index, one in enumerate(entries)]
        self._below.extend(found)
        return found

    def expect(self, field: str, *known: str | bool) -> None:
        """Tell a field as a loss unless it is absent or one of these, the first its default."""
        value = self.raw(field)
        if value is not None and value not in known:
            shown = quoted(str(value)) if isinstance(value, str) else "what it says"
            self.lose(field, f"{shown} has no counterpart", f"remove it: what keyferry does is {known[0]}")

    def ignore(self, *fields: str) -> None:
        """Ask for fields that change nothing for keyferry."""
        self._asked.update(fields)

    def close(self) -> None:
        """Tell the fields that nobody asked for, here and below."""
        for name in self.names():
            if name not in self._asked:
                self.lose(name, "it has no counterpart", "remove it, or use --lossy to go without it")
        self._asked.update(self._node)
        for one in self._below:
            one.close()
