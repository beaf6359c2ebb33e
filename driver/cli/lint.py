"""``keyferry lint``: check SecretProviderClasses and ExternalSecrets with the parsers that the two doors use.

Exit codes: 0 clean (warnings may be printed), 1 problems, 2 a file cannot be read.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal, TextIO

import msgspec
import yaml

from driver.cli import documents, externalsecrets, syncedclasses
from driver.cli.classes import Entry, Fields, Finding, ProviderClass, fields, find, is_null, line_of
from driver.errors import InvalidInput, KeyferryError
from driver.model import Store
from driver.spc import goscalar, goyaml, objects
from driver.spc.fields import EXTRACT_FIELDS, FAILOVER_FIELDS, OBJECT_FIELDS, by_lower_case, quoted
from driver.spc.plan import Plan
from driver.spc.settings import PARAMETERS

_NAME_FIELDS = frozenset(("objectName", "objectAlias", "objectVersion", "objectVersionLabel", "filePermission", "path"))
_NESTED = {"jmesPath": EXTRACT_FIELDS, "failoverObject": FAILOVER_FIELDS}
_TLS = "kubernetes.io/tls"
_TLS_KEYS = frozenset(("tls.crt", "tls.key"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("paths", nargs="+", metavar="FILE", help="YAML file; - is stdin")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="for people (default) or machines")


def main(args: argparse.Namespace) -> int:
    """Check the files that the arguments name and print what was found."""
    return run(args.paths, output=args.output, out=sys.stdout)


def run(paths: Sequence[str], *, output: Literal["text", "json"], out: TextIO) -> int:
    """Check files, write what was found to ``out`` and return the exit code."""
    found: list[Finding] = []
    unread = False
    for path in paths:
        try:
            text = documents.read(path)
        except InvalidInput as error:
            found.append(Finding(path, 0, "error", "file", error.cause, error.remedy))
            unread = True
        else:
            found += sorted(check("<stdin>" if path == "-" else path, text), key=lambda one: one.line)
    out.write(_as_json(found) if output == "json" else "".join(map(_as_line, found)))
    if unread:
        return 2
    return 1 if any(one.severity == "error" for one in found) else 0


def _as_json(found: Iterable[Finding]) -> str:
    return json.dumps([msgspec.structs.asdict(one) for one in found], indent=2, ensure_ascii=False) + "\n"


def _as_line(one: Finding) -> str:
    warning = "warning: " if one.severity == "warning" else ""
    line = f"{one.file}:{one.line}: {warning}{one.object}: {one.cause}: {one.remedy}"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line) + "\n"


def check(file: str, text: str) -> Iterator[Finding]:
    """Yield what is wrong or doubtful in a file's classes and ExternalSecrets."""
    found: list[Finding] = []
    for one in find(file, text):
        found += (one,) if isinstance(one, Finding) else check_class(one)
    yield from found
    loaded = list(documents.load(file, text))
    yield from syncedclasses.check(loaded, found)
    yield from externalsecrets.check(loaded)


def check_class(found: ProviderClass) -> Iterator[Finding]:
    """Yield what is wrong or doubtful in a class, for a pod that mounts it."""
    return _Check(found).all()


class _Check:
    """The check of one class."""

    def __init__(self, found: ProviderClass) -> None:
        self._class = found
        self._file = found.file

    def all(self) -> Iterator[Finding]:
        if not self._class.parameters:
            yield self._finding(
                self._class.line, self._class.name, "spec.parameters are not set", "add objects below it"
            )
            return
        texts: dict[str, str] = {}
        for entry in self._class.parameters.values():
            trouble = self._not_text(entry)
            if trouble:
                yield trouble
            else:
                texts[entry.name] = entry.text or ""
        yield from self._unknown_parameters()
        plan = None
        # What is no text is told already; without objects there is nothing more to check
        if "objects" in texts or "objects" not in self._class.parameters:
            try:
                plan = objects.parse(texts, region="")
            except KeyferryError as error:
                yield from map(self._problem, error.errors)
            yield from self._doubtful_objects(texts.get("objects", ""))
        yield from self._secret_objects(plan)

    def _finding(
        self, line: int, subject: str, cause: str, remedy: str, severity: Literal["error", "warning"] = "error"
    ) -> Finding:
        return Finding(self._file, line, severity, subject, cause, remedy)

    def _not_text(self, entry: Entry) -> Finding | None:
        if entry.text is None:
            remedy = f"write '{entry.name}: |' and the list below it" if entry.name == "objects" else "write one text"
            return self._finding(entry.line, entry.name, "not a text, which parameters must be", remedy)
        value = entry.value
        plain = isinstance(value, yaml.ScalarNode) and not value.style and not is_null(value)
        if plain and not goscalar.is_text(value.value):
            cause = "a number or truth value, which Kubernetes refuses here"
            return self._finding(entry.line, entry.name, cause, f'put it in quotes: "{value.value}"')
        return None

    def _unknown_parameters(self) -> Iterator[Finding]:
        for entry in self._class.parameters.values():
            # A driver's own key may be there too; endpointUrl is an error of the parser
            if entry.name not in PARAMETERS and "/" not in entry.name and entry.name.lower() != "endpointurl":
                yield self._unknown(entry.line, "parameters", "parameter", entry.name, PARAMETERS)

    def _unknown(self, line: int, subject: str, what: str, name: str, known: Sequence[str]) -> Finding:
        lower = by_lower_case(known)
        close = get_close_matches(name.lower(), lower, 1)
        remedy = f"did you mean {lower[close[0]]}?" if close else "remove it, or see the list of parameters"
        return self._finding(line, subject, f"unknown {what} {quoted(name)} is ignored", remedy, "warning")

    def _problem(self, error: KeyferryError) -> Finding:
        located = error if isinstance(error, goyaml.InvalidAt) else None
        subject = error.subject.partition(" (line ")[0]
        in_parameter = subject in self._class.parameters and not (located and located.field)
        entry = self._class.parameters.get(subject if in_parameter else "objects")
        if entry is None:
            return self._finding(self._class.line, subject, error.cause, error.remedy)
        if located is None:
            return self._finding(entry.line, subject, error.cause, error.remedy)
        return self._finding(entry.line_within(located.line), subject, located.what, error.remedy)

    def _doubtful_objects(self, text: str) -> Iterator[Finding]:
        try:
            root = goyaml.load(text)
        except KeyferryError:
            return
        for item in root.items if isinstance(root, goyaml.Sequence) else ():
            if isinstance(item, goyaml.Mapping):
                name = item.known({"objectname": "objectName"}).get("objectName")
                subject = name.value.text if name and isinstance(name.value, goyaml.Scalar) else "objects"
                yield from self._doubtful_fields(item, subject, OBJECT_FIELDS)

    def _doubtful_fields(self, item: goyaml.Mapping, subject: str, known: Sequence[str]) -> Iterator[Finding]:
        names = by_lower_case(known)
        for one in item.fields:
            line = self._class.parameters["objects"].line_within(one.line)
            name = names.get(one.name.lower())
            if name is None:
                yield self._unknown(line, subject, "field", one.name, known)
            elif name in _NAME_FIELDS:
                yield from self._read_otherwise(one, subject, line)
            elif name in _NESTED:
                nested = one.value.items if isinstance(one.value, goyaml.Sequence) else (one.value,)
                for part in nested:
                    if isinstance(part, goyaml.Mapping):
                        yield from self._doubtful_fields(part, subject, _NESTED[name])

    def _read_otherwise(self, one: goyaml.Field, subject: str, line: int) -> Iterator[Finding]:
        value = one.value
        if isinstance(value, goyaml.Scalar) and value.go is not None and value.go != value.raw:
            cause = f"the AWS provider reads {one.name} {quoted(value.raw)} as {quoted(value.go)}"
            yield self._finding(line, subject, cause, f'put it in quotes: "{value.raw}"', "warning")

    def _secret_objects(self, plan: Plan | None) -> Iterator[Finding]:
        entry = self._class.spec.get("secretObjects")
        if entry is None or is_null(entry.value):
            return
        if not isinstance(entry.value, yaml.SequenceNode):
            yield self._finding(entry.line, "secretObjects", "not a list", "write a list of Secrets")
            return
        for index, node in enumerate(entry.value.value):
            yield from self._secret_object(f"secretObjects[{index}]", node, _files(plan))

    def _secret_object(self, place: str, node: yaml.Node, files: frozenset[str] | None) -> Iterator[Finding]:
        found = fields(node)
        for name, remedy in (("secretName", "name the Secret"), ("type", "write type: Opaque")):
            if not _filled(found, name):
                yield self._finding(line_of(node), place, f"{name} is missing", remedy)
        data = found["data"].value if "data" in found else None
        items = data.value if isinstance(data, yaml.SequenceNode) else []
        if not items:
            yield self._finding(line_of(node), place, "data is missing", "list objectName and key of each item")
            return
        keys: list[str] = []
        for index, item in enumerate(items):
            yield from self._item(f"{place}.data[{index}]", item, files, keys)
        kind = found["type"].text if "type" in found else ""
        if kind == _TLS and set(keys) != _TLS_KEYS:
            cause = f"a Secret of type {_TLS} has the keys tls.crt and tls.key, and no other"
            yield self._finding(line_of(node), place, cause, "correct the keys, or write type: Opaque")

    def _item(self, place: str, node: yaml.Node, files: frozenset[str] | None, keys: list[str]) -> Iterator[Finding]:
        found = fields(node)
        for name in ("objectName", "key"):
            if not _filled(found, name):
                yield self._finding(line_of(node), place, f"{name} is missing", f"add {name}")
        if _filled(found, "key"):
            key = str(found["key"].text)
            if key in keys:
                yield self._finding(found["key"].line, place, f"the key {quoted(key)} is there twice", "rename one")
            keys.append(key)
        file = (found["objectName"].text or "") if "objectName" in found else ""
        if file and files is not None and file not in files:
            close = get_close_matches(file, files, 1)
            remedy = f"did you mean {quoted(close[0])}?" if close else "name a file: objectAlias, else objectName"
            line = found["objectName"].line
            yield self._finding(line, place, f"objectName {quoted(file)} is no file of this class", remedy)


def _filled(found: Fields | Mapping[str, Entry], name: str) -> bool:
    return name in found and bool((found[name].text or "").strip())


def _files(plan: Plan | None) -> frozenset[str] | None:
    """Return a plan's files; None when they are not known before the values are read."""
    if plan is None:
        return None
    unknown = any(
        one.want.ref.store is Store.PARAMETER_PATH or any(not extract.file for extract in one.extracts)
        for one in plan.objects
    )
    own = {one.file for one in plan.objects}
    return None if unknown else frozenset(own | {part.file for one in plan.objects for part in one.extracts})
