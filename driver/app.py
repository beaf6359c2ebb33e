"""The composition root: the only file that names concrete classes. It builds, starts and stops; it decides nothing."""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from driver.aws.ambient import Ambient
from driver.aws.auth import Authenticator
from driver.aws.parameterstore import ParameterStore
from driver.aws.podidentity import PodIdentity
from driver.aws.secretsmanager import SecretsManager
from driver.aws.session import Sdk
from driver.aws.transport import Transport
from driver.config import ProviderSettings
from driver.errors import IdentityRefused, InvalidInput, KeyferryError
from driver.fanout import Fanout
from driver.handover import Calls, Signals
from driver.health import HealthServer, check
from driver.kube import Kube, RoleArns, from_kubeconfig, in_cluster
from driver.metrics import Metrics
from driver.model import Deadline, Store
from driver.mount.provider import Limits, Provider, Reports
from driver.mount.server import handlers
from driver.resolve import Auth, Lifetimes, Resolver
from driver.serving import ProviderSocket, drain, grpc_server, leads_here
from driver.telemetry import Sink, log_to

log = logging.getLogger(__name__)

OTHER_DIRECTORIES = (Path("/etc/kubernetes/secrets-store-csi-providers"),)
"""Where driver 1.6.0 looks for sockets before it looks into its ``--provider-volume``."""

HOUSEKEEPING = 30.0
"""Seconds between looks for what may be forgotten."""


def run_provider(settings: ProviderSettings, environ: Mapping[str, str]) -> int:
    """Serve Mounts until SIGTERM and return the exit code. Raises a KeyferryError when it cannot start."""
    kube = _kube(settings.kubeconfig, environ)
    with ExitStack() as closing:
        signals = Signals()
        closing.callback(signals.close)
        path = _path(settings, signals)
        metrics = Metrics()
        audit = _streams(settings, metrics, closing)
        transport = Transport(Sdk.from_environment(environ), observe=metrics.observe)
        closing.callback(transport.close)
        resolver = _provider_resolver(settings, transport, kube, metrics)
        provider = _provider(settings, resolver, kube, Reports(metrics, audit.write))
        calls = Calls()
        server = grpc_server(handlers(provider), calls, workers=settings.workers)
        _watch(settings.metrics_address, path, provider, metrics, signals, closing)
        closing.callback(path.release)
        if not path.open(server):
            log.info("told to end while another process served the socket")
            return 0
        log.info("serving", extra={"socket": str(path.path)})
        threading.Thread(target=_warm_up, args=(transport, settings.region), name="warm-up", daemon=True).start()
        while not signals.pause(HOUSEKEEPING):
            resolver.forget_unseen()
            provider.trim()
        provider.end_within(settings.grace)
        drain(server, path, calls, grace=settings.grace)
    return 0


def local_resolver(environ: Mapping[str, str]) -> Resolver:
    """Return a resolver that reads with the process's own AWS credentials: for people's commands."""
    transport = Transport(Sdk.from_environment(environ))
    auth = Authenticator(transport, _no_role, ambient=Ambient(time.monotonic))
    return _resolver(transport, auth, Lifetimes(), weight=64 << 20)


def _path(settings: ProviderSettings, signals: Signals) -> ProviderSocket:
    return ProviderSocket(
        settings.provider_volume, settings.provider_name, others=OTHER_DIRECTORIES, pause=signals.pause
    )


def _streams(settings: ProviderSettings, metrics: Metrics, closing: ExitStack) -> Sink:
    """Send logs to stderr; return the audit's way to stdout."""
    logs = Sink(2, dropped=lambda lines: metrics.lines_dropped("log", lines))
    closing.callback(logs.close)
    closing.callback(log_to(logs, level=settings.log_level, form=settings.log_format))
    audit = Sink(1, dropped=lambda lines: metrics.lines_dropped("audit", lines))
    closing.callback(audit.close)
    return audit


def _kube(kubeconfig: str, environ: Mapping[str, str]) -> Kube | None:
    """Return the way to the API server; None without one: EKS Pod Identity needs none."""
    if kubeconfig:
        return Kube(from_kubeconfig(Path(kubeconfig)))
    try:
        return Kube(in_cluster(environ))
    except InvalidInput:
        return None


def _provider_resolver(
    settings: ProviderSettings, transport: Transport, kube: Kube | None, metrics: Metrics
) -> Resolver:
    auth = Authenticator(
        transport,
        RoleArns(kube, time.monotonic) if kube else _no_role,
        agent=PodIdentity(settings.pod_identity_endpoint, observe=metrics.observe),
        stale=settings.stale_limit,
    )
    lifetimes = Lifetimes(fresh=settings.freshness, stale=settings.stale_limit, unseen=settings.forget_after)
    resolver = _resolver(transport, auth, lifetimes, weight=settings.cache_bytes)
    metrics.watch_kept("values", resolver.weight)
    return resolver


def _resolver(transport: Transport, auth: Auth, lifetimes: Lifetimes, weight: int) -> Resolver:
    fanout = Fanout()
    parameters = ParameterStore(transport, fanout)
    backends = {
        Store.SECRETS_MANAGER: SecretsManager(transport, fanout),
        Store.PARAMETER: parameters,
        Store.PARAMETER_PATH: parameters,
    }
    return Resolver(auth=auth, backends=backends, fanout=fanout, lifetimes=lifetimes, weight=weight)


def _no_role(namespace: str, service_account: str, _deadline: Deadline) -> str:
    raise IdentityRefused(
        f"service account {namespace}/{service_account}",
        "its role is not known: keyferry has no Kubernetes API server",
        'run it in a pod or with --kubeconfig, or set usePodIdentity: "true" in the class',
    )


def _provider(settings: ProviderSettings, resolver: Resolver, kube: Kube | None, reports: Reports) -> Provider:
    def node_region(deadline: Deadline) -> str:
        return kube.node_region(settings.node_name, deadline) if kube and settings.node_name else ""

    limits = Limits(budget=settings.mount_budget, grace=settings.grace, response=settings.max_response_bytes)
    return Provider(resolver, node_region, reports, region=settings.region, limits=limits)


def _watch(
    address: str, path: ProviderSocket, provider: Provider, metrics: Metrics, signals: Signals, closing: ExitStack
) -> None:
    """Let kubelet and Prometheus look at this process."""
    metrics.watch_socket(path.is_mine)
    if not address:
        return

    def unready() -> str:
        if signals.seen:
            return "ending"
        return "" if path.is_mine() else "the socket is not this process's"

    pages = {
        "/healthz": check(lambda: leads_here(path, provider.instance)),
        "/readyz": check(unready),
        "/metrics": lambda: (200, metrics.render()),
    }
    closing.callback(HealthServer(address, pages).close)


def _warm_up(transport: Transport, region: str) -> None:
    """Do what the first Mount would otherwise wait for."""
    try:
        transport.warm_up(region or "us-east-1")  # any region: the rules and CAs of one are those of all
    except KeyferryError as error:
        log.error("%s", error)  # noqa: TRY400 - a wrong setting, not a defect: every Mount will say so too
