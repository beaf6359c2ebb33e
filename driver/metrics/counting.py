"""A process's metrics: what counts them, and what is asked for when they are shown."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from driver.metrics.tables import METRICS, OPERATIONS, OTHER, SYNC_METRICS, Metric
from driver.model import Clock, Source

STALE_WINDOW = 180.0
"""Seconds for which the age of a stale value is shown: the kubelet asks for each volume again within 90."""

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0)
_Parent = TypeVar("_Parent", Counter, Histogram)
Words = tuple[str, ...]
"""One word for each label of a metric, in order."""


class Metrics:
    """A process's counters. Lives as long as the process; every method is quick and safe for many threads."""

    def __init__(self, table: tuple[Metric, ...]) -> None:
        # else a second series beside each, which nothing reads
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's function has no types
        self.registry = CollectorRegistry()
        self._table = {metric.name: metric for metric in table}
        self._counters = {m.name: self._counter(m) for m in table if m.kind == "counter"}
        self._gauges = _Gauges([metric for metric in table if metric.kind == "gauge"])
        self.registry.register(self._gauges)
        ProcessCollector(registry=self.registry)
        self._histograms = {
            m.name: Histogram(m.name, m.meaning, list(m.labels), registry=self.registry, buckets=_BUCKETS)
            for m in table
            if m.kind == "histogram"
        }
        self._attempts = _children(self._histograms["keyferry_aws_attempt_duration_seconds"], (OPERATIONS,))
        built = tuple(words[0] for words in self._table["keyferry_build_info"].labels.values())
        self._gauges.watch("keyferry_build_info", lambda: {built: 1})
        self._kept: dict[str, Callable[[], float]] = {}
        self._gauges.watch("keyferry_kept_bytes", lambda: {(what,): weight() for what, weight in self._kept.items()})

    def _counter(self, metric: Metric) -> dict[Words, Counter]:
        counter = Counter(metric.name, metric.meaning, list(metric.labels), registry=self.registry)
        return _children(counter, tuple(metric.labels.values()))

    def _count(self, name: str, *words: str, by: float = 1) -> None:
        children = self._counters[name]
        child = children.get(words) or children[_known(self._table[name], words)]
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
        self._kept[what] = weight

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
        self._gauges.watch_one("keyferry_mounts_in_flight", lambda: self._in_flight)
        self._gauges.watch_one("keyferry_oldest_stale_age_seconds", self._stale.value)

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
        self._gauges.watch_one("keyferry_socket_is_mine", mine)

    def rotation_failed(self, reason: str) -> None:
        """Count a Mount that failed for a volume that was mounted before."""
        self._count("keyferry_rotation_failures_total", reason)

    def watch_failing(self, volumes: Callable[[], Mapping[Words, float]]) -> None:
        """Show how many volumes fail, by (mounted, reason)."""
        self._gauges.watch("keyferry_volumes_failing", volumes)


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
        failing: Callable[[], Mapping[str, float]],
        depth: Callable[[], float],
        leading: Callable[[], float],
        ages: Callable[[], Mapping[str, float]],
        stale: Callable[[], float],
    ) -> None:
        """Show the controller's state, as these say when asked: ``failing`` by reason, ``ages`` by what moves."""
        self._gauges.watch_one("keyferry_sync_objects", objects)
        self._gauges.watch("keyferry_sync_objects_failing", lambda: _single(failing()))
        self._gauges.watch_one("keyferry_sync_queue_depth", depth)
        self._gauges.watch_one("keyferry_sync_leading", leading)
        self._gauges.watch("keyferry_sync_progress_age_seconds", lambda: _single(ages()))
        self._gauges.watch_one("keyferry_oldest_stale_age_seconds", stale)


class _Gauges(Collector):
    """All gauges: numbers that are asked for when they are shown. One that nobody watches is 0."""

    def __init__(self, table: Sequence[Metric]) -> None:
        self._table = table
        self._read: dict[str, Callable[[], Mapping[Words, float]]] = {}

    def watch(self, name: str, read: Callable[[], Mapping[Words, float]]) -> None:
        self._read[name] = read

    def watch_one(self, name: str, read: Callable[[], float]) -> None:
        self.watch(name, lambda: {(): read()})

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for metric in self._table:
            family = GaugeMetricFamily(metric.name, metric.meaning, labels=list(metric.labels))
            found = dict.fromkeys(product(*metric.labels.values()), 0.0)
            for words, number in self._read.get(metric.name, dict)().items():
                found[_known(metric, words)] += number
            for words, number in found.items():
                family.add_metric(words, number)
            yield family


def _single(numbers: Mapping[str, float]) -> dict[Words, float]:
    return {(word,): number for word, number in numbers.items()}


def _known(metric: Metric, words: Words) -> Words:
    """Return words of the metric's sets: ``other`` for one that is not in them."""
    return tuple(w if w in known else OTHER for w, known in zip(words, metric.labels.values(), strict=True))


def _children(parent: _Parent, words: tuple[tuple[str, ...], ...]) -> dict[Words, _Parent]:
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
