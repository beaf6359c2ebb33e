"""The mount door, composed: the provider behind its socket, what it reads through, and what watches it."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from driver.app import room
from driver.aws.auth import Authenticator
from driver.aws.podidentity import PodIdentity
from driver.aws.session import Sdk
from driver.aws.transport import Transport
from driver.config import ProviderSettings
from driver.health import HealthServer, check
from driver.kube import Kube, RoleArns
from driver.metrics import Metrics, MountMetrics
from driver.model import Deadline, Pod
from driver.mount.events import Events, Judge
from driver.mount.provider import Limits, Outcome, Provider, Reports
from driver.resolve import Lifetimes, Resolver
from driver.serving import ProviderSocket, leads_here
from driver.telemetry import Sink

log = logging.getLogger(__name__)


class MountDoor:
    """The mount door behind its socket: the provider, what it reads through, and what watches it.

    ``ending`` says whether the process was told to end. Raises a KeyferryError for a setting that cannot work.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        environ: Mapping[str, str],
        path: ProviderSocket,
        ending: Callable[[], bool],
        logs: Sink,
    ) -> None:
        self._closing = ExitStack()
        with ExitStack() as undo:
            metrics = MountMetrics()
            logs.on_drop(lambda lines: metrics.lines_dropped("log", lines))
            kube = room.kube(settings.kubeconfig, environ)
            transport = Transport(Sdk.from_environment(environ), observe=metrics.observe)
            undo.callback(transport.close)
            self._resolver = _mount_resolver(settings, transport, kube, metrics)
            self.provider = Provider(
                self._resolver,
                _node_region(settings, kube),
                Reports(metrics, room.audit_log(settings.audit, metrics, undo), _events(kube, metrics, undo)),
                region=settings.region,
                limits=Limits(budget=settings.mount_budget, grace=settings.grace, response=settings.max_response_bytes),
            )
            _watch(settings.metrics_address, path, self.provider, metrics, ending, undo)
            self._closing = undo.pop_all()
        warm = threading.Thread(target=room.warm_up, args=(transport, settings.region), name="warm-up", daemon=True)
        warm.start()

    def keep_house(self) -> None:
        """Forget what nobody asks for any more."""
        self._resolver.forget_unseen()
        self.provider.trim()

    def close(self) -> None:
        """Let go of everything; a second call does nothing."""
        self._closing.close()


def _mount_resolver(settings: ProviderSettings, transport: Transport, kube: Kube | None, metrics: Metrics) -> Resolver:
    auth = Authenticator(
        transport,
        RoleArns(kube, time.monotonic) if kube else room.no_role,
        agent=PodIdentity(settings.pod_identity_endpoint, observe=metrics.observe),
        stale=settings.stale_limit,
        refreshed=metrics.refreshed,
    )
    lifetimes = Lifetimes(fresh=settings.freshness, stale=settings.stale_limit, unseen=settings.forget_after)
    resolver = room.resolver(transport, auth, lifetimes, weight=settings.cache_bytes)
    metrics.watch_kept("values", resolver.weight)
    return resolver


def _node_region(settings: ProviderSettings, kube: Kube | None) -> Callable[[Deadline], str]:
    def node_region(deadline: Deadline) -> str:
        return kube.node_region(settings.node_name, deadline) if kube and settings.node_name else ""

    return node_region


def _events(kube: Kube | None, metrics: MountMetrics, undo: ExitStack) -> Callable[[Outcome], object]:
    judge = Judge(rotation_failed=metrics.rotation_failed)
    metrics.watch_failing(judge.failing)
    if kube is None:
        return judge.judge

    def publish(pod: Pod, reason: str, message: str) -> None:
        kube.warn_pod(pod, reason, message, Deadline(10))

    events = Events(publish, judge)
    undo.callback(events.close)
    return events.tell


def _watch(
    address: str,
    path: ProviderSocket,
    provider: Provider,
    metrics: MountMetrics,
    ending: Callable[[], bool],
    undo: ExitStack,
) -> None:
    """Let kubelet and Prometheus look at this process."""
    metrics.watch_socket(path.is_mine)
    if not address:
        return

    def unready() -> str:
        if ending():
            return "ending"
        return "" if path.is_mine() else "the socket is not this process's"

    pages = {
        "/healthz": check(lambda: leads_here(path, provider.instance)),
        "/readyz": check(unready),
        "/metrics": lambda: (200, metrics.render()),
    }
    health = HealthServer(address, pages)
    undo.callback(health.close)
    log.info("watched", extra={"metrics_port": health.port})
