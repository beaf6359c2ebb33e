"""Both doors as Prometheus sees them: their own metrics, fed minute by minute with what happens in operation."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import yaml

from driver.errors import AccessDenied, KeyferryError, NotFound
from driver.metrics import Metrics, MountMetrics, SyncMetrics
from driver.model import Pod, Source
from driver.mount.events import Judge
from driver.mount.provider import Outcome
from tests.fakes import FakeClock
from tests.generated_docs import ROOT

RULES = ROOT / "deploy/chart/monitoring/alerts.yaml"
ALERTS: Mapping[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
Series = tuple[str, frozenset[tuple[str, str]]]
ERROR = NotFound("db", "it does not exist", "create it")


class Doors:
    """A provider with one volume, and two replicas of sync, the first of which leads."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.mount = MountMetrics(self.clock)
        self.judge = Judge(self.clock, rotation_failed=self.mount.rotation_failed)
        self.mount.watch_failing(self.judge.failing)
        self.waiting = ExitStack()
        self.mine = True
        self.mount.watch_socket(lambda: self.mine)
        self.leading = [True, False]
        self.depth = 0
        self.failing: dict[str, int] = {}
        self.ages = {"watch": 30.0, "lease": 2.0, "queue": 0.0}
        self.syncs = [self._sync(number) for number in (0, 1)]
        self.metrics: Mapping[str, Metrics] = {
            "provider-a": self.mount,
            "sync-a": self.syncs[0],
            "sync-b": self.syncs[1],
        }

    def _sync(self, number: int) -> SyncMetrics:
        metrics = SyncMetrics()
        metrics.watch(
            objects=lambda: 10,
            failing=lambda: self.failing if self.leading[number] else {},
            depth=lambda: self.depth if self.leading[number] else 10,  # it waits for its turn to lead
            leading=lambda: self.leading[number],
            ages=lambda: self.ages,
            stale=lambda: 0,
        )
        return metrics

    def calm(self) -> None:
        """What a minute of ordinary work leaves, with a failure here and there."""
        self.mounted()
        self.mount.mounted("NOT_FOUND", 0.1)
        for metrics in (self.mount, self.syncs[0]):
            metrics.read(Source.CACHE, 20)
            metrics.refreshed("ok")
            metrics.observe("GetSecretValue", "NotFound", 0.1)
            for _ in range(40):
                metrics.observe("GetSecretValue", "ok", 0.05)
        self.syncs[0].secret("unchanged")

    def mounted(self, error: KeyferryError | None = None, *, pod: str = "a", seconds: float = 0.02) -> None:
        """A Mount, as the provider reports it."""
        self.judge.judge(Outcome(Pod("shop", pod, f"uid-{pod}"), "class", error))
        self.mount.mounted(error.code if error else "OK", seconds)

    def samples(self) -> dict[str, dict[Series, float]]:
        """Return what a scrape of each process says now."""
        return {pod: scrape(metrics) for pod, metrics in self.metrics.items()}


def scrape(metrics: Metrics) -> dict[Series, float]:
    """Return the samples of a process's own metrics."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("keyferry_")
    }


def masked(doors: Doors) -> None:
    doors.calm()
    doors.mounted(ERROR)


def never_filled(doors: Doors) -> None:
    doors.calm()
    doors.mounted(ERROR, pod="new")


def taken(doors: Doors) -> None:
    doors.calm()
    doors.mine = False


def stuck(doors: Doors) -> None:
    doors.waiting.enter_context(doors.mount.mount())


def slow(doors: Doors) -> None:
    doors.calm()
    for _ in range(3):
        doors.mounted(seconds=12)


def short(doors: Doors) -> None:
    doors.calm()
    doors.mount.short_deadline()


def object_fails(doors: Doors) -> None:
    doors.calm()
    doors.failing = {"OwnedByOthers": 2}


def stands_still(what: str) -> Callable[[Doors], None]:
    """Until the kubelet starts it anew, again and again."""

    def minute(doors: Doors) -> None:
        doors.calm()
        doors.ages[what] = (doors.ages[what] + 60) % 150

    return minute


def leads(*leading: bool) -> Callable[[Doors], None]:
    def minute(doors: Doors) -> None:
        doors.calm()
        doors.leading = list(leading)

    return minute


def behind(doors: Doors) -> None:
    doors.calm()
    doors.depth = 7


def denied(doors: Doors) -> None:
    doors.calm()
    doors.mount.mounted(AccessDenied("db", "c", "r").code, 0.1)


def denied_in_sync(doors: Doors) -> None:
    doors.calm()
    doors.failing = {"AccessDenied": 1}


def stale(age: float) -> Callable[[Doors], None]:
    def minute(doors: Doors) -> None:
        doors.calm()
        doors.mount.read(Source.STALE, 1)
        doors.mount.stale(age)

    return minute


def aws_answers(result: str, times: int) -> Callable[[Doors], None]:
    def minute(doors: Doors) -> None:
        doors.calm()
        for _ in range(times):
            doors.mount.observe("GetSecretValue", result, 1)

    return minute


def no_credentials(doors: Doors) -> None:
    doors.calm()
    doors.mount.refreshed("Unavailable")


def lines_lost(doors: Doors) -> None:
    doors.calm()
    doors.mount.lines_dropped("audit", 5)


SCENARIOS: Mapping[str, tuple[Callable[[Doors], None], set[str]]] = {
    "masked": (masked, {"KeyferryRotationMasked"}),
    "never filled": (never_filled, {"KeyferryVolumeFailing"}),
    "taken": (taken, {"KeyferrySocketNotOurs"}),
    "stuck": (stuck, {"KeyferryMountsStuck"}),
    "slow": (slow, {"KeyferryMountsSlow"}),
    "short": (short, {"KeyferryShortDeadlines"}),
    "object fails": (object_fails, {"KeyferrySyncObjectFailing"}),
    "queue": (stands_still("queue"), {"KeyferrySyncNoProgress"}),
    "watch": (stands_still("watch"), {"KeyferrySyncApiServerUnreachable"}),
    "lease": (stands_still("lease"), {"KeyferrySyncApiServerUnreachable"}),
    "no leader": (leads(False, False), {"KeyferrySyncNoLeader"}),
    "two leaders": (leads(True, True), {"KeyferrySyncTwoLeaders"}),
    "behind": (behind, {"KeyferrySyncBehind"}),
    "denied": (denied, {"KeyferryReadsDenied"}),
    "denied in sync": (denied_in_sync, {"KeyferryReadsDenied", "KeyferrySyncObjectFailing"}),
    "stale": (stale(900), {"KeyferryStaleValues"}),
    "stale for long": (stale(50_000), {"KeyferryStaleValues", "KeyferryStaleValuesOld"}),
    "no answers": (aws_answers("Unavailable", 100), {"KeyferryAwsFailing"}),
    "throttled": (aws_answers("Throttled", 5), {"KeyferryThrottled"}),
    "no credentials": (no_credentials, {"KeyferryCredentialsFailing"}),
    "lines lost": (lines_lost, {"KeyferryLinesDropped"}),
}
"""What happens in each minute, and the alerts that fire after half an hour of it: these and no others."""
