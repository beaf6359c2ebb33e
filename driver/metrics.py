"""Prometheus metrics, in a registry of their own. Every label takes its words from a fixed set.

A word that is not in the set is counted as ``other``: no pod, secret or account can make a new time series.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from driver import errors
from driver.errors import KeyferryError
from driver.model import Clock, Source

OTHER = "other"
STALE_WINDOW = 180.0
"""Seconds for which the age of a stale value is shown: the kubelet asks for each volume again within 90."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the documentation's table. ``labels`` gives each label's words."""

    name: str
    kind: str
    meaning: str
    labels: Mapping[str, tuple[str, ...]]


CODES = (
    "OK",
    *sorted(
        {each.code for each in vars(errors).values() if isinstance(each, type) and issubclass(each, KeyferryError)}
    ),
)
RESULTS = (
    "ok",
    *sorted({e.reason for e in vars(errors).values() if isinstance(e, type) and issubclass(e, KeyferryError)}),
    OTHER,
)
OPERATIONS = (
    "GetSecretValue",
    "BatchGetSecretValue",
    "GetParameters",
    "GetParametersByPath",
    "AssumeRole",
    "AssumeRoleWithWebIdentity",
    "PodIdentity",
    OTHER,
)
_SOURCES = {"source": tuple(Source)}
_BOTH = ("keyferry_aws_", "keyferry_credential_", "keyferry_reads_", "keyferry_kept_", "keyferry_log_")

METRICS = (
    Metric("keyferry_mounts_total", "counter", "Mounts answered, by gRPC code", {"code": CODES}),
    Metric("keyferry_mount_duration_seconds", "histogram", "Time from a Mount's arrival to its answer", {}),
    Metric("keyferry_mounts_in_flight", "gauge", "Mounts at work now", {}),
    Metric("keyferry_short_deadlines_total", "counter", "Mounts whose caller gave less than 5 seconds", {}),
    Metric("keyferry_reads_total", "counter", "Values delivered, by where they came from", _SOURCES),
    Metric(
        "keyferry_oldest_stale_age_seconds", "gauge", "Age of the oldest stale value of the last minutes; 0: none", {}
    ),
    Metric(
        "keyferry_aws_attempts_total",
        "counter",
        "Calls to AWS and to the Pod Identity agent, each attempt",
        {"operation": OPERATIONS, "result": RESULTS},
    ),
    Metric("keyferry_aws_attempt_duration_seconds", "histogram", "Time of an attempt", {"operation": OPERATIONS}),
    Metric("keyferry_credential_refreshes_total", "counter", "Credentials obtained, by result", {"result": RESULTS}),
    Metric("keyferry_socket_is_mine", "gauge", "1 while the socket's path leads to this process", {}),
    Metric(
        "keyferry_kept_bytes",
        "gauge",
        "Bytes kept in memory, roughly",
        {"what": ("values", "plans", "responses", OTHER)},
    ),
    Metric(
        "keyferry_log_lines_dropped_total",
        "counter",
        "Lines that the reader of a stream did not take in time",
        {"stream": ("log", "audit", OTHER)},
    ),
)
"""Every metric of the mount door, and those that both have, for /metrics and for the documentation."""

SYNC_METRICS = (
    *(metric for metric in METRICS if metric.name.startswith(_BOTH)),
    Metric(
        "keyferry_sync_secrets_total",
        "counter",
        "Secrets looked at, by what became of them",
        {"state": ("written", "unchanged", "skipped", "failed", OTHER)},
    ),
    Metric("keyferry_sync_objects", "gauge", "Objects that Secrets are made of", {}),
    Metric("keyferry_sync_queue_depth", "gauge", "Objects that wait for a worker", {}),
    Metric("keyferry_sync_leading", "gauge", "1 while this replica may write", {}),
    Metric("keyferry_sync_progress_age_seconds", "gauge", "Seconds since something moved that should", {}),
)
"""The same of the sync door."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)
_Parent = TypeVar("_Parent", Counter, Histogram)


class Metrics:
    """A process's counters. Lives as long as the process; every method is quick and safe for many threads."""

    def __init__(self, table: tuple[Metric, ...]) -> None:
        self.registry = CollectorRegistry()
        self._table = {metric.name: metric for metric in table}
        self._counters = {m.name: self._counter(m) for m in table if m.kind == "counter"}
        self._gauges = {
            m.name: Gauge(m.name, m.meaning, list(m.labels), registry=self.registry) for m in table if m.kind == "gauge"
        }
        self._histograms = {
            m.name: Histogram(m.name, m.meaning, list(m.labels), registry=self.registry, buckets=_BUCKETS)
            for m in table
            if m.kind == "histogram"
        }
        self._attempts = _children(self._histograms["keyferry_aws_attempt_duration_seconds"], (OPERATIONS,))

    def _counter(self, metric: Metric) -> dict[tuple[str, ...], Counter]:
        counter = Counter(metric.name, metric.meaning, list(metric.labels), registry=self.registry)
        return _children(counter, tuple(metric.labels.values()))

    def _count(self, name: str, *words: str, by: float = 1) -> None:
        children = self._counters[name]
        child = children.get(words)
        if child is None:
            known = self._table[name].labels.values()
            child = children[tuple(w if w in all_ else OTHER for w, all_ in zip(words, known, strict=True))]
        child.inc(by)

    def read(self, source: Source, values: int) -> None:
        """Count delivered values of one source."""
        self._count("keyferry_reads_total", source, by=values)

    def observe(self, operation: str, result: str, seconds: float) -> None:
        """Count an attempt of an API operation; ``result`` is ``ok`` or the ``reason`` of a KeyferryError."""
        self._count("keyferry_aws_attempts_total", operation, result)
        self._attempts.get((operation,), self._attempts[OTHER,]).observe(seconds)

    def refreshed(self, result: str) -> None:
        """Count credentials that were obtained, or not."""
        self._count("keyferry_credential_refreshes_total", result)

    def lines_dropped(self, stream: str, lines: int) -> None:
        """Count lines that a sink dropped."""
        self._count("keyferry_log_lines_dropped_total", stream, by=lines)

    def watch_kept(self, what: str, weight: Callable[[], float]) -> None:
        """Show the bytes of one kind of kept things: ``values``, ``plans`` or ``responses``."""
        self._gauges["keyferry_kept_bytes"].labels(what).set_function(weight)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class MountMetrics(Metrics):
    """The counters of the mount door."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__(METRICS)
        self._mounts = self._histograms["keyferry_mount_duration_seconds"]
        self._in_flight = 0
        self._lock = threading.Lock()
        self._stale = _Highest(STALE_WINDOW, clock)
        self._gauges["keyferry_mounts_in_flight"].set_function(lambda: self._in_flight)
        self._gauges["keyferry_oldest_stale_age_seconds"].set_function(self._stale.value)

    @contextmanager
    def mount(self) -> Iterator[None]:
        """Count a Mount as in flight."""
        with self._lock:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def mounted(self, code: str, seconds: float) -> None:
        """Count an answered Mount."""
        self._count("keyferry_mounts_total", code)
        self._mounts.observe(seconds)

    def short_deadline(self) -> None:
        """Count a Mount whose caller has little time."""
        self._count("keyferry_short_deadlines_total")

    def stale(self, age: float) -> None:
        """Take note of a stale value that was served, with its age in seconds."""
        self._stale.note(age)

    def watch_socket(self, mine: Callable[[], bool]) -> None:
        """Show whether the socket's path leads here, as ``mine`` says when asked."""
        self._gauges["keyferry_socket_is_mine"].set_function(mine)


class SyncMetrics(Metrics):
    """The counters of the sync door."""

    def __init__(self) -> None:
        super().__init__(SYNC_METRICS)

    def secret(self, state: str) -> None:
        """Count a Secret that was looked at."""
        self._count("keyferry_sync_secrets_total", state)

    def watch(
        self,
        *,
        objects: Callable[[], float],
        depth: Callable[[], float],
        leading: Callable[[], float],
        age: Callable[[], float],
    ) -> None:
        """Show the controller's state, as these say when asked."""
        self._gauges["keyferry_sync_objects"].set_function(objects)
        self._gauges["keyferry_sync_queue_depth"].set_function(depth)
        self._gauges["keyferry_sync_leading"].set_function(leading)
        self._gauges["keyferry_sync_progress_age_seconds"].set_function(age)


def _children(parent: _Parent, words: tuple[tuple[str, ...], ...]) -> dict[tuple[str, ...], _Parent]:
    """Make every time series at once: an alert can then rely on its zero."""
    return {each: parent.labels(*each) if each else parent for each in product(*words)}


class _Highest:
    """The highest number noted lately; 0 if none."""

    def __init__(self, window: float, clock: Clock) -> None:
        self._window = window
        self._clock = clock
        self._noted = (0.0, -window)

    def note(self, number: float) -> None:
        if number >= self.value():
            self._noted = (number, self._clock())

    def value(self) -> float:
        number, moment = self._noted
        return number if self._clock() - moment < self._window else 0.0
