"""The SecretProviderClass that a command is about: read from a file, chosen by its name."""

import msgspec

from driver.cli import classes, documents
from driver.errors import InvalidInput
from driver.model import AuthMethod
from driver.spc import settings
from driver.spc.fields import Problems


class Chosen(msgspec.Struct, frozen=True):
    """A class: its name, and its parameters as Kubernetes would hand them on."""

    name: str
    parameters: dict[str, str]


def choose(path: str, name: str) -> Chosen:
    """Return the class ``name`` of a YAML file (``-``: stdin), or its only one when ``name`` is empty.

    Only classes for the AWS provider and keyferry count. Raises InvalidInput.
    """
    found = _classes(path)
    names = ", ".join(one.name for one in found)
    if not found:
        cause = "there is no SecretProviderClass with provider: aws in it"
        raise InvalidInput(path, cause, "name a file that has one")
    if name and name not in {one.name for one in found}:
        raise InvalidInput(path, f"there is no class {name!r} in it", f"choose one of: {names}")
    if not name and len(found) > 1:
        raise InvalidInput(path, f"there are {len(found)} classes in it: {names}", "choose one with --class NAME")
    return next(one for one in found if name in {"", one.name})


def _classes(path: str) -> list[Chosen]:
    found: list[Chosen] = []
    for one in classes.find(path, documents.read(path)):
        if isinstance(one, classes.Finding):
            raise InvalidInput(f"{path}:{one.line}", one.cause, one.remedy)
        found.append(Chosen(one.name, _texts(path, one)))
    return found


def _texts(path: str, found: classes.ProviderClass) -> dict[str, str]:
    texts: dict[str, str] = {}
    for entry in found.parameters.values():
        if entry.text is None:
            cause = f"the parameter {entry.name} is not a text"
            raise InvalidInput(f"{path}:{entry.line}", cause, f"write {entry.name}: | and the rest indented below it")
        texts[entry.name] = entry.text
    return texts


def method_of(chosen: Chosen) -> AuthMethod:
    """Return how a class's pods prove who they are, whatever else is wrong with it."""
    return settings.read(chosen.parameters, "", 0o644, Problems()).method
