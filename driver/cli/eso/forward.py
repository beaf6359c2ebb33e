"""From ExternalSecrets of kubernetes-client.io to the manifests of the External Secrets Operator (pure).

The operator's fields are those of external-secrets.io/v1 in its version 0.20 and later (docs, "API specification").
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from driver.cli.eso import gotemplate, notation
from driver.cli.eso.expression import Unmatched
from driver.cli.eso.notation import EVERY_NAME, LAST_SEGMENT
from driver.cli.eso.told import ESO_GROUP, LAST_APPLIED, SERVER_FIELDS, SERVICES, Options, Told
from driver.errors import KeyferryError
from driver.model import SecretRef, Store
from driver.spc.fields import quoted
from driver.sync import template
from driver.sync.plan import NAMED_SECRETS, PREFIX, Item, Items, Mode, Shape, SyncPlan, Template

_STORES = {
    Store.SECRETS_MANAGER: SERVICES["secretsManager"],
    Store.PARAMETER: SERVICES["systemManager"],
    Store.PARAMETER_PATH: SERVICES["systemManager"],
}


class Planned(msgspec.Struct, frozen=True):
    """An ExternalSecret: its plan, its manifest, and how messages name it."""

    plan: SyncPlan
    source: Mapping[str, Any]
    subject: str

    @property
    def items(self) -> Items:
        """Return what it asks for."""
        assert isinstance(self.plan.content, Items)  # noqa: S101 # the plan of an ExternalSecret
        return self.plan.content


class _Needs(msgspec.Struct, frozen=True):
    """What a store must have; objects with equal needs share one."""

    namespace: str
    service: str
    region: str
    roles: tuple[str, ...]
    account: str
    account_namespace: str
    controller: str


def convert(found: Iterable[Planned], options: Options, told: Told) -> list[dict[str, Any]]:
    """Return the manifests: a store for each (region, roleArn, service account), then the ExternalSecrets."""
    stores: dict[_Needs, str] = {}
    secrets: list[dict[str, Any]] = []
    for one in found:
        needs = _needs(one, options)
        if needs not in stores:
            stores[needs] = _store_name(needs, options, set(stores.values()))
        secrets += _external_secrets(one, stores[needs], options, told)
    return [_store(needs, name, options) for needs, name in stores.items()] + secrets


# the stores


def _needs(one: Planned, options: Options) -> _Needs:
    plan, items = one.plan, one.items.items
    cluster = options.store_kind == "ClusterSecretStore"
    service = _STORES[items[0].want.ref.store] if items else SERVICES["secretsManager"]
    return _Needs(
        namespace="" if cluster else plan.origin.namespace,
        service=service,
        region=plan.region,
        roles=tuple(role.arn for role in plan.roles),
        account=plan.service_account,
        account_namespace=plan.origin.namespace if cluster and plan.service_account else "",
        controller=plan.controller_id,
    )


def _store_name(needs: _Needs, options: Options, taken: set[str]) -> str:
    role = needs.roles[-1].rpartition("/")[2] if needs.roles else ""
    parts = ("aws", needs.service, needs.region, role, needs.account_namespace, needs.account)
    base = options.store or "-".join(filter(None, map(_name_part, parts)))[:240].rstrip("-")
    names = (f"{base}-{number}" if number else base for number in (0, *range(2, len(taken) + 3)))
    return next(name for name in names if name not in taken)


def _name_part(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _store(needs: _Needs, name: str, options: Options) -> dict[str, Any]:
    aws: dict[str, Any] = {"service": needs.service, "region": needs.region}
    if needs.roles:
        aws["role"] = needs.roles[-1]
    if needs.roles[:-1]:
        aws["additionalRoles"] = list(needs.roles[:-1])
    if needs.account:
        reference = _present({"name": needs.account, "namespace": needs.account_namespace})
        aws["auth"] = {"jwt": {"serviceAccountRef": reference}}
    return {
        "apiVersion": f"{ESO_GROUP}/{options.version}",
        "kind": options.store_kind,
        "metadata": _present({"name": name, "namespace": needs.namespace}),
        "spec": _present({"controller": needs.controller, "provider": {"aws": aws}}),
    }


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", None, {}, [])}


# the ExternalSecrets


def _external_secrets(one: Planned, store: str, options: Options, told: Told) -> Iterator[dict[str, Any]]:
    content = one.items
    named = [item for item in content.items if item.named and content.mode is Mode.SECRET]
    own = [item for item in content.items if item not in named]
    _tell_differences(one, told)
    if own or not named:
        target = _template(one, own, told)
        yield _external_secret(one, one.plan.origin.name, own, target, store, options, told)
    for name in dict.fromkeys(item.name for item in named):
        spread = [msgspec.structs.replace(item, shape=Shape.SPREAD) for item in named if item.name == name]
        plain = {"engineVersion": "v2", "type": "Opaque"}
        yield _external_secret(one, name, spread, plain, store, options, told)


def _external_secret(
    one: Planned,
    name: str,
    items: list[Item],
    target: dict[str, Any],
    store: str,
    options: Options,
    told: Told,
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "refreshInterval": notation.to_time(one.plan.interval or options.interval),
        "secretStoreRef": {"name": store, "kind": options.store_kind},
        "target": {"name": name, "creationPolicy": "Orphan" if one.plan.retain else "Owner", "template": target},
        "dataFrom": [_many(one, item, told) for item in items if item.shape is not Shape.VALUE],
        "data": [_one(one, item, told) for item in _last(one, items, told)],
    }
    return {
        "apiVersion": f"{ESO_GROUP}/{options.version}",
        "kind": "ExternalSecret",
        "metadata": _metadata(one, name, told),
        "spec": _present(spec),
    }


def _metadata(one: Planned, name: str, told: Told) -> dict[str, Any]:
    source = one.source.get("metadata")
    metadata: Mapping[str, Any] = source if isinstance(source, Mapping) else {}
    for field in metadata:
        if field not in {"name", "namespace", "labels", "annotations", *SERVER_FIELDS}:
            told.lose(f"{one.subject} metadata.{field}", "it is not carried over", "set it on the new object")
    annotations = {
        key: value
        for key, value in (metadata.get("annotations") or {}).items()
        if key != LAST_APPLIED and (not key.startswith(PREFIX) or _stays(one, key))
    }
    return _present(
        {
            "name": name,
            "namespace": one.plan.origin.namespace,
            "labels": dict(metadata.get("labels") or {}),
            "annotations": annotations,
        }
    )


def _stays(one: Planned, annotation: str) -> bool:
    """Tell whether one of our annotations stays on the new object, where it only matters on the way back."""
    return annotation == NAMED_SECRETS and one.items.mode is not Mode.SECRET


def _tell_differences(one: Planned, told: Told) -> None:
    for note in one.plan.notes:
        told.note(one.subject, note, "it is left out")
    content = one.items
    if not content.items:
        told.lose(f"{one.subject} spec.data", "it is empty, which the operator refuses", "add what to read")
    names = [item.name for item in content.items if item.named]
    if names and content.mode is Mode.AUTO:
        shown = ", ".join(map(quoted, dict.fromkeys(names)))
        cause = f"an existing empty Secret {shown} is filled too by keyferry, and not by the operator"
        remedy = f'with the annotation {NAMED_SECRETS}: "secret" it gets an ExternalSecret of its own'
        told.note(one.subject, cause, remedy)
    shapes = [item.shape for item in content.items]
    if Shape.PATH in shapes[shapes.index(Shape.VALUE) :] if Shape.VALUE in shapes else False:
        cause = "of equal keys, one of key and name now wins over one of a path that was listed after it"
        told.note(one.subject, cause, "check that no two are equal")


def _last(one: Planned, items: list[Item], told: Told) -> list[Item]:
    """Return the items that give one key, each key once: the operator refuses repeats."""
    last = {item.name: item for item in items if item.shape is Shape.VALUE}
    for item in items:
        if item.shape is Shape.VALUE and last[item.name] is not item:
            cause = f"its key {quoted(item.name)} is given by a later entry too, which wins"
            told.note(f"{one.subject} spec.{item.place}", cause, "it is left out")
    return list(last.values())


def _one(one: Planned, item: Item, told: Told) -> dict[str, Any]:
    reference: dict[str, Any] = {"key": item.want.ref.name, "version": _version(item.want.ref)}
    if item.property_path is not None:
        reference["property"] = notation.to_gjson(item.property_path)
        if not item.property_path:
            subject = f"{one.subject} spec.{item.place}.property"
            told.lose(subject, "an empty property is the whole value there", "name a property, or remove it")
    if item.binary:
        reference["decodingStrategy"] = "Base64"
    return {"secretKey": item.name, "remoteRef": _present(reference)}


def _many(one: Planned, item: Item, told: Told) -> dict[str, Any]:
    ref = item.want.ref
    if item.shape is Shape.SPREAD:
        if item.binary:
            cause = "the operator decodes the properties, not the JSON that they are in"
            told.lose(f"{one.subject} spec.{item.place}.isBinary", cause, "store the JSON as plain text")
        return {"extract": _present({"key": ref.name, "version": _version(ref)})}
    names = EVERY_NAME if item.recursive else notation.children_of(ref.name)
    find = {"path": ref.name, "name": {"regexp": names}}
    return {"find": find | ({"decodingStrategy": "Base64"} if item.binary else {}), "rewrite": [LAST_SEGMENT]}


def _version(ref: SecretRef) -> str:
    if ref.version and ref.store is Store.SECRETS_MANAGER:
        return f"uuid/{ref.version}"
    return ref.version or ref.label


# the template


def _template(one: Planned, items: list[Item], told: Told) -> dict[str, Any]:
    """Return ``target.template``, which is always there: without it labels of the object are copied to the Secret."""
    content = one.items
    source = content.template
    place = f"{one.subject} spec.template"
    data = {
        **_decoded(source, f"{place}.data", told),
        **_expressions(source.string_data, f"{place}.stringData", told),
    }
    given = {item.name for item in items if item.shape is Shape.VALUE}
    for key in sorted(data.keys() & given):
        told.note(f"{place} key {key}", "the entry of data with this name wins", "it is left out")
        del data[key]
    if data and any(item.shape is not Shape.VALUE for item in items):
        told.note(place, "its keys win there over equal ones of dataFrom", "check that no two are equal")
    metadata = {
        "labels": _expressions(source.labels, f"{place}.metadata.labels", told),
        "annotations": _expressions(source.annotations, f"{place}.metadata.annotations", told),
    }
    found = {"engineVersion": "v2", "type": content.type, "metadata": _present(metadata), "data": data}
    return _present(found | ({"mergePolicy": "Merge"} if data else {}))


def _expressions(texts: Mapping[str, str], place: str, told: Told) -> dict[str, str]:
    done = {}
    for key, text in texts.items():
        try:
            matched = gotemplate.to_go(text)
        except Unmatched as error:
            told.lose(
                f"{place}.{key}", f"{quoted(str(error))} has no counterpart", "write a Go template for it by hand"
            )
            continue
        if matched.parses:
            cause = "numbers of a million and more, and null, are printed otherwise there"
            told.note(f"{place}.{key}", cause, "check what JSON.parse gives")
        done[key] = matched.text
    return done


def _decoded(source: Template, place: str, told: Told) -> dict[str, str]:
    """Return ``template.data`` as plain texts, as the operator has it."""
    done = {}
    for key, text in source.data.items():
        try:
            plain = base64.b64decode(template.render(place, text, {}), validate=True).decode()
        except (binascii.Error, ValueError, KeyferryError):
            cause = "the operator's template.data is plain text, and this is no base64 of one"
            told.lose(f"{place}.{key}", cause, "move it to stringData as plain text")
            continue
        done[key] = gotemplate.literal_to_go(plain)
    return done
