"""A cluster as ``keyferry doctor`` finds it: all is well until a test breaks a part of it."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from driver.cli.checkup.row import Level, Row
from driver.cli.doctor import examine
from driver.kube import Cluster
from driver.sync.cluster import Api
from tests.fakeapi import FakeApi
from tests.fakeobjects import Json

ROLE = "arn:aws:iam::111122223333:role/shop"
SOCKETS = "/var/run/secrets-store-csi-providers"
AUDIENCES = ("sts.amazonaws.com", "pods.eks.amazonaws.com")
NODES = ("node-a", "node-b")
EVERYWHERE = [{"operator": "Exists"}]


def thing(kind: str, name: str, namespace: str = "", *, version: str = "v1", **fields: Any) -> Json:
    """Return an object; ``meta`` is added to its metadata."""
    meta = {"name": name} | ({"namespace": namespace} if namespace else {}) | fields.pop("meta", {})
    return {"apiVersion": version, "kind": kind, "metadata": meta, **fields}


def csi_driver(**spec: Any) -> Json:
    good = {
        "podInfoOnMount": True,
        "requiresRepublish": True,
        "tokenRequests": [{"audience": one} for one in AUDIENCES],
        "volumeLifecycleModes": ["Ephemeral"],
    }
    return thing("CSIDriver", "secrets-store.csi.k8s.io", version="storage.k8s.io/v1", spec=good | spec)


def daemonset(name: str, container: Json, *, folder: str = SOCKETS, **spec: Any) -> Json:
    """Return a DaemonSet whose container has the node's folder at the usual place."""
    mounted = {"volumeMounts": [{"name": "sockets", "mountPath": SOCKETS}], **container}
    pod = {
        "containers": [mounted],
        "volumes": [{"name": "sockets", "hostPath": {"path": folder}}],
        "tolerations": EVERYWHERE,
        **spec,
    }
    return thing("DaemonSet", name, "kube-system", version="apps/v1", spec={"template": {"spec": pod}})


def driver(version: str = "v1.6.0", args: Sequence[str] = ("--enable-secret-rotation=true",), **more: Any) -> Json:
    image = f"registry.k8s.io/csi-secrets-store/driver:{version}"
    return daemonset("csi-secrets-store", {"name": "secrets-store", "image": image, "args": list(args)}, **more)


def provider(*args: str, image: str = "keyferry:0.1.0", name: str = "keyferry-provider", **more: Any) -> Json:
    container = {"name": "provider", "image": image, "args": ["provider", *args]}
    return daemonset(name, container | {"ports": [{"name": "metrics", "containerPort": 9809}]}, **more)


def aws_provider(**more: Any) -> Json:
    image = "public.ecr.aws/aws-secrets-manager/secrets-store-csi-driver-provider-aws:3.1.1"
    return daemonset("csi-secrets-store-provider-aws", {"name": "provider-aws-installer", "image": image}, **more)


def crd(name: str, *versions: str, columns: Sequence[str] = ()) -> Json:
    printed = [{"name": one} for one in columns]
    served = [{"name": one, "served": True, "additionalPrinterColumns": printed} for one in versions]
    return thing("CustomResourceDefinition", name, version="apiextensions.k8s.io/v1", spec={"versions": served})


def controller(*args: str, ready: int = 2, replicas: int = 2, image: str = "keyferry:0.1.0", name: str = "") -> Json:
    container = {"name": "sync", "image": image, "args": ["sync", *args]}
    pod = {"containers": [container], "serviceAccountName": "keyferry-sync"}
    spec, status = {"replicas": replicas, "template": {"spec": pod}}, {"readyReplicas": ready}
    return thing("Deployment", name or "keyferry-sync", "kube-system", version="apps/v1", spec=spec, status=status)


def kes() -> Json:
    return controller(image="ghcr.io/external-secrets/kubernetes-external-secrets:8.5.5", name="kes")


def lease(age: float = 1.0, holder: str = "keyferry-sync-1") -> Json:
    when = datetime.fromtimestamp(time.time() - age, UTC).isoformat(timespec="microseconds")
    spec = {"holderIdentity": holder, "renewTime": when}
    return thing("Lease", "keyferry-sync", "kube-system", version="coordination.k8s.io/v1", spec=spec)


def klass(name: str = "db", *, synced: str = "", secret: str = "", **parameters: str) -> Json:
    """Return a class; ``synced`` is the service account of one that has opted in, ``secret`` its Secret."""
    objects = "- objectName: shop/db\n  objectType: secretsmanager\n  objectAlias: db\n"
    found = {"region": "eu-west-1", "objects": objects} | parameters
    spec: Json = {"provider": parameters.pop("provider", "aws"), "parameters": found}
    found.pop("provider", None)
    if secret:
        data = [{"objectName": "db", "key": "db"}]
        spec["secretObjects"] = [{"secretName": secret, "type": "Opaque", "data": data}]
    annotations = {"keyferry.dev/sync": "true", "keyferry.dev/service-account": synced} if synced else {}
    version = "secrets-store.csi.x-k8s.io/v1"
    meta = {"annotations": annotations}
    return thing("SecretProviderClass", name, "shop", version=version, spec=spec, meta=meta)


def external_secret(name: str = "api", status: str = "SUCCESS", account: str = "", **spec: Any) -> Json:
    wanted = {"backendType": "secretsManager", "data": [{"key": "shop/api", "name": "token"}]} | spec
    meta = {"annotations": {"keyferry.dev/service-account": account} if account else {}}
    told = {"status": {"status": status}} if status else {}
    return thing("ExternalSecret", name, "shop", version="kubernetes-client.io/v1", spec=wanted, meta=meta, **told)


def account(name: str = "app", role: str = ROLE, namespace: str = "shop") -> Json:
    annotations = {"eks.amazonaws.com/role-arn": role} if role else {}
    return thing("ServiceAccount", name, namespace, meta={"annotations": annotations})


def user(name: str = "app-1", mounts: str = "db", phase: str = "Running", service_account: str = "app") -> Json:
    attributes = {"secretProviderClass": mounts}
    volume = {"name": "s", "csi": {"driver": "secrets-store.csi.k8s.io", "volumeAttributes": attributes}}
    spec = {"volumes": [volume], "serviceAccountName": service_account, "nodeName": NODES[0]}
    return thing("Pod", name, "shop", spec=spec, status={"phase": phase})


def failed_mount(pod: str, message: str) -> Json:
    about = {"kind": "Pod", "namespace": "shop", "name": pod}
    more = {"reason": "FailedMount", "lastTimestamp": "2026-11-25T05:00:00Z"}
    return thing("Event", f"{pod}.1", "shop", involvedObject=about, message=message, **more)


def secret(name: str, **meta: Any) -> Json:
    return thing("Secret", name, "shop", meta=meta, data={"k": "U0VDUkVULVZBTFVF"})


class Site:
    """A cluster behind an API server stand-in."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api

    def put(self, *objects: Json) -> None:
        """Create or replace objects; a DaemonSet comes with its ready pods on all nodes."""
        for one in objects:
            made = self.api.put(one)
            if one["kind"] == "DaemonSet":
                self.crew(made)

    def crew(self, workload: Json, *, nodes: Sequence[str] = NODES, ready: bool = True) -> None:
        """Put a DaemonSet's pods on nodes, and on no others."""
        name, uid = workload["metadata"]["name"], workload["metadata"]["uid"]
        for node in NODES:
            if self.api.get("pods", "kube-system", f"{name}-{node}"):
                self.api.delete("pods", "kube-system", f"{name}-{node}")
        for node in nodes:
            owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": name, "uid": uid}
            status = {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
            spec = workload["spec"]["template"]["spec"] | {"nodeName": node}
            meta = {"ownerReferences": [owner]}
            self.api.put(thing("Pod", f"{name}-{node}", "kube-system", spec=spec, status=status, meta=meta))

    def get(self, kind: str, name: str, namespace: str = "kube-system") -> Json:
        """Return an object that is there."""
        found = self.api.get(kind, namespace, name)
        assert found is not None
        return found

    def rows(self, *only: str, provider: str = "aws") -> list[Row]:
        """Return what the doctor says."""
        return examine(Api(Cluster(self.api.url)), only, provider, now=time.time())

    def told(self, *only: str, provider: str = "aws") -> list[str]:
        """Return what is not well, as ``level: subject: found``."""
        rows = self.rows(*only, provider=provider)
        return [f"{row.level}: {row.subject}: {row.found}" for row in rows if row.level is not Level.OK]


def settle(site: Site) -> None:
    """Put everything there that a well-kept cluster has, for both doors."""
    site.put(*(thing("Node", name, meta={"labels": {"kubernetes.io/os": "linux"}}) for name in NODES))
    site.put(csi_driver(), driver(), provider())
    for name in ("secretproviderclasses", "secretproviderclasspodstatuses"):
        site.put(crd(f"{name}.secrets-store.csi.x-k8s.io", "v1alpha1", "v1"))
    site.put(crd("externalsecrets.kubernetes-client.io", "v1", columns=["Status", "Ready"]))
    site.put(controller(), lease(), account("keyferry-sync", namespace="kube-system"))
    site.put(klass(), user(), account(), external_secret())


Change = Callable[[Site], object]


def each(*changes: Change) -> Change:
    """Return one change of several."""

    def change(site: Site) -> None:
        for one in changes:
            one(site)

    return change
