"""The values of the sync door between parse, resolve, render and decide. Pure: the control loop does the I/O.

One object of Kubernetes (the source) goes this way, each step a function without I/O::

    plan      = externalsecret.parse(object, region=…, mode=…)        | secretproviderclass.parse(object, region=…)
    error     = policy.verdict(plan, namespace_annotations, rules)    None: allowed
    reads     = {ref: Read | KeyferryError}                           the loop, with the Resolver, for plan.wants
    rendering = render.render(plan, reads)                            which Secrets are wanted; what failed
    decision  = manifest.decide(desired, live)                        for each of rendering.secrets
    body      = status.body(plan.origin, rendering, targets, …)       None: the status is already so

A Secret is only ever written whole: when one of its items fails, ``Rendering.withheld`` names it and the last good
Secret stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

import msgspec

from driver.errors import KeyferryError, all_of
from driver.model import AuthMethod, Read, Role, SecretRef, Want
from driver.spc.plan import Plan

FIELD_MANAGER = "keyferry"
"""The one field manager of every server-side apply."""

PREFIX = "keyferry.dev/"
"""Annotations with this prefix are ours. On a source they are its settings, on a Secret our record."""

SYNC = PREFIX + "sync"
SERVICE_ACCOUNT = PREFIX + "service-account"
NAMED_SECRETS = PREFIX + "named-secrets"
DELETION_POLICY = PREFIX + "deletion-policy"
POLL_INTERVAL = PREFIX + "poll-interval"

SOURCE = PREFIX + "source"
"""On a Secret: ``<kind>/<name>`` of the object of the same namespace that fills it. Another object then may not."""

SOURCE_UID = PREFIX + "source-uid"
"""On a Secret: the uid of that object when it last wrote; for people, since a new object of the same name continues."""

KEYS = PREFIX + "keys"
"""On a Secret: the keys of ``data`` that are ours, sorted, separated by commas."""

Found = Read | KeyferryError
Reads = Mapping[SecretRef, Found]
"""What came of ``SyncPlan.wants``, each under its ``ref``. One that is left out is an optional one that is missing."""


class Mode(StrEnum):
    """What an item whose ``name`` could be that of a Secret means (annotation ``keyferry.dev/named-secrets``)."""

    AUTO = "auto"
    """A key of the object's own Secret, and an existing empty Opaque Secret of that name is filled too."""
    SECRET = "secret"  # noqa: S105 # a mode's name
    """A Secret of that name, made when it is missing, and no key."""
    KEY = "key"
    """A key of the object's own Secret, as with kubernetes-external-secrets."""


class Origin(msgspec.Struct, frozen=True):
    """The object of Kubernetes that a plan came from."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    generation: int = 0

    @property
    def claim(self) -> str:
        """Return what ``SOURCE`` says on a Secret of this object."""
        return f"{self.kind}/{self.name}"

    def owner_reference(self) -> dict[str, Any]:
        """Return the reference that a Secret made for this object carries."""
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
        }


class Shape(StrEnum):
    """What an item makes of its value."""

    VALUE = "value"
    """One key: the value, or one property of it."""
    SPREAD = "spread"
    """A key for each property of a JSON object (``dataFrom``)."""
    PATH = "path"
    """A key for each parameter below a path, named by its last segment."""


class Item(msgspec.Struct, frozen=True):
    """One entry of ``data``, ``dataFrom`` or ``dataFromWithOptions``.

    ``place`` is the field's path (``data[0]``), ``key`` the text that was written for AWS, ``name`` the Secret's key
    (``Shape.VALUE`` only). ``property_path`` is None when it is not asked for. ``named``: ``name`` can be that of a
    Secret to fill.
    """

    place: str
    key: str
    want: Want
    shape: Shape
    name: str = ""
    property_path: str | None = None
    binary: bool = False
    recursive: bool = False
    named: bool = False

    @property
    def subject(self) -> str:
        """Return how errors name the item."""
        return f"{self.place} ({self.key})"


class Template(msgspec.Struct, frozen=True):
    """``spec.template``: texts that may hold ``<%= … %>``, under their keys. Checked: each can be rendered."""

    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    data: dict[str, str] = {}
    string_data: dict[str, str] = {}


class Items(msgspec.Struct, frozen=True):
    """What an ExternalSecret asks for. ``items`` are in KES's merge order: of equal names the last one wins."""

    items: tuple[Item, ...]
    type: str
    template: Template
    mode: Mode


class SecretObject(msgspec.Struct, frozen=True):
    """One entry of ``secretObjects``: ``data`` are (path of the file, key of the Secret)."""

    place: str
    name: str
    type: str
    data: tuple[tuple[str, str], ...]
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Objects(msgspec.Struct, frozen=True):
    """What a SecretProviderClass asks for: the files of ``plan``, put into Secrets."""

    plan: Plan
    secrets: tuple[SecretObject, ...]


class SyncPlan(msgspec.Struct, frozen=True):
    """A source object, every rule checked.

    - ``service_account``: whose identity reads, by TokenRequest in ``origin.namespace``; empty: the controller's own,
      ``method`` is then AMBIENT. Roles that are assumed on top are in each want's ``ref.chain``, and all in ``roles``.
    - ``keys``: every name and path that is read, as written: what the namespace's key pattern is held against.
    - ``wants``: the reads, without repeats. ``region`` and ``failover_region`` are for ``Access``.
    - ``interval``: seconds between polls, None: the controller's.
    - ``retain``: the Secret stays when the source is deleted (no owner reference).
    - ``targets``: names of all Secrets that this object could write: a change of one of them is a reason to reconcile.
    - ``notes``: what was written and has no effect, one line each: for lint and a Normal Event.
    """

    origin: Origin
    content: Items | Objects
    wants: tuple[Want, ...]
    keys: tuple[str, ...]
    targets: tuple[str, ...]
    region: str
    failover_region: str = ""
    method: AuthMethod = AuthMethod.AMBIENT
    address_type: Literal["auto", "ipv4", "ipv6"] = "auto"
    service_account: str = ""
    roles: tuple[Role, ...] = ()
    controller_id: str = ""
    interval: float | None = None
    retain: bool = False
    notes: tuple[str, ...] = ()


class Claim(StrEnum):
    """When a wanted Secret may be written, beside the case that it is already the source's."""

    MAKE = "make"
    """It is missing, or it is an empty Opaque Secret."""
    FILL = "fill"
    """It is an empty Opaque Secret."""


@dataclass(frozen=True, slots=True)
class Desired:
    """One Secret that is wanted, whole. ``data`` holds the plain bytes; they never show in ``repr``.

    ``labels`` and ``annotations`` are the user's (template, secretObjects); ``manifest`` adds ours. ``flaw``
    (``Claim.FILL`` only) is why the value cannot fill it: that matters only for a Secret that it filled before.
    """

    origin: Origin
    name: str
    type: str
    data: Mapping[str, bytes] = field(repr=False)
    claim: Claim
    labels: Mapping[str, str] = field(default_factory=dict, repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict, repr=False)
    retain: bool = False
    flaw: KeyferryError | None = None

    @property
    def namespace(self) -> str:
        """Return the namespace: always that of the source."""
        return self.origin.namespace


class ItemOutcome(msgspec.Struct, frozen=True):
    """What became of one item: ``version`` is AWS's, empty when nothing was read; ``error`` None when all is well.

    ``name`` is the Secret's key, empty for items that give many.
    """

    place: str
    key: str
    name: str = ""
    property_path: str = ""
    version: str = ""
    error: KeyferryError | None = None


class Withheld(msgspec.Struct, frozen=True):
    """A Secret that cannot be written whole now, and why. What is in the cluster stays."""

    name: str
    error: KeyferryError


class Rendering(msgspec.Struct, frozen=True):
    """Which Secrets are wanted, which are withheld, and how each item fared."""

    secrets: tuple[Desired, ...]
    items: tuple[ItemOutcome, ...]
    withheld: tuple[Withheld, ...] = ()

    @property
    def error(self) -> KeyferryError | None:
        """Return all that failed as one error; None when nothing did."""
        errors = [item.error for item in self.items if item.error] + [one.error for one in self.withheld]
        return all_of(errors) if errors else None
