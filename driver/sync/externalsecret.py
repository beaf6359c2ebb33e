"""From an ExternalSecret (``kubernetes-client.io/v1``) to a plan, or to all that is wrong with it at once.

Accepts what the schema and the controller of kubernetes-external-secrets (KES) 8.5.5 accept for ``secretsManager`` and
``systemManager``, the spellings included that it called deprecated: ``secretDescriptor``, ``properties`` and
``backendType: secretManager``.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from driver.model import AuthMethod, Role, SecretRef, Store, Want
from driver.spc.fields import Problems, quoted
from driver.spc.settings import chain, check_region
from driver.sync import secrettype, templatefields
from driver.sync.plan import Item, Items, Mode, Shape, SyncPlan
from driver.sync.source import Fields, check_key, is_name, origin, require_region, settings

API_GROUP = "kubernetes-client.io"
API_VERSION = "kubernetes-client.io/v1"
KIND = "ExternalSecret"

PROPERTY_LIMIT = 1_024
"""Longest property path in characters."""

_STORES = {
    "secretsManager": Store.SECRETS_MANAGER,
    "secretManager": Store.SECRETS_MANAGER,
    "systemManager": Store.PARAMETER,
}
_AWS_FIELDS = {"key", "isBinary", "versionStage", "versionId"}
_SPEC_FIELDS = frozenset({"backendType", "controllerId", "type", "template", "roleArn", "region"})
_LISTS = frozenset({"data", "properties", "dataFrom", "dataFromWithOptions"})
_DATA_FIELDS = frozenset({*_AWS_FIELDS, "name", "property", "path", "recursive"})
_OPTION_FIELDS = frozenset(_AWS_FIELDS)
_CURRENT = "AWSCURRENT"


class _Common(msgspec.Struct, frozen=True):
    """What holds for all items."""

    store: Store
    region: str
    roles: tuple[Role, ...]
    own_name: str


def parse(source: Mapping[str, Any], *, region: str, mode: Mode = Mode.AUTO) -> SyncPlan:
    """Return what an object asks for. ``region`` and ``mode`` hold where it names none.

    Raises ``InvalidInput`` or, for several problems, ``Failures``; a problem's subject is the field's path.
    """
    problems = Problems()
    notes: list[str] = []
    root = Fields(source, "", problems)
    who = origin(source)
    if not is_name(who.name):
        problems.add("metadata.name", f"{quoted(who.name)} is not a name", "name the object")
    own = settings(root.below("metadata"))
    spec = _spec(root)
    _note_unknown(spec, _SPEC_FIELDS | _LISTS, notes)
    common = _common(spec, region, who.name)
    items = tuple(_items(spec, common, notes))
    made = templatefields.read(spec.below("template"), who.name, notes)
    kind = _type(spec, made.type)
    controller_id = spec.text("controllerId") or ""
    problems.check()
    content = Items(items, kind, made.template, own.mode or mode)
    return SyncPlan(
        origin=who,
        content=content,
        wants=tuple(dict.fromkeys(item.want for item in items)),
        keys=tuple(dict.fromkeys(item.key for item in items)),
        targets=_targets(who.name, content),
        region=common.region,
        method=AuthMethod.IRSA if own.service_account else AuthMethod.AMBIENT,
        service_account=own.service_account,
        roles=common.roles,
        controller_id=controller_id,
        interval=own.interval,
        retain=own.retain,
        notes=tuple(notes),
    )


def _spec(root: Fields) -> Fields:
    if root.raw("spec") is None and root.raw("secretDescriptor") is not None:
        return root.below("secretDescriptor")
    if root.raw("spec") is None:
        root.refuse("spec", "it is missing", "add spec with backendType and data or dataFrom")
    return root.below("spec")


def _note_unknown(fields: Fields, known: frozenset[str], notes: list[str]) -> None:
    notes.extend(f"{fields.at(name)} has no effect here" for name in fields.names() if name not in known)


def _common(spec: Fields, region: str, own_name: str) -> _Common:
    named = spec.text("region")
    check_region(named or "", partial(spec.refuse, "region"))
    require_region(named or region, spec.at("region"), spec.problems)
    role = spec.text("roleArn")
    roles = chain([role], (), partial(spec.refuse, "roleArn")) if role else ()
    return _Common(_store(spec), named or region, roles, own_name)


def _store(spec: Fields) -> Store:
    word = spec.text("backendType")
    if word in _STORES:
        return _STORES[word]
    if spec.raw("backendType") is None:
        spec.refuse("backendType", "it is missing", 'write "secretsManager" or "systemManager"')
    elif word is not None:
        cause = f"{quoted(word)} is not a backend that keyferry reads"
        spec.refuse("backendType", cause, 'supported are "secretsManager" and "systemManager" of AWS')
    return Store.SECRETS_MANAGER


def _type(spec: Fields, from_template: str | None) -> str:
    field = "template.type" if from_template else "type"
    kind = from_template or spec.text("type") or secrettype.OPAQUE
    wrong = secrettype.type_problem(kind)
    if wrong:
        spec.refuse(field, *wrong)
    return kind


def _items(spec: Fields, common: _Common, notes: list[str]) -> Iterator[Item]:
    """Yield the items in KES's merge order."""
    if _LISTS.isdisjoint(spec.names()):
        spec.refuse("data", "none of data, dataFrom and dataFromWithOptions is there", "add what to read")
    for index, key in enumerate(spec.entries("dataFrom")):
        place = f"dataFrom[{index}]"
        entry = Fields({"key": key}, spec.at(place), spec.problems)
        yield from _spread(entry, place, common)
    for index, node in enumerate(spec.entries("dataFromWithOptions")):
        place = f"dataFromWithOptions[{index}]"
        entry = Fields(node, spec.at(place), spec.problems)
        _note_unknown(entry, _OPTION_FIELDS, notes)
        yield from _spread(entry, place, common)
    field = "data" if spec.raw("data") is not None else "properties"
    for index, node in enumerate(spec.entries(field)):
        place = f"{field}[{index}]"
        entry = Fields(node, spec.at(place), spec.problems)
        _note_unknown(entry, _DATA_FIELDS, notes)
        yield from _data(entry, place, common)


def _spread(entry: Fields, place: str, common: _Common) -> Iterator[Item]:
    key = check_key(entry, "key")
    if key:
        want = Want(_ref(entry, key, common))
        yield Item(place, key, want, Shape.SPREAD, binary=entry.flag("isBinary"))


def _data(entry: Fields, place: str, common: _Common) -> Iterator[Item]:
    names = set(entry.names())
    if "path" in names:
        if {"key", "name"} <= names:
            entry.refuse("path", "it is there beside key and name", "write either key and name, or path")
        yield from _path(entry, place, common)
        return
    key, name = check_key(entry, "key"), entry.text("name")
    wrong = secrettype.key_problem(name) if name is not None else None
    if wrong:
        entry.refuse("name", f"{quoted(name or '')} cannot be used: {wrong}", "choose another name")
    if "name" not in names:
        entry.refuse("name", "it is missing", "add name: the key in the Secret")
    path = entry.text("property")
    if path is not None and len(path) > PROPERTY_LIMIT:
        entry.refuse("property", f"more than {PROPERTY_LIMIT} characters", "shorten it")
    binary = entry.flag("isBinary")
    if not key or not name:
        return
    named = path is None and not binary and is_name(name) and name != common.own_name
    want = Want(_ref(entry, key, common))
    yield Item(place, key, want, Shape.VALUE, name=name, property_path=path, binary=binary, named=named)


def _path(entry: Fields, place: str, common: _Common) -> Iterator[Item]:
    path = check_key(entry, "path")
    if common.store is not Store.PARAMETER:
        entry.refuse("path", "Secrets Manager has no paths", "use backendType systemManager, or key and name")
    elif path and not path.startswith("/"):
        entry.refuse("path", f"{quoted(path)} is not a path of parameters", "begin it with '/'")
    if path:
        ref = SecretRef(Store.PARAMETER_PATH, path, common.region, chain=common.roles)
        binary, recursive = entry.flag("isBinary"), entry.flag("recursive")
        yield Item(place, path, Want(ref), Shape.PATH, binary=binary, recursive=recursive)


def _ref(entry: Fields, key: str, common: _Common) -> SecretRef:
    version, stage = entry.text("versionId") or "", entry.text("versionStage") or ""
    if common.store is Store.PARAMETER:
        name, version, label = _selected(key)
        return SecretRef(Store.PARAMETER, name, common.region, version, label, common.roles)
    # As KES: a version id is asked for alone. The current stage is what no stage means, and shares its reads
    label = "" if version or stage == _CURRENT else stage
    return SecretRef(Store.SECRETS_MANAGER, key, common.region, version, label, common.roles)


def _selected(key: str) -> tuple[str, str, str]:
    """Return name, version and label of ``name:3`` or ``name:label`` (AWS API, GetParameter, "Name")."""
    head, colon, selector = key.rpartition(":")
    if not colon or (key.startswith("arn:") and key.count(":") == 5):
        return key, "", ""
    return (head, selector, "") if selector.isascii() and selector.isdigit() else (head, "", selector)


def _targets(own: str, content: Items) -> tuple[str, ...]:
    names = [item.name for item in content.items if item.named and content.mode is not Mode.KEY]
    alone = content.mode is Mode.SECRET and content.items and all(item.named for item in content.items)
    return tuple(dict.fromkeys(names if alone else [own, *names]))
