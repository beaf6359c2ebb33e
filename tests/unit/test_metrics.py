"""Fixed names, fixed labels."""

from collections.abc import Sequence

import pytest
from prometheus_client.parser import text_string_to_metric_families

from driver import __version__
from driver.errors import FORBIDDEN_CODES
from driver.metrics import (
    METRICS,
    PROCESS_METRICS,
    STALE_WINDOW,
    SYNC_METRICS,
    Metric,
    Metrics,
    MountMetrics,
    SyncMetrics,
)
from driver.metrics.tables import SYNC_REASONS
from driver.model import Source
from driver.sync.answers import Conflict, OwnedByOthers
from tests.fakes import FakeClock


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@pytest.mark.parametrize(("metrics", "table"), [(MountMetrics(), METRICS), (SyncMetrics(), SYNC_METRICS)])
def test_the_tables_name_every_metric_that_is_served(metrics: Metrics, table: Sequence[Metric]) -> None:
    served = {family.name for family in text_string_to_metric_families(metrics.render().decode())}
    documented = {metric.name.removesuffix("_total") for metric in (*table, *PROCESS_METRICS)}
    assert served == documented
    assert all(metric.meaning for metric in table)


@pytest.mark.parametrize("table", [METRICS, SYNC_METRICS], ids=["mount", "sync"])
def test_names_follow_the_conventions_of_prometheus(table: Sequence[Metric]) -> None:
    """Counters end in ``_total``, and only they do; a unit is a base unit, at the end."""
    for metric in table:
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not any(word in metric.name for word in ("_ms", "_minutes", "_megabytes", "_percent"))


def test_every_series_is_there_from_the_start() -> None:
    """An alert can rely on a zero; and there are no more later on."""
    metrics = MountMetrics()
    before = sum(line.startswith(b"keyferry_") for line in metrics.render().splitlines())
    metrics.observe("GetSecretValue", "Unavailable", 1)
    metrics.rotation_failed("NotFound")
    metrics.watch_failing(lambda: {("yes", "Unavailable"): 2, ("yes", "my-secret"): 1})
    assert sum(line.startswith(b"keyferry_") for line in metrics.render().splitlines()) == before < 350


def test_the_reasons_of_the_sync_door_are_among_the_words() -> None:
    assert {Conflict.reason, OwnedByOthers.reason} < set(SYNC_REASONS)


def test_a_word_that_is_not_known_is_other() -> None:
    """Else a secret's name could become a time series."""
    metrics = MountMetrics()
    metrics.observe("GetSecretValue", "ok", 0.1)
    metrics.observe("DropTables", "my-secret", 0.1)
    assert sample(metrics, "keyferry_aws_attempts_total", operation="GetSecretValue", result="ok") == 1
    assert sample(metrics, "keyferry_aws_attempts_total", operation="other", result="other") == 1
    assert b"my-secret" not in metrics.render()


def test_every_code_is_there_from_the_start_and_no_forbidden_one() -> None:
    text = MountMetrics().render().decode()
    assert 'keyferry_mounts_total{code="PERMISSION_DENIED"} 0.0' in text
    assert not [code for code in FORBIDDEN_CODES if code in text]


def test_mounts_are_counted_while_in_flight_and_after() -> None:
    metrics = MountMetrics()
    with metrics.mount():
        assert sample(metrics, "keyferry_mounts_in_flight") == 1
    metrics.mounted("OK", 0.2)
    assert sample(metrics, "keyferry_mounts_in_flight") == 0
    assert sample(metrics, "keyferry_mounts_total", code="OK") == 1
    assert sample(metrics, "keyferry_mount_duration_seconds_count") == 1


def test_reads_are_counted_by_source() -> None:
    metrics = MountMetrics()
    metrics.read(Source.STALE, 3)
    assert sample(metrics, "keyferry_reads_total", source="stale") == 3


def test_the_oldest_stale_age_is_shown_for_a_while() -> None:
    clock = FakeClock()
    metrics = MountMetrics(clock)
    assert sample(metrics, "keyferry_oldest_stale_age_seconds") == 0
    metrics.stale(500.0)
    metrics.stale(20.0)
    assert sample(metrics, "keyferry_oldest_stale_age_seconds") == 500
    clock.advance(STALE_WINDOW)
    assert sample(metrics, "keyferry_oldest_stale_age_seconds") == 0


@pytest.mark.parametrize(("mine", "shown"), [(True, 1), (False, 0)])
def test_watched_values_are_asked_for_when_shown(mine: bool, shown: int) -> None:
    metrics = MountMetrics()
    metrics.watch_socket(lambda: mine)
    metrics.watch_kept("values", lambda: 42)
    assert sample(metrics, "keyferry_socket_is_mine") == shown
    assert sample(metrics, "keyferry_kept_bytes", what="values") == 42


def test_lost_lines_and_refreshes_are_counted() -> None:
    metrics = MountMetrics()
    metrics.lines_dropped("audit", 7)
    metrics.refreshed("AccessDenied")
    assert sample(metrics, "keyferry_log_lines_dropped_total", stream="audit") == 7
    assert sample(metrics, "keyferry_credential_refreshes_total", result="AccessDenied") == 1


@pytest.mark.parametrize(("metrics", "door"), [(MountMetrics(), "mount"), (SyncMetrics(), "sync")])
def test_version_and_door_are_shown(metrics: Metrics, door: str) -> None:
    assert sample(metrics, "keyferry_build_info", version=__version__, door=door) == 1


def test_failing_volumes_are_shown_by_reason() -> None:
    metrics = MountMetrics()
    metrics.watch_failing(lambda: {("yes", "NotFound"): 2, ("unknown", "Strange"): 1})
    assert sample(metrics, "keyferry_volumes_failing", mounted="yes", reason="NotFound") == 2
    assert sample(metrics, "keyferry_volumes_failing", mounted="unknown", reason="other") == 1
    assert sample(metrics, "keyferry_volumes_failing", mounted="yes", reason="AccessDenied") == 0


def test_a_rotation_that_failed_is_counted_by_reason() -> None:
    metrics = MountMetrics()
    metrics.rotation_failed("NotFound")
    assert sample(metrics, "keyferry_rotation_failures_total", reason="NotFound") == 1


def test_the_state_of_the_controller_is_asked_for_when_shown() -> None:
    metrics = SyncMetrics()
    metrics.watch(
        objects=lambda: 5,
        failing=lambda: {"AccessDenied": 2},
        depth=lambda: 1,
        leading=lambda: True,
        ages=lambda: {"watch": 3, "queue": 0},
        stale=lambda: 60,
    )
    assert sample(metrics, "keyferry_sync_objects") == 5
    assert sample(metrics, "keyferry_sync_objects_failing", reason="AccessDenied") == 2
    assert sample(metrics, "keyferry_sync_leading") == 1
    assert sample(metrics, "keyferry_sync_progress_age_seconds", what="watch") == 3
    assert sample(metrics, "keyferry_sync_progress_age_seconds", what="lease") == 0
    assert sample(metrics, "keyferry_oldest_stale_age_seconds") == 60
