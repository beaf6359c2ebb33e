"""The External Secrets Operator's stores, as far as they are on AWS (pure)."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from driver.cli.eso.taken import Taken
from driver.cli.eso.told import SERVICES, Told
from driver.spc.fields import quoted

_BACKENDS = {service: backend for backend, service in SERVICES.items()}

StoreKey = tuple[str, str, str]
"""Kind, namespace (empty for the cluster's), name."""


class Store(msgspec.Struct, frozen=True):
    """What a store on AWS says for the objects that use it."""

    backend: str
    region: str
    roles: str
    account: str
    account_namespace: str
    prefix: str
    controller: str


def stores(found: Iterable[Mapping[str, Any]], told: Told) -> dict[StoreKey, Store]:
    """Return the stores on AWS among objects; others are left out."""
    done: dict[StoreKey, Store] = {}
    for value in found:
        kind = str(value.get("kind") or "")
        metadata = mapping(value.get("metadata"))
        name, namespace = str(metadata.get("name") or ""), str(metadata.get("namespace") or "")
        spec = Taken(value.get("spec"), f"{kind}/{name} spec", told)
        provider = spec.below("provider")
        if "aws" in provider.names():
            key = (kind, "" if kind == "ClusterSecretStore" else namespace, name)
            done[key] = _store(spec, provider.below("aws"))
            spec.ignore("provider", "retrySettings", "refreshInterval")
            spec.close()
    return done


def _store(spec: Taken, aws: Taken) -> Store:
    service = aws.text("service")
    if service not in _BACKENDS:
        aws.lose("service", f"{quoted(service)} is not read", "keyferry reads SecretsManager and ParameterStore")
    roles = [*aws.texts("additionalRoles"), *filter(None, [aws.text("role")])]
    auth = aws.below("auth")
    reference = auth.below("jwt").below("serviceAccountRef")
    account = reference.text("name")
    account_namespace = reference.text("namespace")
    reference.close()
    auth.close()
    aws.expect("sessionTagsPolicy", "None")
    aws.ignore("secretsManager")  # how secrets are deleted, which only PushSecret does
    found = Store(
        backend=_BACKENDS.get(service, "secretsManager"),
        region=aws.text("region"),
        roles=",".join(roles),
        account=account,
        account_namespace=account_namespace,
        prefix=aws.text("prefix"),
        controller=spec.text("controller"),
    )
    aws.close()
    return found


def mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, and anything else as an empty one."""
    return value if isinstance(value, Mapping) else {}
