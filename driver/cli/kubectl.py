"""What the demo's newcomer does with kubectl: apply a manifest, look at an object, edit one, remove a namespace."""

import json
from collections.abc import Mapping
from typing import Any

import urllib3

from driver.errors import Unusable
from driver.kube import Cluster
from driver.sync.kinds import EVENTS, EXTERNAL_SECRETS, NAMESPACES, SECRETS, WORKLOADS, Resource

Json = dict[str, Any]

MANAGER = "kubectl"
_TIMEOUT = 10.0


def resource_of(kind: str) -> Resource:
    """Return where the objects of a kind are. Raises KeyError for one that the demo does not have."""
    kinds = {"Namespace": NAMESPACES, "Secret": SECRETS, "ExternalSecret": EXTERNAL_SECRETS, "Event": EVENTS}
    return (kinds | WORKLOADS)[kind]


class Kubectl:
    """The calls, in one namespace. All raise Unusable when the API server refuses them or is not to be had."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.namespace = namespace
        self._cluster = cluster
        tls: dict[str, Any] = {"ssl_context": cluster.tls} if cluster.tls else {}
        self._pool = urllib3.connection_from_url(cluster.server, retries=False, timeout=_TIMEOUT, **tls)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> None:
        """Create or change an object (``kubectl apply --server-side``), or have the API server check it only."""
        namespace = "" if manifest["kind"] == "Namespace" else self.namespace
        body = {**manifest, "metadata": {**manifest["metadata"], **({"namespace": namespace} if namespace else {})}}
        path = resource_of(manifest["kind"]).path(namespace, manifest["metadata"]["name"])
        query = f"?fieldManager={MANAGER}&force=true" + ("&dryRun=All" if dry_run else "")
        self._call("PATCH", path + query, body, "application/apply-patch+yaml")

    def create_namespace(self) -> None:
        """Create the namespace; one that is there already is not ours."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self._call("POST", NAMESPACES.path(), body)

    def delete_namespace(self) -> None:
        """Delete the namespace and all that is in it."""
        self._call("DELETE", NAMESPACES.path("", self.namespace))

    def get(self, kind: str, name: str) -> Json | None:
        """Return an object; None if there is none."""
        return self._call("GET", resource_of(kind).path(self.namespace, name), missing=True)

    def all(self, kind: str) -> list[Json] | None:
        """Return the objects of a kind; None if the cluster does not know the kind."""
        found = self._call("GET", resource_of(kind).path(self.namespace), missing=True)
        return None if found is None else list(found["items"])

    def edit(self, kind: str, name: str, body: Mapping[str, Any]) -> None:
        """Change some fields of an object (``kubectl patch --type merge``)."""
        path = f"{resource_of(kind).path(self.namespace, name)}?fieldManager={MANAGER}"
        self._call("PATCH", path, body, "application/merge-patch+json")

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
        *,
        missing: bool = False,
    ) -> Json | None:
        headers = {"Content-Type": content} if body is not None else {}
        if self._cluster.token is not None:
            headers["Authorization"] = f"Bearer {self._cluster.token()}"
        payload = None if body is None else json.dumps(body).encode()
        what = f"{method} {path.partition('?')[0]}"
        try:
            answer = self._pool.urlopen(method, path, payload, headers)
        except (urllib3.exceptions.HTTPError, OSError):
            raise Unusable(what, "the API server did not answer", "check the kubeconfig and the network") from None
        if answer.status == 404 and missing:
            return None
        if answer.status >= 400:
            raise Unusable(what, f"the API server answered {answer.status}", _REMEDIES.get(answer.status, _REMEDIES[0]))
        found: Json = answer.json()
        return found


_REMEDIES = {
    0: "try the call with kubectl to see why",
    401: "use a kubeconfig whose token holds",
    403: "use a kubeconfig that may do this",
    409: "it is there already: delete it if nobody needs it, or wait until it is gone",
}
