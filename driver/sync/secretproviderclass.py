"""From a SecretProviderClass with ``secretObjects`` (``secrets-store.csi.x-k8s.io/v1``) to a plan.

What driver 1.6.0 checks when a pod mounts the class is checked here, before anything is read.
"""

from collections.abc import Collection, Mapping
from typing import Any

from driver.errors import KeyferryError
from driver.spc import objects as spc_objects
from driver.spc.fields import Problems, quoted
from driver.spc.plan import Plan
from driver.sync import secrettype
from driver.sync.objects import TLS, TLS_KEYS
from driver.sync.plan import PREFIX, SERVICE_ACCOUNT, SYNC, Objects, SecretObject, SyncPlan
from driver.sync.source import Fields, is_name, origin, require_region, settings
from driver.sync.standing import DRIVER_LABEL

API_GROUP = "secrets-store.csi.x-k8s.io"
API_VERSION = "secrets-store.csi.x-k8s.io/v1"
KIND = "SecretProviderClass"

PROVIDERS = ("aws", "keyferry")


def opted_in(source: Mapping[str, Any]) -> bool:
    """Tell whether a class asks to be synced: annotation ``keyferry.dev/sync: "true"``."""
    metadata = source.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    return isinstance(annotations, Mapping) and annotations.get(SYNC) == "true"


def parse(source: Mapping[str, Any], *, region: str, providers: Collection[str] = PROVIDERS) -> SyncPlan:
    """Return what a class that has opted in asks for. ``region`` holds where it names none.

    ``providers`` are the names of ``spec.provider`` that mean keyferry. Raises ``InvalidInput`` or, for several
    problems, ``Failures``.
    """
    problems = Problems()
    root = Fields(source, "", problems)
    who = origin(source)
    own = settings(root.below("metadata"), modes=False)
    if not own.service_account:
        remedy = "name the service account whose identity reads the values"
        problems.add(f"metadata.annotations.{SERVICE_ACCOUNT}", "it is missing", remedy)
    spec = root.below("spec")
    provider = spec.text("provider")
    if provider not in providers:
        cause = f"{quoted(provider or '')} is another provider"
        spec.refuse("provider", cause, "write " + " or ".join(f'"{name}"' for name in providers))
    plan = _plan(spec, region, problems)
    secrets = _secrets(spec)
    problems.check()
    assert plan is not None  # noqa: S101 # without one there was a problem
    return SyncPlan(
        origin=who,
        content=Objects(plan, secrets),
        wants=plan.wants,
        keys=_keys(plan),
        targets=tuple(one.name for one in secrets),
        region=plan.region,
        failover_region=plan.failover_region,
        method=plan.method,
        address_type=_address_type(plan),
        service_account=own.service_account,
        roles=tuple(dict.fromkeys(role for want in plan.wants for role in want.ref.chain)),
        interval=own.interval,
        retain=own.retain,
    )


def _address_type(plan: Plan) -> Any:  # noqa: ANN401 # one of three words, checked where the plan was made
    return plan.address_type


def _plan(spec: Fields, region: str, problems: Problems) -> Plan | None:
    parameters = spec.below("parameters").texts()
    try:
        plan = spc_objects.parse(parameters, region=region)
    except KeyferryError as error:
        problems.take(error)
        return None
    require_region(plan.region, spec.at("parameters.region"), problems)
    return plan


def _keys(plan: Plan) -> tuple[str, ...]:
    """Return every name that is read, in the failover region too."""
    refs = [ref for want in plan.wants for ref in (want.ref, want.failover) if ref]
    return tuple(dict.fromkeys(ref.name for ref in refs))


def _secrets(spec: Fields) -> tuple[SecretObject, ...]:
    entries = spec.entries("secretObjects")
    if not entries:
        spec.refuse("secretObjects", "there are none", "list the Secrets that are wanted")
    found = []
    for index, node in enumerate(entries):
        entry = Fields(node, f"{spec.at('secretObjects')}[{index}]", spec.problems)
        found.append(_secret(entry, f"secretObjects[{index}]"))
    names = [one.name for one in found]
    for name in {name for name in names if names.count(name) > 1}:
        spec.refuse("secretObjects", f"two of them have the secretName {quoted(name)}", "join them, or rename one")
    return tuple(found)


def _secret(entry: Fields, place: str) -> SecretObject:
    name = (entry.text("secretName") or "").strip()
    if not is_name(name):
        entry.refuse("secretName", f"{quoted(name)} is not the name of a Secret", "write lower-case letters and -")
    kind = (entry.text("type") or "").strip()
    wrong = secrettype.type_problem(kind) if kind else ("it is missing", 'write it, for example "Opaque"')
    if wrong:
        entry.refuse("type", *wrong)
    labels, annotations = entry.below("labels").texts(), entry.below("annotations").texts()
    for word in (*labels, *annotations):
        if word == DRIVER_LABEL or word.startswith(PREFIX):
            entry.refuse("labels" if word in labels else "annotations", f"{quoted(word)} is reserved", "remove it")
    bad = secrettype.metadata_problem(labels, annotations)
    if bad:
        entry.refuse(f"{'labels' if bad[0] in labels else 'annotations'}.{bad[0]}", bad[1], "correct it")
    return SecretObject(f"{place} ({name})", name, kind, _data(entry, kind), labels, annotations)


def _data(entry: Fields, kind: str) -> tuple[tuple[str, str], ...]:
    nodes = entry.entries("data")
    if not nodes:
        entry.refuse("data", "it is missing or empty", "add objectName and key of each entry")
    pairs = []
    for index, node in enumerate(nodes):
        part = Fields(node, f"{entry.at('data')}[{index}]", entry.problems)
        path, key = (part.text("objectName") or "").strip(), (part.text("key") or "").strip()
        if not path:
            part.refuse("objectName", "it is missing", "write the file's name: the objectAlias, or the objectName")
        _check_key(part, key, kind)
        pairs.append((path, key))
    return tuple(pairs)


def _check_key(part: Fields, key: str, kind: str) -> None:
    wrong = secrettype.key_problem(key) if key else "it is missing"
    if wrong:
        part.refuse("key", wrong, "write the key in the Secret")
    elif kind == TLS and key not in TLS_KEYS:
        part.refuse("key", f"type {TLS} has only the keys tls.crt and tls.key", "use type Opaque for others")
