"""From an object's name, type, versions and regions to what is read: a ``Want``. The rules are AWS provider 3.1.1's."""

from difflib import get_close_matches
from functools import partial

import msgspec

from driver.model import Role, SecretRef, Store, Want
from driver.spc.fields import FAILOVER_FIELDS, Reader, by_lower_case, quoted
from driver.spc.settings import Settings, chain, check_region

_SERVICES = {"secretsmanager": Store.SECRETS_MANAGER, "ssm": Store.PARAMETER}
_FAILOVER_NAMES = by_lower_case(FAILOVER_FIELDS)
_NAME_LIMIT = 2_048


class _Copy(msgspec.Struct, frozen=True):
    """Name, version and label of one region's copy, as written."""

    name: str
    version: str
    label: str


def want(entry: Reader, settings: Settings) -> Want | None:
    """Return what an object reads, or None after its problems have been noted."""
    name = entry.text("objectName")
    region = entry.text("region") or settings.region
    check_region(entry.text("region"), partial(entry.refuse, "region"))
    store = _store(entry, name, entry.text("objectType"), region)
    copy = _Copy(name, entry.text("objectVersion"), entry.text("objectVersionLabel"))
    roles = _chain(entry, settings)
    if store is None:
        return None
    ref = _reference(entry, store, copy, region, roles)
    failover = _failover(entry, store, copy, settings, roles)
    return Want(ref=ref, failover=failover if failover != ref else None, optional=entry.flag("optional"))


def is_arn(name: str) -> bool:
    """Tell whether a name is meant as an ARN."""
    return name.startswith("arn:")


def _store(entry: Reader, name: str, kind: str, region: str) -> Store | None:
    """Check a name against type and region; a failover's name is checked in the same way as the object's own."""
    if len(name) > _NAME_LIMIT:
        entry.refuse("objectName", f"a name of more than {_NAME_LIMIT} characters", "write the secret's name or ARN")
    if kind and kind not in set(Store):
        _unknown_type(entry, kind)
        return None
    if kind == Store.PARAMETER_PATH:
        return _path_store(entry, name)
    if not is_arn(name):
        if not kind:
            cause = f"Must use objectType when a full ARN is not specified: {quoted(name)}"
            entry.refuse("objectName", cause, 'add objectType: "secretsmanager" or "ssmparameter"')
        return Store(kind) if kind else None
    return _arn_store(entry, name, kind, region)


def _unknown_type(entry: Reader, kind: str) -> None:
    close = {"ssm": "ssmparameter"}.get(kind.lower()) or next(iter(get_close_matches(kind.lower(), list(Store), 1)), "")
    remedy = f'write "{close}"' if close else "write " + ", ".join(f'"{store}"' for store in Store)
    entry.refuse("objectType", f"Invalid objectType: {quoted(kind)}", remedy)


def _path_store(entry: Reader, name: str) -> Store | None:
    if name.startswith("/"):
        return Store.PARAMETER_PATH
    entry.refuse("objectName", f"{quoted(name)} is not a path of parameters", "begin it with '/'")
    return None


def _arn_store(entry: Reader, name: str, kind: str, region: str) -> Store | None:
    parts = name.split(":", 5)
    if len(parts) < 6:
        cause = f"Invalid ARN format in object name: {quoted(name)}"
        entry.refuse("objectName", cause, "write the whole ARN, or the plain name with objectType")
        return None
    _check_arn_region(entry, name, parts[3], region)
    store = _SERVICES.get(parts[2])
    if kind and store != kind:
        cause = f"objectType does not match ARN: it is {quoted(kind)}, the ARN's service {quoted(parts[2])}"
        entry.refuse("objectType", cause, "correct either, or leave objectType out")
    elif store is None:
        cause = f"Invalid service in ARN: {quoted(parts[2])}"
        entry.refuse("objectName", cause, "name a secret of secretsmanager or a parameter of ssm")
    return store


def _check_arn_region(entry: Reader, name: str, found: str, region: str) -> None:
    if not region or found == region:
        return
    cause = f"ARN region must match region {region}: {quoted(name)}"
    entry.refuse(
        "objectName", cause, f"add region: {found} to the object" if found else "write the ARN with its region"
    )


def _reference(entry: Reader, store: Store, copy: _Copy, region: str, roles: tuple[Role, ...]) -> SecretRef:
    name, version, label = copy.name, copy.version, copy.label
    if store is Store.PARAMETER:
        name, selector = _split_selector(entry, copy.name)
        if sum(map(bool, (selector, version, label))) > 1:
            cause = f"ssm parameters can not specify both objectVersion and objectVersionLabel: {quoted(copy.name)}"
            entry.refuse("objectVersion", cause, "keep one of objectVersion, objectVersionLabel and a ':' in the name")
        version = selector if selector.isdecimal() else version
        label = label if selector.isdecimal() else selector or label
    elif store is Store.PARAMETER_PATH:
        name = name.rstrip("/") or "/"
        if version or label:
            entry.refuse("objectVersion", "a path has no version or label", "remove it, or list the parameters singly")
    return SecretRef(store=store, name=name, region=region, version=version, label=label, chain=roles)


def _split_selector(entry: Reader, name: str) -> tuple[str, str]:
    """Split ``name:3`` or ``name:label`` as GetParameters does; an ARN's own colons are not such."""
    head, tail = (name[: -len(name.split(":", 5)[5])], name.split(":", 5)[5]) if is_arn(name) else ("", name)
    plain, colon, selector = tail.partition(":")
    if colon and (not plain or not selector or ":" in selector):
        cause = f"{quoted(name)} does not end in one version or label"
        entry.refuse("objectName", cause, "write <name>:<version> or <name>:<label>")
    return head + plain, selector


def _failover(
    entry: Reader, store: Store, copy: _Copy, settings: Settings, roles: tuple[Role, ...]
) -> SecretRef | None:
    node = entry.mapping("failoverObject")
    other = Reader(node, _FAILOVER_NAMES, entry.subject, entry.problems) if node else None
    name = other.text("objectName") if other else ""
    if other and name:
        _check_failover(entry, other, store, settings)
    # An ARN names one region: without another name there is nothing to fall over to
    if not settings.failover_region or (is_arn(copy.name) and not name):
        return None
    chosen = _Copy(
        name=name or copy.name,
        version=(other.text("objectVersion") if other else "") or copy.version,
        label=(other.text("objectVersionLabel") if other else "") or copy.label,
    )
    return _reference(entry, store, chosen, settings.failover_region, roles)


def _check_failover(entry: Reader, other: Reader, store: Store, settings: Settings) -> None:
    if not entry.text("objectAlias") and store is not Store.PARAMETER_PATH:
        cause = "object alias must be specified for objects with failover entries"
        entry.refuse("failoverObject", cause, "add objectAlias")
    if not settings.failover_region:
        cause = "failover object allowed only when failover region is defined"
        entry.refuse("failoverObject", cause, "add the parameter failoverRegion, or remove failoverObject")
    found = _store(other, other.text("objectName"), entry.text("objectType"), settings.failover_region)
    if found and found is not store:
        other.refuse(
            "objectName", "objectType does not match ARN: the failover is kept elsewhere", "name a like object"
        )
    if other.text("objectVersion") != entry.text("objectVersion"):
        cause = "object versions must match between primary and failover regions"
        other.refuse("objectVersion", cause, "write the same objectVersion in both, or use objectVersionLabel")


def _chain(entry: Reader, settings: Settings) -> tuple[Role, ...]:
    arns, external_ids = entry.texts("roleArn"), entry.texts("externalId")
    if not arns and not external_ids:
        return settings.chain
    inherited = tuple(role.arn for role in settings.chain)
    return chain(arns or inherited, external_ids, partial(entry.refuse, "roleArn" if arns else "externalId"))
