"""Reads what ``keyferry doctor`` looks at: by GET alone, in pages, and never the data of a Secret.

A right that is missing leaves a gap and stops nothing. Raises IdentityRefused, Unavailable, … only while the API server
has not answered anything yet.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from driver.cli.checkup import kinds, programs
from driver.cli.checkup.facts import Facts, Gap
from driver.errors import AccessDenied, IdentityRefused, KeyferryError, NotFound, Unavailable
from driver.sync.cluster import Api
from driver.sync.kinds import ACCOUNTS, CLASSES, EVENTS, EXTERNAL_SECRETS, LEASES, PODS, SECRETS, WORKLOADS, Resource
from driver.sync.leader import LEASE_NAME

T = TypeVar("T")

CRD_NAMES = (
    "secretproviderclasses.secrets-store.csi.x-k8s.io",
    "secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io",
    "externalsecrets.kubernetes-client.io",
)
SYNC_ROLE = "secretprovidersyncing-role"
"""The driver's ClusterRole for Secrets: it is there when its Helm value ``syncSecret.enabled`` is on."""

ASKED_PODS = 5
"""Provider pods that are not ready and asked why: of many, a few tell enough."""


def gather(api: Api, namespaces: Sequence[str]) -> Facts:
    """Return what there is; objects of people only of these namespaces, none named: of all."""
    return _Reader(api, namespaces).read()


def add_secrets(api: Api, namespaces: Sequence[str], found: Facts) -> None:
    """Read the metadata of all Secrets too; done only when something wants any."""
    reader = _Reader(api, namespaces, reached=True)
    found.secrets = reader.of_people(SECRETS, kinds.Titled)
    found.gaps = [*found.gaps, *reader.gaps]


class _Reader:
    """One reading."""

    def __init__(self, api: Api, namespaces: Sequence[str], *, reached: bool = False) -> None:
        self._api = api
        self._namespaces = tuple(namespaces) or ("",)
        self.gaps: list[Gap] = []
        self._reached = reached

    def read(self) -> Facts:
        found = Facts(csi_drivers=self._one(kinds.CSI_DRIVERS, kinds.CsiDriver, kinds.DRIVER_NAME))
        found.crds = {name: self._one(kinds.CRDS, kinds.Crd, name) for name in CRD_NAMES}
        found.sync_roles = self._one(kinds.CLUSTER_ROLES, kinds.Titled, SYNC_ROLE)
        found.nodes = self._all(kinds.NODES, kinds.Node)
        found.daemonsets = self._all(WORKLOADS["DaemonSet"], kinds.Workload, keep=programs.is_daemon)
        found.deployments = self._all(WORKLOADS["Deployment"], kinds.Workload, keep=programs.is_controller)
        found.classes = self.of_people(CLASSES, dict[str, Any])
        found.external_secrets = self.of_people(EXTERNAL_SECRETS, dict[str, Any])
        found.records = self.of_people(kinds.POD_STATUSES, kinds.MountRecord)
        found.accounts = self.of_people(ACCOUNTS, kinds.Titled)
        self._pods(found)
        if found.users is None or any(pod.status.phase == "Pending" for pod in found.users):
            found.events = self.of_people(EVENTS, kinds.Event, fields="reason=FailedMount")
        found.leases = self._leases(found)
        found.refusals = dict(self._refusals(found))
        found.gaps = self.gaps
        return found

    def _pods(self, found: Facts) -> None:
        crews = {one.metadata.uid for one in found.daemonsets or ()}
        places = {one.metadata.namespace for one in (*(found.daemonsets or ()), *(found.deployments or ()))}

        def is_crew(pod: kinds.Pod) -> bool:
            return any(owner.uid in crews for owner in pod.metadata.owner_references)

        def keep(pod: kinds.Pod) -> bool:
            return bool(pod.class_names()) or is_crew(pod)

        pods = self.of_people(PODS, kinds.Pod, keep=keep)
        if pods is not None:
            found.users = [pod for pod in pods if pod.class_names()]
        if self._namespaces != ("",) and pods is not None:
            for place in sorted(places - set(self._namespaces)):
                pods += self._all(PODS, kinds.Pod, namespace=place, keep=keep) or []
        found.crews = None if pods is None else [pod for pod in pods if is_crew(pod)]

    def _leases(self, found: Facts) -> list[kinds.Lease] | None:
        places = {
            one.metadata.namespace for one in found.deployments or () if not programs.is_kes(one.spec.template.spec)
        }
        leases: list[kinds.Lease] = []
        for place in sorted(places):
            some = self._one(LEASES, kinds.Lease, LEASE_NAME, namespace=place)
            if some is None:
                return None
            leases += some
        return leases

    def _refusals(self, found: Facts) -> Iterator[tuple[str, str]]:
        unready = [pod for pod in found.crews or () if not pod.ready and pod.status.phase == "Running"]
        for pod in unready[:ASKED_PODS]:
            one = programs.provider_of(pod.spec)
            if one is None or not programs.is_keyferry(one, "provider"):
                continue
            port = next((port.container_port for port in one.ports if port.name == "metrics"), 9809)
            try:
                status, text = self._api.page(pod.metadata.namespace, pod.metadata.name, port, "readyz")
            except KeyferryError as error:
                self._gap("get", "pods/proxy", error)
                return
            if status == 503 and not text.startswith("{"):
                yield pod.place, " ".join(text.split())[:200]

    def _one(self, resource: Resource, form: type[T], name: str, *, namespace: str = "") -> list[T] | None:
        return self._all(resource, form, namespace=namespace, fields=f"metadata.name={name}")

    def of_people(
        self, resource: Resource, form: type[T], *, fields: str = "", keep: Callable[[T], bool] = bool
    ) -> list[T] | None:
        found: list[T] = []
        for namespace in self._namespaces:
            some = self._all(resource, form, namespace=namespace, fields=fields, keep=keep)
            if some is None:
                return None
            found += some
        return found

    def _all(
        self,
        resource: Resource,
        form: type[T],
        *,
        namespace: str = "",
        fields: str = "",
        keep: Callable[[T], bool] = bool,
    ) -> list[T] | None:
        found: list[T] = []
        try:
            for items, _ in self._api.list(resource, form, namespace=namespace, fields=fields):
                found += filter(keep, items)
        except NotFound:  # the cluster does not know the kind
            pass
        except IdentityRefused as error:
            raise _unknown_person(error, resource) from None
        except (AccessDenied, Unavailable) as error:
            if not self._reached and not isinstance(error, AccessDenied):
                raise
            self._reached = True
            self._gap("list", _plural(resource), error)
            return None
        self._reached = True
        return found

    def _gap(self, verb: str, resource: str, error: KeyferryError) -> None:
        cause = "you may not" if isinstance(error, AccessDenied) else error.cause
        gap = Gap(verb, resource, cause)
        if gap not in self.gaps:
            self.gaps.append(gap)


def _unknown_person(error: IdentityRefused, resource: Resource) -> IdentityRefused:
    """Return the error for a refused login in a person's words; that of a credential plug-in has them already."""
    if error.subject != resource.plural:
        return error
    remedy = "log in anew, or try kubectl auth whoami"
    return IdentityRefused("kubeconfig", "the API server does not accept its credentials", remedy)


def _plural(resource: Resource) -> str:
    group = resource.base.split("/")[2] if resource.base.startswith("/apis/") else ""
    return f"{resource.plural}.{group}" if group else resource.plural
