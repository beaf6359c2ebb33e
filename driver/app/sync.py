"""The sync door, composed: the controller, what it reads through, and what watches it."""

import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from driver import audit
from driver.app import room
from driver.app.plugin import Plugin
from driver.aws.ambient import Ambient
from driver.aws.auth import Authenticator
from driver.aws.session import Sdk
from driver.aws.transport import Transport
from driver.config import SyncSettings
from driver.errors import InvalidInput
from driver.health import HealthServer, check
from driver.kube import Kube, RoleArns
from driver.metrics import SyncMetrics
from driver.model import Read, SecretRef, Source
from driver.resolve import Lifetimes
from driver.sync.cluster import Api
from driver.sync.controller import Controller
from driver.sync.leader import LEASE_NAME, Leader
from driver.sync.plan import Mode, SyncPlan
from driver.sync.policy import Rules
from driver.sync.status import TargetOutcome
from driver.telemetry import Sink

log = logging.getLogger(__name__)

STUCK = 120.0
"""Seconds without progress after which the process counts as unwell."""


class SyncDoor:
    """The sync door. Raises a KeyferryError for a setting that cannot work."""

    def __init__(self, settings: SyncSettings, environ: Mapping[str, str], logs: Sink) -> None:
        self._closing = ExitStack()
        with ExitStack() as undo:
            metrics = SyncMetrics()
            logs.on_drop(lambda lines: metrics.lines_dropped("log", lines))
            cluster = room.cluster(settings.kubeconfig, environ, Plugin)
            if not settings.region:
                raise InvalidInput("--region", "no region is set", "set AWS_REGION or --region")
            transport = Transport(Sdk.from_environment(environ), observe=metrics.observe)
            undo.callback(transport.close)
            auth = Authenticator(
                transport,
                RoleArns(Kube(cluster), time.monotonic),
                ambient=Ambient(time.monotonic),
                stale=settings.stale_limit,
                refreshed=metrics.refreshed,
            )
            # shorter than any poll interval, longer than a batch of reads takes
            fresh = min(settings.poll_interval / 2, 5.0)
            lifetimes = Lifetimes(fresh=fresh, stale=settings.stale_limit)
            self._resolver = room.resolver(transport, auth, lifetimes, weight=32 << 20)
            metrics.watch_kept("values", self._resolver.weight)
            api = Api(cluster)
            leader = Leader(api, settings.lease_namespace, LEASE_NAME, _identity()) if settings.leader_elect else None
            self._controller = Controller(
                api,
                self._resolver,
                region=settings.region,
                leader=leader,
                namespaces=settings.namespace,
                interval=settings.poll_interval,
                mode=Mode(settings.named_secrets),
                rules=Rules(enforce=settings.enforce_permissions),
                controller_id=settings.controller_id,
                restarts=settings.restarts,
                observe=_observer(metrics, settings.audit, undo),
            )
            self.port = _watch(settings.metrics_address, self._controller, metrics, undo)
            """Where metrics are served; 0: nowhere."""
            self._closing = undo.pop_all()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop``."""
        self._controller.run(stop)

    def keep_house(self) -> None:
        """Forget what nobody asks for any more."""
        self._resolver.forget_unseen()

    def close(self) -> None:
        """Let go of everything."""
        self._closing.close()


def _identity() -> str:
    """Return a name that no other replica has."""
    return f"{socket.gethostname()}-{secrets.token_hex(4)}"


def _observer(
    metrics: SyncMetrics, where: str, undo: ExitStack
) -> Callable[[SyncPlan, Mapping[SecretRef, Read], Sequence[TargetOutcome]], None]:
    """Return what counts and records every pass that looked at Secrets."""
    write = room.audit_log(where, metrics, undo)

    def observe(plan: SyncPlan, reads: Mapping[SecretRef, Read], outcomes: Sequence[TargetOutcome]) -> None:
        for outcome in outcomes:
            metrics.secret(outcome.state)
        for source in Source:
            metrics.read(source, sum(read.source is source for read in reads.values()))
        if write:
            start = audit.head_of_object(plan.origin, plan.service_account, time.time())
            write(audit.lines(start, audit.tails(reads.values())))

    return observe


def _watch(address: str, controller: Controller, metrics: SyncMetrics, undo: ExitStack) -> int:
    """Let kubelet and Prometheus look at this process; return the port, 0 for none."""
    metrics.watch(
        objects=controller.objects,
        depth=controller.depth,
        failing=controller.failing,
        leading=controller.may_write,
        ages=controller.progress_ages,
        stale=controller.oldest_stale,
    )
    if not address:
        return 0

    def stuck() -> str:
        age = controller.progress_age()
        return "" if age < STUCK else f"no progress for {age:.0f} seconds"

    def unready() -> str:
        return stuck() if controller.is_ready() else "the cluster is not read yet: the log says what is in the way"

    pages = {
        "/healthz": check(stuck),
        "/readyz": check(unready),
        "/metrics": lambda: (200, metrics.render()),
    }
    health = HealthServer(address, pages)
    undo.callback(health.close)
    return health.port
