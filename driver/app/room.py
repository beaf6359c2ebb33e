"""What both doors read through: the way to Kubernetes, the transport to AWS, the resolver."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from driver.aws.ambient import Ambient
from driver.aws.auth import Authenticator
from driver.aws.parameterstore import ParameterStore
from driver.aws.secretsmanager import SecretsManager
from driver.aws.session import Sdk
from driver.aws.transport import Transport
from driver.errors import IdentityRefused, InvalidInput, KeyferryError
from driver.fanout import Fanout
from driver.kube import Cluster, Kube, Plugin, from_kubeconfig, in_cluster
from driver.metrics import Metrics
from driver.model import Deadline, Store
from driver.resolve import Auth, Backend, Lifetimes, Resolver
from driver.telemetry import Sink

log = logging.getLogger(__name__)


def local_resolver(environ: Mapping[str, str]) -> Resolver:
    """Return a resolver that reads with the process's own AWS credentials: for people's commands."""
    transport = Transport(Sdk.from_environment(environ))
    auth = Authenticator(transport, no_role, ambient=Ambient(time.monotonic))
    return resolver(transport, auth, Lifetimes(), weight=64 << 20)


def kube(kubeconfig: str, environ: Mapping[str, str]) -> Kube | None:
    """Return the way to the API server; None without one: EKS Pod Identity needs none."""
    try:
        return Kube(cluster(kubeconfig, environ))
    except InvalidInput:
        if kubeconfig:
            raise
        log.warning("no Kubernetes API server is known: only EKS Pod Identity works")
        return None


def audit_log(where: str, metrics: Metrics, undo: ExitStack) -> Callable[[bytes], object] | None:
    """Return what takes audit records: stdout until ``undo`` closes. None for ``off``: then none are made."""
    if where == "off":
        return None
    sink = Sink(1)
    sink.on_drop(lambda lines: metrics.lines_dropped("audit", lines))
    undo.callback(sink.close)
    return sink.write


def cluster(kubeconfig: str, environ: Mapping[str, str], plugin: Plugin | None = None) -> Cluster:
    """Return where the API server is: of a kubeconfig, else of the own pod. Raises InvalidInput.

    ``plugin`` runs the kubeconfig's credential plug-in; without it one is refused.
    """
    return from_kubeconfig(Path(kubeconfig), plugin=plugin) if kubeconfig else in_cluster(environ)


def resolver(transport: Transport, auth: Auth, lifetimes: Lifetimes, weight: int) -> Resolver:
    """Return a resolver over all stores; ``weight`` bounds the bytes of the values that it keeps."""
    fanout = Fanout()
    parameters = ParameterStore(transport, fanout)
    backends: dict[Store, Backend] = {
        Store.SECRETS_MANAGER: SecretsManager(transport, fanout),
        Store.PARAMETER: parameters,
        Store.PARAMETER_PATH: parameters,
    }
    return Resolver(auth=auth, backends=backends, fanout=fanout, lifetimes=lifetimes, weight=weight)


def no_role(namespace: str, service_account: str, _deadline: Deadline) -> str:
    """Stand in for the role annotations where there is no API server: raise IdentityRefused."""
    raise IdentityRefused(
        f"service account {namespace}/{service_account}",
        "its role is not known: keyferry has no Kubernetes API server",
        'run it in a pod or with --kubeconfig, or set usePodIdentity: "true" in the class',
    )


def warm_up(transport: Transport, region: str) -> None:
    """Do what the first Mount would otherwise wait for."""
    try:
        transport.warm_up(region or "us-east-1")  # any region: the rules and CAs of one are those of all
    except KeyferryError as error:
        log.error("%s", error)  # noqa: TRY400 - a wrong setting, not a defect: every Mount will say so too
