"""What is read of a cluster for ``keyferry doctor``: the few fields that matter, and what could not be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from driver.cli.checkup.kinds import Crd, CsiDriver, Event, Lease, MountRecord, Node, Pod, Titled, Workload


class Gap(msgspec.Struct, frozen=True):
    """What could not be read: the right that is needed for it, and why it could not."""

    verb: str
    resource: str
    cause: str


Json = dict[str, Any]


@dataclass(slots=True)
class Facts:
    """A cluster as it was read. None: it could not be read, and a ``Gap`` says why; an empty list: there is none."""

    csi_drivers: Sequence[CsiDriver] | None = None
    daemonsets: Sequence[Workload] | None = None
    """Those of the driver and of the providers."""
    deployments: Sequence[Workload] | None = None
    """Those that serve ExternalSecrets: keyferry's and those of kubernetes-external-secrets."""
    nodes: Sequence[Node] | None = None
    crews: Sequence[Pod] | None = None
    """The pods of these workloads."""
    users: Sequence[Pod] | None = None
    """The pods that mount a SecretProviderClass."""
    crds: Mapping[str, Sequence[Crd] | None] = field(default_factory=dict)
    sync_roles: Sequence[Titled] | None = None
    """The ClusterRole with which the driver writes Secrets, if there is one."""
    leases: Sequence[Lease] | None = None
    classes: Sequence[Json] | None = None
    external_secrets: Sequence[Json] | None = None
    accounts: Sequence[Titled] | None = None
    secrets: Sequence[Titled] | None = None
    """Metadata only; None also when nothing wants a Secret."""
    events: Sequence[Event] | None = None
    records: Sequence[MountRecord] | None = None
    refusals: Mapping[str, str] = field(default_factory=dict)
    """What provider pods that are not ready say of it, by ``namespace/name``."""
    gaps: Sequence[Gap] = ()
