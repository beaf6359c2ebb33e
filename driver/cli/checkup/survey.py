"""The classes and ExternalSecrets of a cluster, each read once with the doors' parsers. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from driver.cli import externalsecrets, lint, syncedclasses
from driver.cli.checkup import programs
from driver.cli.checkup.facts import Facts
from driver.cli.classes import Finding, of_object
from driver.cli.documents import Document
from driver.errors import KeyferryError
from driver.spc import objects
from driver.spc.plan import Plan
from driver.sync import externalsecret, secretproviderclass
from driver.sync.plan import SERVICE_ACCOUNT, Items, Mode, SyncPlan

REGION = "us-east-1"
"""Stands for the doors' own region, which a cluster does not tell."""


class Manifest(msgspec.Struct, frozen=True):
    """A class or ExternalSecret of a cluster. ``plan`` and ``sync``: what the doors make of it, if they can."""

    kind: str
    namespace: str
    name: str
    value: Mapping[str, Any]
    findings: Sequence[Finding]
    plan: Plan | None = None
    sync: SyncPlan | None = None

    @property
    def place(self) -> str:
        """Return ``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def claim(self) -> str:
        """Return what stands on the Secrets that it fills."""
        return f"{self.kind}/{self.name}"

    @property
    def opted_in(self) -> bool:
        """Tell whether the sync door serves it."""
        return self.kind == externalsecret.KIND or secretproviderclass.opted_in(self.value)

    @property
    def service_account(self) -> str:
        """Return the service account that the sync door reads it as; empty: keyferry's own."""
        annotations = _mapping(_mapping(self.value, "metadata"), "annotations")
        return str(annotations.get(SERVICE_ACCOUNT) or "")

    @property
    def driver_secrets(self) -> list[str]:
        """Return the names in ``secretObjects``, which the driver writes when its sync is on."""
        entries = _mapping(self.value, "spec").get("secretObjects")
        named = [one.get("secretName") for one in _list(entries) if isinstance(one, Mapping)]
        return [name for name in named if isinstance(name, str) and name]


class Survey(msgspec.Struct, frozen=True):
    """All manifests that are keyferry's; ``names``: those of all classes, of other providers too."""

    classes: Mapping[tuple[str, str], Manifest]
    external_secrets: Sequence[Manifest]
    names: Collection[tuple[str, str]]

    @property
    def synced(self) -> list[Manifest]:
        """Return what the sync door serves."""
        return [*(one for one in self.classes.values() if one.opted_in), *self.external_secrets]

    @property
    def mountable(self) -> list[Manifest]:
        """Return the classes that only a pod's mount brings to life."""
        return [one for one in self.classes.values() if not one.opted_in]

    @property
    def wants_secrets(self) -> bool:
        """Tell whether anything is to become a Secret."""
        return bool(self.synced) or any(one.driver_secrets for one in self.mountable)


def survey(facts: Facts, provider: str) -> Survey:
    """Read everything. ``provider``: what the classes that are keyferry's write."""
    providers = tuple(dict.fromkeys((provider, *secretproviderclass.PROVIDERS)))
    names = frozenset(_place(value) for value in facts.classes or ())
    classes = [one for value in facts.classes or () if (one := _class(value, provider, providers))]
    mode = _mode(facts)
    external = [_external(value, mode) for value in facts.external_secrets or ()]
    return Survey({(one.namespace, one.name): one for one in classes}, external, names)


def _class(value: Mapping[str, Any], provider: str, providers: Sequence[str]) -> Manifest | None:
    whole = {"apiVersion": secretproviderclass.API_VERSION, "kind": secretproviderclass.KIND, **value}
    found = of_object(whole, (provider,))
    if found is None:
        return None
    findings = list(lint.check_class(found))
    document = Document("", whole, {"": 1})
    sync = None
    if syncedclasses.is_synced(document):
        findings += syncedclasses.problems(document, findings, providers)
        sync = _parsed(lambda: secretproviderclass.parse(whole, region=REGION, providers=providers))
    texts = {name: one.text or "" for name, one in found.parameters.items()}
    plan = _parsed(lambda: objects.parse(texts, region=""))
    return Manifest(secretproviderclass.KIND, *_place(value), whole, tuple(findings), plan, sync)


def _mode(facts: Facts) -> Mode:
    """Return what named Secrets mean to the controller, as far as its object does not say it."""
    ours = (programs.controller_of(one.spec.template.spec) for one in facts.deployments or ())
    word = next((programs.option(one, "named-secrets", Mode.AUTO) for one in ours if one), Mode.AUTO)
    return Mode(word) if word in set(Mode) else Mode.AUTO


def _external(value: Mapping[str, Any], mode: Mode) -> Manifest:
    whole = {"apiVersion": externalsecret.API_VERSION, "kind": externalsecret.KIND, **value}
    findings = tuple(externalsecrets.problems(Document("", whole, {"": 1})))
    sync = _parsed(lambda: externalsecret.parse(whole, region=REGION, mode=mode))
    return Manifest(externalsecret.KIND, *_place(value), whole, findings, None, sync)


def _parsed(parse: Callable[[], Any]) -> Any:  # noqa: ANN401 # a plan of either door; what is wrong is told by the checks
    try:
        return parse()
    except KeyferryError:
        return None


def _place(value: Mapping[str, Any]) -> tuple[str, str]:
    metadata = _mapping(value, "metadata")
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _mapping(node: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = node.get(name)
    return found if isinstance(found, Mapping) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def targets(one: Manifest, *, driver: bool) -> Iterator[str]:
    """Yield the Secrets that a manifest asks for: of the sync door, else of the driver's sync if that is on."""
    if one.sync and isinstance(one.sync.content, Items) and one.sync.content.mode is Mode.AUTO:
        yield one.name  # a Secret that an item names is filled only while it is there and empty
    elif one.opted_in:
        yield from one.sync.targets if one.sync else ()
    elif driver:
        yield from one.driver_secrets
