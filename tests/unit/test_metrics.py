"""MountMetrics: fixed names, fixed labels."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from driver.errors import FORBIDDEN_CODES
from driver.metrics import METRICS, STALE_WINDOW, MountMetrics
from driver.model import Source
from tests.fakes import FakeClock


def sample(metrics: MountMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_the_table_names_every_metric_that_is_served() -> None:
    served = {family.name for family in text_string_to_metric_families(MountMetrics().render().decode())}
    documented = {metric.name.removesuffix("_total") for metric in METRICS}
    assert {name for name in served if not name.endswith("_created")} == documented
    assert all(metric.meaning for metric in METRICS)


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
