"""From ExternalSecrets of the External Secrets Operator, on AWS, to those of kubernetes-client.io (pure).

A field that nobody asks for is told as a loss, so that none is forgotten.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from driver.cli.eso import lodash, notation
from driver.cli.eso.expression import Matched, Unmatched
from driver.cli.eso.notation import EVERY_NAME, LAST_SEGMENT
from driver.cli.eso.stores import Store, StoreKey, mapping
from driver.cli.eso.taken import Taken
from driver.cli.eso.told import LAST_APPLIED, SERVER_FIELDS, Options, Told
from driver.errors import InvalidInput
from driver.spc.fields import quoted
from driver.sync.plan import DELETION_POLICY, NAMED_SECRETS, POLL_INTERVAL, PREFIX, SERVICE_ACCOUNT
from driver.sync.source import LEAST_INTERVAL, is_name

_DEFAULT_INTERVAL = 3_600.0
_PARAMETERS = "systemManager"


def convert(
    source: Mapping[str, Any], known: Mapping[StoreKey, Store], subject: str, options: Options, told: Told
) -> dict[str, Any]:
    """Return one ExternalSecret. Raises InvalidInput when its store is not among those that are known."""
    metadata = mapping(source.get("metadata"))
    for field in metadata:
        if field not in {"name", "namespace", "labels", "annotations", *SERVER_FIELDS}:
            told.lose(f"{subject} metadata.{field}", "it is not carried over", "set it on the new object")
    spec = Taken(source.get("spec"), f"{subject} spec", told)
    store = _used(spec, known, str(metadata.get("namespace") or ""))
    target = spec.below("target")
    name = target.text("name") or str(metadata.get("name") or "")
    if name != metadata.get("name"):
        told.note(subject, "the Secret's name is now the object's too", f"refer to {quoted(name)}")
    made = _template(target, metadata, told, subject)
    fields = _fields(spec, store)
    annotations = _annotations(spec, target, metadata, store, options)
    target.expect("deletionPolicy", "Retain")
    target.expect("immutable", False)
    target.close()
    spec.expect("refreshPolicy", "Periodic")
    spec.close()
    if NAMED_SECRETS not in annotations and any(_could_be_named(entry, name) for entry in fields.get("data", ())):
        annotations[NAMED_SECRETS] = "key"
    head = {"name": name, "namespace": metadata.get("namespace"), "labels": dict(mapping(metadata.get("labels")))}
    heading = {
        "backendType": store.backend,
        "region": store.region,
        "roleArn": store.roles,
        "controllerId": store.controller,
    }
    return {
        "apiVersion": "kubernetes-client.io/v1",
        "kind": "ExternalSecret",
        "metadata": _present({**head, "annotations": annotations}),
        "spec": {**_present(heading), **fields, **_present({"template": made})},
    }


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", None, {}, [])}


def _used(spec: Taken, known: Mapping[StoreKey, Store], namespace: str) -> Store:
    reference = spec.below("secretStoreRef")
    kind, name = reference.text("kind") or "SecretStore", reference.text("name")
    reference.close()
    store = known.get((kind, "" if kind == "ClusterSecretStore" else namespace, name))
    if store is None:
        cause = f"there is no {kind} {quoted(name)} on AWS in the file for it"
        raise InvalidInput("spec.secretStoreRef", cause, "add the store's manifest to the file")
    if store.account_namespace not in {"", namespace}:
        cause = f"its store reads as a service account of namespace {quoted(store.account_namespace)}"
        spec.lose("secretStoreRef", cause, "keyferry takes one of the object's own namespace only")
    return store


def _annotations(
    spec: Taken, target: Taken, metadata: Mapping[str, Any], store: Store, options: Options
) -> dict[str, str]:
    """Return the object's annotations with ours, which say what the operator has fields for."""
    given = mapping(metadata.get("annotations"))
    found = {
        key: str(value)
        for key, value in given.items()
        if key != LAST_APPLIED and (not key.startswith(PREFIX) or key == NAMED_SECRETS)
    }
    if store.account:
        found[SERVICE_ACCOUNT] = store.account
    policy = target.text("creationPolicy") or "Owner"
    if policy == "Orphan":
        found[DELETION_POLICY] = "retain"
    elif policy != "Owner":
        target.lose("creationPolicy", f"{quoted(policy)} is not possible", "keyferry makes the Secret (Owner, Orphan)")
    interval = _interval(spec)
    if interval != options.interval:
        found[POLL_INTERVAL] = notation.to_time(interval)
    return found


def _interval(spec: Taken) -> float:
    text = spec.text("refreshInterval")
    seconds = notation.from_time(text) if text else _DEFAULT_INTERVAL
    if seconds is None or seconds < LEAST_INTERVAL:
        spec.lose("refreshInterval", f"{quoted(text)} cannot be kept", "keyferry reads again at least every so often")
        return _DEFAULT_INTERVAL
    return max(round(seconds), 1)


def _could_be_named(entry: Mapping[str, Any], own: str) -> bool:
    if "name" not in entry or "property" in entry or "isBinary" in entry:
        return False
    return entry["name"] != own and is_name(entry["name"])


# what is read


def _fields(spec: Taken, store: Store) -> dict[str, Any]:
    many = [_many(entry, store) for entry in spec.entries("dataFrom")]
    extracts = [one for one in many if "key" in one]
    paths = [one for one in many if "path" in one]
    if many and [one for one in many if one] != extracts + paths:
        spec.note("dataFrom", "of equal keys, those of a path now win over the others", "check that no two are equal")
    # The order decides which of equal keys wins, and what has no options always comes first
    split = next((index for index, one in enumerate(extracts) if len(one) > 1), len(extracts))
    data = paths + [_one(entry, store) for entry in spec.entries("data")]
    found: dict[str, Any] = {
        "dataFrom": [one["key"] for one in extracts[:split]],
        "dataFromWithOptions": extracts[split:],
        "data": data,
    }
    return _present(found) or {"data": []}


def _one(entry: Taken, store: Store) -> dict[str, Any]:
    remote = entry.below("remoteRef")
    found = {**_reference(remote, store), "name": entry.text("secretKey")}
    gjson = remote.text("property")
    if gjson:
        path = notation.from_gjson(gjson)
        if path is None:
            remote.lose("property", f"{quoted(gjson)} is more than a way to one property", "ask for the whole value")
        else:
            found["property"] = path
    if _decodes(remote):
        found["isBinary"] = True
    _close(remote)
    entry.close()
    return found


def _many(entry: Taken, store: Store) -> dict[str, Any]:
    """Return an entry of dataFromWithOptions, one of data with a path, or nothing."""
    found: dict[str, Any] = {}
    if "extract" in entry.names():
        extract = entry.below("extract")
        found = _reference(extract, store)
        extract.expect("decodingStrategy", "None")
        _close(extract)
    elif "find" in entry.names() and store.backend == _PARAMETERS:
        found = _path(entry)
    entry.close()
    return found


def _path(entry: Taken) -> dict[str, Any]:
    """Return the parameters below a path, when they are all and keep the last segment of their names."""
    find = entry.below("find")
    path, names = find.text("path") or "/", find.below("name").text("regexp")
    recursive = names == EVERY_NAME
    if not (recursive or names == notation.children_of(path)) or entry.raw("rewrite") != [LAST_SEGMENT]:
        cause = f"only {quoted(EVERY_NAME)} and {quoted(notation.children_of(path))}, rewritten to the last segment,"
        entry.lose("find", f"{cause} can be read", "list the parameters in data")
        entry.ignore("rewrite")
        return {}
    entry.ignore("rewrite")
    found = {"path": path, "recursive": recursive, "isBinary": _decodes(find)}
    find.expect("conversionStrategy", "Default")
    find.expect("nullBytePolicy", "Ignore")
    find.close()
    return {name: value for name, value in found.items() if value}


def _reference(remote: Taken, store: Store) -> dict[str, Any]:
    key, version = store.prefix + remote.text("key"), remote.text("version")
    if not version:
        return {"key": key}
    if store.backend == _PARAMETERS:
        return {"key": f"{key}:{version}"}
    identified = version.startswith("uuid/")
    return {"key": key, "versionId" if identified else "versionStage": version.removeprefix("uuid/")}


def _decodes(remote: Taken) -> bool:
    strategy = remote.text("decodingStrategy") or "None"
    if strategy not in {"None", "Base64"}:
        remote.lose("decodingStrategy", f"{quoted(strategy)} is not possible", "write None or Base64")
    return strategy == "Base64"


def _close(remote: Taken) -> None:
    remote.expect("metadataPolicy", "None")
    remote.expect("conversionStrategy", "Default")
    remote.expect("nullBytePolicy", "Ignore")
    remote.close()


# the template


def _template(target: Taken, metadata: Mapping[str, Any], told: Told, subject: str) -> dict[str, Any]:
    if "template" not in target.names():
        copied = {field: dict(_copied(metadata.get(field))) for field in ("labels", "annotations")}
        return _present({"metadata": _present({f: _literals(t, f"{subject} {f}", told) for f, t in copied.items()})})
    source = target.below("template")
    head = source.below("metadata")
    data = source.mapping("data")
    kind = source.text("type")
    made = {field: _texts(head.mapping(field), f"{head.path}.{field}", told) for field in ("labels", "annotations")}
    if data and source.text("mergePolicy") != "Merge":
        source.lose("mergePolicy", "the Secret will also hold the keys of data", "write Merge, if that is meant")
    source.expect("mergePolicy", "Merge", "Replace")
    source.expect("engineVersion", "v2")
    head.close()
    source.close()
    texts = _texts(data, f"{source.path}.data", told)
    return _present(
        {"type": "" if kind == "Opaque" else kind, "metadata": _present(made), "stringData": texts},
    )


def _copied(value: object) -> Iterator[tuple[str, str]]:
    """Yield labels or annotations that the operator copies to the Secret where there is no template."""
    for key, text in mapping(value).items():
        if key != LAST_APPLIED and not key.startswith(PREFIX):
            yield key, str(text)


def _literals(texts: Mapping[str, str], place: str, told: Told) -> dict[str, str]:
    return {
        key: one.text for key, text in texts.items() if (one := _matched(lodash.literal, text, f"{place}.{key}", told))
    }


def _texts(texts: Mapping[str, Any], place: str, told: Told) -> dict[str, str]:
    found = {}
    for key, text in texts.items():
        one = _matched(lodash.to_lodash, str(text), f"{place}.{key}", told)
        if one is None:
            continue
        if one.parses:
            told.note(f"{place}.{key}", "numbers and null of JSON are printed as stored", "check what fromJson gave")
        found[key] = one.text
    return found


def _matched(way: Any, text: str, place: str, told: Told) -> Matched | None:  # noqa: ANN401 # a function of lodash
    try:
        found: Matched = way(text)
    except Unmatched as error:
        told.lose(place, f"{quoted(str(error))} has no counterpart", "no code is run: store the finished text in AWS")
        return None
    return found
