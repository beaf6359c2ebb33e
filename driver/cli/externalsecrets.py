"""The check of ExternalSecrets for ``keyferry lint``: the parser of ``keyferry sync``, with lines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from driver.cli import documents
from driver.cli.classes import Finding
from driver.errors import KeyferryError
from driver.spc.fields import by_lower_case, quoted
from driver.sync import externalsecret

_ANY_REGION = "us-east-1"
"""Stands for the controller's, which a file does not tell."""

_NOTED = " has no effect here"

SPEC = (
    "backendType",
    "controllerId",
    "type",
    "template",
    "roleArn",
    "region",
    "data",
    "dataFrom",
    "dataFromWithOptions",
)
OPTIONS = ("key", "isBinary", "versionStage", "versionId")
DATA = (*OPTIONS, "name", "property", "path", "recursive")
TEMPLATE = ("metadata", "type", "data", "stringData")
TEMPLATE_METADATA = ("labels", "annotations")


def is_ours(document: documents.Document) -> bool:
    """Tell whether an object is an ExternalSecret of kubernetes-client.io."""
    return document.kind == externalsecret.KIND and document.api_group == externalsecret.API_GROUP


def check(loaded: Iterable[documents.Document | Finding]) -> Iterator[Finding]:
    """Yield what is wrong or doubtful in a file's ExternalSecrets. Whether it is YAML at all is told elsewhere."""
    for one in loaded:
        if isinstance(one, documents.Document):
            yield from problems(one) if is_ours(one) else ()
        elif one.cause == documents.TOO_MUCH:
            yield one


def problems(found: documents.Document) -> Iterator[Finding]:
    """Yield what is wrong or doubtful in one ExternalSecret."""
    if found.value.get("apiVersion") != externalsecret.API_VERSION:
        remedy = f"write {externalsecret.API_VERSION}"
        yield Finding(found.file, found.line("apiVersion"), "error", "apiVersion", "there is no such version", remedy)
    try:
        notes: Sequence[str] = externalsecret.parse(found.value, region=_ANY_REGION).notes
    except KeyferryError as error:
        for one in error.errors:
            yield Finding(found.file, found.line(one.subject), "error", one.subject, one.cause, one.remedy)
        notes = [f"{path}{_NOTED}" for path in _unknown(found)]
    for note in notes:
        yield _doubt(found, note.removesuffix(_NOTED))


def _doubt(found: documents.Document, path: str) -> Finding:
    parent, known = _known(path)
    name = path.removeprefix(f"{parent}.")
    lower = by_lower_case(known)
    close = get_close_matches(name.lower(), lower, 1)
    remedy = f"did you mean {lower[close[0]]}?" if close else f"remove it; known are {', '.join(known)}"
    return Finding(found.file, found.line(path), "warning", path, f"the field {quoted(name)} has no effect", remedy)


def _known(path: str) -> tuple[str, tuple[str, ...]]:
    """Return the mapping that a field is in, and the fields that count there."""
    parts = path.split(".")
    if parts[1] == "template":
        metadata = parts[2] == "metadata" and len(parts) > 3
        return (".".join(parts[:3]), TEMPLATE_METADATA) if metadata else (".".join(parts[:2]), TEMPLATE)
    if "[" in parts[1] and len(parts) > 2:
        options = parts[1].startswith("dataFromWithOptions[")
        return ".".join(parts[:2]), OPTIONS if options else DATA
    return parts[0], SPEC


def _unknown(found: documents.Document) -> Iterator[str]:
    """Yield the fields without effect of an object with problems, which the parser does not tell."""
    spec = found.value.get("spec")
    if not isinstance(spec, Mapping):
        return
    yield from _others(spec, "spec", SPEC)
    for field, known in (("dataFromWithOptions", OPTIONS), ("data", DATA)):
        entries = spec.get(field)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            yield from _others(entry, f"spec.{field}[{index}]", known)
    yield from _others(spec.get("template"), "spec.template", (*TEMPLATE, "apiVersion", "kind", "immutable"))


def _others(node: object, path: str, known: Sequence[str]) -> Iterator[str]:
    for name, value in node.items() if isinstance(node, Mapping) else ():
        if value is not None and name not in known:
            yield f"{path}.{name}"
