"""The check of SecretProviderClasses that ask to be synced: the parser of ``keyferry sync``, with lines.

What the check for a mounting pod has told of the same field already is not told again.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from driver.cli import documents
from driver.cli.classes import Finding
from driver.errors import KeyferryError
from driver.sync import secretproviderclass

_ANY_REGION = "us-east-1"
"""Stands for the controller's, which a file does not tell."""


def is_synced(document: documents.Document) -> bool:
    """Tell whether an object is a class that has opted in to sync."""
    ours = document.kind == secretproviderclass.KIND and document.api_group == secretproviderclass.API_GROUP
    return ours and secretproviderclass.opted_in(document.value)


def check(loaded: Iterable[documents.Document | Finding], told: Sequence[Finding]) -> Iterator[Finding]:
    """Yield what keeps a file's classes that have opted in from being synced. ``told``: what is said already."""
    for one in loaded:
        if isinstance(one, documents.Document) and is_synced(one):
            last = max(one.lines.values())
            yield from problems(one, [each for each in told if one.line("") <= each.line <= last])


def problems(
    found: documents.Document, told: Sequence[Finding], providers: Collection[str] = secretproviderclass.PROVIDERS
) -> Iterator[Finding]:
    """Yield what keeps a class that has opted in from being synced, but for what ``told`` says of it already."""
    try:
        secretproviderclass.parse(found.value, region=_ANY_REGION, providers=providers)
    except KeyferryError as error:
        for one in error.errors:
            # problems without a path are those of the parameters, which both doors read with one parser
            if one.subject.startswith(("metadata.", "spec.")) and not _is_told(one, told):
                yield Finding(found.file, found.line(one.subject), "error", one.subject, one.cause, one.remedy)


def _is_told(error: KeyferryError, told: Sequence[Finding]) -> bool:
    place, _, field = error.subject.removeprefix("spec.").rpartition(".")
    errors = [one for one in told if one.severity == "error"]
    return any((one.object == place and one.cause.startswith(field)) or _same_rule(one, error) for one in errors)


def _same_rule(one: Finding, error: KeyferryError) -> bool:
    """Tell whether both say which keys a Secret of a type has, or that ``secretObjects`` is no list."""
    path = error.subject.removeprefix("spec.")
    tls = path.startswith(f"{one.object}.data[") and " of type " in one.cause and error.cause.startswith("type ")
    return tls or (path == one.object == "secretObjects")
