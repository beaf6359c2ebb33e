"""The kinds of objects that ``keyferry doctor`` reads, and the few of their fields that it looks at."""

from collections.abc import Mapping, Sequence

import msgspec

from driver.sync.kinds import Resource

DRIVER_NAME = "secrets-store.csi.k8s.io"

CSI_DRIVERS = Resource("/apis/storage.k8s.io/v1", "csidrivers")
NODES = Resource("/api/v1", "nodes")
CRDS = Resource("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions")
CLUSTER_ROLES = Resource("/apis/rbac.authorization.k8s.io/v1", "clusterroles")
POD_STATUSES = Resource("/apis/secrets-store.csi.x-k8s.io/v1", "secretproviderclasspodstatuses")


class _Fields(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Fields as the API server names them."""


class Owner(_Fields, frozen=True):
    """An owner reference."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    api_version: str = ""


class FieldOwner(_Fields, frozen=True):
    """An entry of ``managedFields``."""

    manager: str = ""
    subresource: str = ""


class Meta(_Fields, frozen=True):
    """Metadata."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    owner_references: Sequence[Owner] = ()
    managed_fields: Sequence[FieldOwner] = ()


class Titled(_Fields, frozen=True):
    """An object of which only the metadata is wanted: the API server is asked for no more."""

    metadata: Meta

    @property
    def place(self) -> str:
        """Return ``namespace/name``."""
        return f"{self.metadata.namespace}/{self.metadata.name}"


class TokenRequest(_Fields, frozen=True):
    """An audience that pods' tokens are made for."""

    audience: str = ""


class CsiDriverSpec(_Fields, frozen=True):
    """Of a CSIDriver (storage.k8s.io/v1)."""

    pod_info_on_mount: bool | None = None
    requires_republish: bool | None = None
    service_account_token_in_secrets: bool | None = None
    token_requests: Sequence[TokenRequest] = ()
    volume_lifecycle_modes: Sequence[str] = ()


class CsiDriver(Titled, frozen=True):
    """How the kubelet treats the driver's volumes."""

    spec: CsiDriverSpec = CsiDriverSpec()


class Port(_Fields, frozen=True):
    """A port of a container."""

    name: str = ""
    container_port: int = 0


class Mounted(_Fields, frozen=True):
    """A volume in a container."""

    name: str = ""
    mount_path: str = ""


class Variable(_Fields, frozen=True):
    """An environment variable with its value."""

    name: str = ""
    value: str = ""


class Container(_Fields, frozen=True):
    """A container."""

    name: str = ""
    image: str = ""
    args: Sequence[str] = ()
    command: Sequence[str] = ()
    env: Sequence[Variable] = ()
    ports: Sequence[Port] = ()
    volume_mounts: Sequence[Mounted] = ()


class HostPath(_Fields, frozen=True):
    """A folder of the node."""

    path: str = ""


class CsiVolume(_Fields, frozen=True):
    """A volume of a CSI driver inside a pod."""

    driver: str = ""
    volume_attributes: Mapping[str, str] = {}


class Volume(_Fields, frozen=True):
    """A volume of a pod."""

    name: str = ""
    host_path: HostPath | None = None
    csi: CsiVolume | None = None


class Toleration(_Fields, frozen=True):
    """A taint that a pod bears; without ``key`` and with ``Exists``: all."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""


class PodSpec(_Fields, frozen=True):
    """What runs in a pod."""

    containers: Sequence[Container] = ()
    volumes: Sequence[Volume] = ()
    tolerations: Sequence[Toleration] = ()
    node_selector: Mapping[str, str] = {}
    node_name: str = ""
    service_account_name: str = ""


class Condition(_Fields, frozen=True):
    """A condition of a pod."""

    type: str = ""
    status: str = ""


class PodStatus(_Fields, frozen=True):
    """How a pod is."""

    phase: str = ""
    conditions: Sequence[Condition] = ()


class Pod(Titled, frozen=True):
    """A pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        """Tell whether all its readiness probes pass."""
        return any(one.type == "Ready" and one.status == "True" for one in self.status.conditions)

    @property
    def done(self) -> bool:
        """Tell whether it has ended for good."""
        return self.status.phase in {"Succeeded", "Failed"}

    def class_names(self) -> list[str]:
        """Return the SecretProviderClasses that it mounts."""
        volumes = [one.csi.volume_attributes for one in self.spec.volumes if one.csi and one.csi.driver == DRIVER_NAME]
        return [attributes.get("secretProviderClass", "") for attributes in volumes]


class Template(_Fields, frozen=True):
    """A pod template."""

    spec: PodSpec = PodSpec()


class WorkloadSpec(_Fields, frozen=True):
    """Of a DaemonSet or Deployment."""

    replicas: int = 1
    template: Template = Template()


class WorkloadStatus(_Fields, frozen=True):
    """How many of a workload's pods are ready."""

    ready_replicas: int = 0


class Workload(Titled, frozen=True):
    """A DaemonSet or Deployment."""

    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class Node(Titled, frozen=True):
    """A node, of which labels are wanted."""


class Column(_Fields, frozen=True):
    """A printer column of a CRD."""

    name: str = ""


class CrdVersion(_Fields, frozen=True):
    """A version that a CRD may serve."""

    name: str = ""
    served: bool = False
    additional_printer_columns: Sequence[Column] = ()


class CrdSpec(_Fields, frozen=True):
    """Of a CRD."""

    versions: Sequence[CrdVersion] = ()


class Crd(Titled, frozen=True):
    """A CustomResourceDefinition."""

    spec: CrdSpec = CrdSpec()


class LeaseSpec(_Fields, frozen=True):
    """Who leads."""

    holder_identity: str | None = None
    renew_time: str | None = None


class Lease(Titled, frozen=True):
    """A Lease (coordination.k8s.io/v1)."""

    spec: LeaseSpec = LeaseSpec()


class Involved(_Fields, frozen=True):
    """What an Event is about."""

    kind: str = ""
    namespace: str = ""
    name: str = ""


class Event(_Fields, frozen=True):
    """An Event (core/v1)."""

    metadata: Meta
    involved_object: Involved = Involved()
    message: str = ""
    last_timestamp: str | None = None
    event_time: str | None = None

    @property
    def time(self) -> str:
        """Return when it was last seen, as text that sorts."""
        return self.last_timestamp or self.event_time or ""


class MountStatus(_Fields, frozen=True):
    """Of which pod and class a SecretProviderClassPodStatus tells."""

    pod_name: str = ""
    secret_provider_class_name: str = ""


class MountRecord(Titled, frozen=True):
    """A SecretProviderClassPodStatus."""

    status: MountStatus = MountStatus()
