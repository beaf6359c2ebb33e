"""The kinds of objects that the sync door calls for, and the few of their fields that it reads.

Decoding into these classes skips all other fields, ``managedFields`` first, without building them: that is what keeps
memory flat.
"""

from urllib.parse import quote

import msgspec


class Resource(msgspec.Struct, frozen=True):
    """A kind of object: ``base`` is ``/api/v1`` or ``/apis/GROUP/VERSION``."""

    base: str
    plural: str

    def path(self, namespace: str = "", name: str = "", sub: str = "") -> str:
        """Return the path of a collection (of all namespaces if ``namespace`` is empty), an object or a part of it."""
        parts = ["namespaces", namespace] if namespace else []
        parts += [part for part in (self.plural, name, sub) if part]
        # a name is one part of a path: it cannot lead anywhere else
        return "/".join((self.base, *(quote(part, safe="") for part in parts)))


EXTERNAL_SECRETS = Resource("/apis/kubernetes-client.io/v1", "externalsecrets")
CLASSES = Resource("/apis/secrets-store.csi.x-k8s.io/v1", "secretproviderclasses")
SECRETS = Resource("/api/v1", "secrets")
NAMESPACES = Resource("/api/v1", "namespaces")
EVENTS = Resource("/api/v1", "events")
ACCOUNTS = Resource("/api/v1", "serviceaccounts")
PODS = Resource("/api/v1", "pods")
LEASES = Resource("/apis/coordination.k8s.io/v1", "leases")
WORKLOADS = {
    "Deployment": Resource("/apis/apps/v1", "deployments"),
    "StatefulSet": Resource("/apis/apps/v1", "statefulsets"),
    "DaemonSet": Resource("/apis/apps/v1", "daemonsets"),
}


class Meta(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The part of an object's metadata that keyferry reads. ``None``: not there."""

    name: str
    uid: str = ""
    namespace: str = ""
    resource_version: str = ""
    generation: int = 0
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class Header(msgspec.Struct, frozen=True):
    """An object of which only the metadata is wanted."""

    metadata: Meta


class Whole(Header, frozen=True):
    """An object with its spec and status, as the JSON that the API server sent; ``null``: not there.

    ``descriptor`` is an ExternalSecret's ``secretDescriptor``, what its spec was called before there was one.
    """

    spec: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"{}")
    descriptor: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"), name="secretDescriptor")
