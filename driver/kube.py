"""The few Kubernetes calls that the mount door and people's commands make, over plain HTTPS.

Not a Kubernetes client library: on every node a process pays for what it imports, and lightkube or the official client
cost 10 to 40 MB for what is here two GETs and two POSTs. The bearer token is read again from its file at each call,
since the kubelet replaces it within the hour. Answers are never quoted in errors: only their status.
"""

import base64
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from driver.cache import Cache
from driver.errors import AccessDenied, IdentityRefused, InvalidInput, KeyferryError, NotFound, Unavailable
from driver.http.connections import Connections, Origin, Timeouts
from driver.http.exchange import Answer, Broken
from driver.http.tls import client_context
from driver.model import Clock, Deadline, Pod

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where the kubelet puts a pod's own token and the cluster's CA."""

ATTEMPT = 5.0
"""Seconds that one request may take."""

ANSWER_LIMIT = 4 << 20
"""Bytes of an answer: an object has 1.5 MiB at most."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where an API server is and how to be known to it. ``token`` is called for each request; None: no bearer token."""

    server: str
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    token: Callable[[], str] | None = field(default=None, repr=False)


def in_cluster(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Cluster:
    """Return the cluster that the own pod runs in. Raises InvalidInput outside of one."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "ca.crt").exists():
        raise InvalidInput("kubeconfig", "this is no pod with a service account", "name a file with --kubeconfig")
    host = f"[{host}]" if ":" in host else host
    tls = client_context(cafile=str(folder / "ca.crt"))
    return Cluster(f"https://{host}:{port}", tls, lambda: (folder / "token").read_text().strip())


Plugin = Callable[[Mapping[str, Any], Path], Callable[[], str]]
"""Makes of a user's ``exec`` and the kubeconfig's folder what returns a token."""


def from_kubeconfig(path: Path, *, context: str = "", plugin: Plugin | None = None) -> Cluster:
    """Return the cluster of a kubeconfig's context; empty: its current one.

    Understands tokens, token files, client certificates and CA as data or files
    (kubernetes.io, "Organizing Cluster Access Using kubeconfig Files"). Raises InvalidInput for a file that is not
    readable and, without ``plugin``, for credential plug-ins, which would run foreign programs as root on a node.
    """
    try:
        document = yaml.safe_load(path.read_text())
        chosen = _named(document, "contexts", context or document["current-context"])["context"]
        cluster = _named(document, "clusters", chosen["cluster"])["cluster"]
        user = _named(document, "users", chosen["user"]).get("user") or {} if chosen.get("user") else {}
        token = _token(user, path.parent, plugin)
        return Cluster(cluster["server"].rstrip("/"), _tls(cluster, user, path.parent), token)
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidInput(
            str(path), f"not a usable kubeconfig ({type(error).__name__})", "check the file with kubectl config view"
        ) from None


def _named(document: Mapping[str, Any], section: str, name: str) -> Mapping[str, Any]:
    return next(entry for entry in [*document[section], {"name": name}] if entry["name"] == name)


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext | None:
    if not cluster["server"].startswith("https://"):
        return None
    data = cluster.get("certificate-authority-data")
    file = cluster.get("certificate-authority")
    context = client_context(
        cafile=str(folder / file) if file else None, cadata=base64.b64decode(data).decode() if data else None
    )
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load_own(context, user, folder)
    return context


def _load_own(context: ssl.SSLContext, user: Mapping[str, Any], folder: Path) -> None:
    if user.get("client-certificate-data"):
        with TemporaryDirectory(prefix="keyferry-") as private:  # ssl reads files only; the folder is its owner's
            for name in ("client-certificate", "client-key"):
                (Path(private) / name).write_bytes(base64.b64decode(user[f"{name}-data"]))
            context.load_cert_chain(Path(private) / "client-certificate", Path(private) / "client-key")
    elif user.get("client-certificate"):
        context.load_cert_chain(folder / user["client-certificate"], folder / user["client-key"])


def _token(user: Mapping[str, Any], folder: Path, plugin: Plugin | None) -> Callable[[], str] | None:
    if user.get("exec") and plugin is not None:
        return plugin(user["exec"], folder)
    if user.get("exec") or user.get("auth-provider"):
        remedy = "use a user with a token, for example one of kubectl create token"
        raise InvalidInput("kubeconfig", "credential plug-ins are not run: they are foreign programs", remedy)
    if user.get("tokenFile"):
        return lambda: (folder / user["tokenFile"]).read_text().strip()
    return (lambda: str(user["token"])) if user.get("token") else None


class Kube:
    """The calls. Lives as long as the process; safe for many threads."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        parts = urlsplit(cluster.server)
        tls = parts.scheme == "https"
        self._origin = Origin(tls, parts.hostname or "", parts.port or (443 if tls else 80))
        self._prefix = parts.path.rstrip("/")
        self._connections = Connections(self._origin, self._tls, Timeouts(connect=2.0, read=ATTEMPT), limit=16)

    def _tls(self) -> ssl.SSLContext:
        return self._cluster.tls or client_context()

    def role_arn(self, namespace: str, service_account: str, deadline: Deadline) -> str:
        """Return the annotation ``eks.amazonaws.com/role-arn`` of a service account, empty if it has none.

        Raises NotFound, AccessDenied, Unavailable.
        """
        subject = f"service account {namespace}/{service_account}"
        answer = self._call("GET", _account_path(namespace, service_account), subject, deadline)
        return str(((answer.get("metadata") or {}).get("annotations") or {}).get("eks.amazonaws.com/role-arn", ""))

    def node_region(self, node: str, deadline: Deadline) -> str:
        """Return a node's label ``topology.kubernetes.io/region``, empty if it has none. Raises as ``role_arn``."""
        answer = self._call("GET", f"/api/v1/nodes/{_segment(node)}", f"node {node}", deadline)
        return str(((answer.get("metadata") or {}).get("labels") or {}).get("topology.kubernetes.io/region", ""))

    def create_token(self, namespace: str, service_account: str, audience: str, deadline: Deadline) -> str:
        """Return a new token of a service account (TokenRequest, authentication.k8s.io/v1). Raises as ``role_arn``."""
        body = {"spec": {"audiences": [audience], "expirationSeconds": 600}}
        path = _account_path(namespace, service_account) + "/token"
        answer = self._call("POST", path, f"token of {namespace}/{service_account}", deadline, body)
        return str((answer.get("status") or {}).get("token", ""))

    def warn_pod(self, pod: Pod, reason: str, message: str, deadline: Deadline) -> None:
        """Write a Warning Event about a pod (core v1, Event). Raises as ``role_arn``."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{pod.name}.", "namespace": pod.namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": pod.namespace,
                "name": pod.name,
                "uid": pod.uid,
            },
            "type": "Warning",
            "reason": reason,
            "message": message,
            "source": {"component": "keyferry"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        path = f"/api/v1/namespaces/{_segment(pod.namespace)}/events"
        self._call("POST", path, f"event in {pod.namespace}", deadline, event)

    def _call(
        self, method: str, path: str, subject: str, deadline: Deadline, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        cause = "no answer"
        for _ in range(2):  # twice: the API server may just be changing places
            try:
                answer = self._connections.send(self._request(method, path, body), deadline, ANSWER_LIMIT)
            except Broken as broken:
                cause = broken.cause
                continue
            except OSError:
                cause = "the token's file cannot be read"
                continue
            return _understood(answer, subject)
        raise _silent(subject, cause)

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> bytes:
        payload = json.dumps(body).encode() if body is not None else b""
        headers = {
            "host": self._origin.authority,
            "accept": "application/json",
            "content-type": "application/json",
            "content-length": str(len(payload)),
            "user-agent": "keyferry",
        }
        if self._cluster.token is not None:
            headers["authorization"] = f"Bearer {self._cluster.token()}"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {self._prefix}{path} HTTP/1.1\r\n{lines}\r\n".encode() + payload

    def close(self) -> None:
        """Close the kept connections."""
        self._connections.close()


def _silent(subject: str, why: str = "not in time") -> Unavailable:
    remedy = "check the path to the API server, and the CA that it is trusted by"
    return Unavailable(subject, f"the Kubernetes API server did not answer ({why})", remedy)


def _segment(name: str) -> str:
    """Return a name as one part of a path: it cannot lead anywhere else."""
    return quote(name, safe="")


def _account_path(namespace: str, service_account: str) -> str:
    return f"/api/v1/namespaces/{_segment(namespace)}/serviceaccounts/{_segment(service_account)}"


def _understood(answer: Answer, subject: str) -> Mapping[str, Any]:
    """Return the object of a good answer; translate every other status. The body of an error is not quoted."""
    if answer.status >= 300:
        raise _refusal(answer.status, subject)
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unavailable(subject, "the Kubernetes API server's answer is no JSON object", "check what answers there")
    return found


def _refusal(status: int, subject: str) -> KeyferryError:
    match status:
        case 401:
            return IdentityRefused(subject, "the API server does not know keyferry", "check its service account token")
        case 403:
            return AccessDenied(subject, "keyferry may not do this", "apply keyferry's RBAC role and its binding")
        case 404:
            return NotFound(subject, "it does not exist", "create it or correct the name")
        case 429:
            return Unavailable(subject, "the API server asks for fewer calls", "try again later")
        case _:
            return Unavailable(subject, f"the API server answered {status}", "check the API server's health")


class RoleArns:
    """The role annotations of service accounts, read once and kept. Lives as long as the process.

    A change of an annotation is noticed within ``fresh`` seconds; while the API server does not answer, what was last
    read goes on to hold.
    """

    def __init__(self, kube: Kube, clock: Clock, fresh: float = 300.0) -> None:
        self._kube = kube
        self._fresh = fresh
        self._kept: Cache[tuple[str, str], str] = Cache(weight=10_000, weigh=lambda _: 1, clock=clock)

    def __call__(self, namespace: str, service_account: str, deadline: Deadline) -> str:
        """Return the role ARN. Raises IdentityRefused if there is no annotation, else as ``Kube.role_arn``."""
        key = (namespace, service_account)
        try:
            arn = self._kept.load(
                key, lambda: self._kube.role_arn(*key, deadline), self._seconds, timeout=deadline.remaining()
            )
        except (Unavailable, TimeoutError) as error:
            entry = self._kept.last_good(key)
            if entry is None:
                raise error if isinstance(error, Unavailable) else _silent(f"service account {'/'.join(key)}") from None
            arn = entry.value
        if arn:
            return arn
        raise IdentityRefused(
            f"service account {namespace}/{service_account}",
            "it has no IAM role",
            'annotate it with eks.amazonaws.com/role-arn, or set usePodIdentity: "true" in the class',
        )

    def _seconds(self, outcome: str | KeyferryError) -> float:
        # an annotation that is missing is often about to be added
        return self._fresh if isinstance(outcome, str) and outcome else 2.0
