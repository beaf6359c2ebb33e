"""What alerts ask for, seen on the pages of real processes in which it happens."""

import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.operating import ALERTS, Series
from tests.deploy.queries import matching
from tests.driverside import attributes, channel, mount
from tests.e2e.test_sync_process import Process as Sync
from tests.fakeapi import FakeApi
from tests.fakeaws import FakeAws
from tests.syncside import external_secret, named, secret, until
from tests.wire.test_process import OBJECTS, Process


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws() as running:
        running.world.generous = True
        running.world.put("db", "s3cret", "us-west-2")
        yield running


def page(process: Process | Sync) -> Callable[[], dict[Series, float]]:
    """Return what reads a process's metrics."""
    found = re.search(r'"metrics_port": ?(\d+)', process.until('"metrics_port"'))
    assert found

    def read() -> dict[Series, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        series = re.findall(r"^(keyferry_\w+?)(?:\{(.*?)\})? (\S+)$", text, re.MULTILINE)
        return {(name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels))): float(at) for name, labels, at in series}

    return read


def selected(read: Callable[[], dict[Series, float]], alert: str) -> float:
    """Return the sum of what an alert's expression selects, without what it compares with."""
    return sum(matching(read(), re.split(r"\s+or\s+", ALERTS[alert]["expr"])[0]))


def again(provider: Process) -> str:
    """Mount as the kubelet does for a running pod; return what the driver hides."""
    try:
        with channel(provider.socket) as dialled:
            mount(dialled, attributes(OBJECTS), 10)
    except Exception as error:  # noqa: BLE001 - whatever it is, the driver hides it
        return str(error)
    return ""


def test_a_rotation_that_the_driver_hides_is_seen_and_so_is_its_end(tmp_path: Path, aws: FakeAws) -> None:
    with Process(tmp_path, aws, "--metrics-address", "127.0.0.1:0", "--freshness", "0s") as provider:
        read = page(provider)
        provider.until('"serving"')
        provider.mount()
        assert selected(read, "KeyferryRotationMasked") == 0
        aws.world.deny("secretsmanager:GetSecretValue")
        until(lambda: "db" in again(provider), 15)
        assert selected(read, "KeyferryRotationMasked") == 1
        assert selected(read, "KeyferryReadsDenied") >= 1
        assert selected(read, "KeyferryVolumeFailing") == 0
        aws.world.denied.clear()
        until(lambda: not again(provider), 15)
        assert selected(read, "KeyferryRotationMasked") == 0


def test_a_first_mount_that_fails_is_no_rotation(tmp_path: Path, aws: FakeAws) -> None:
    aws.world.deny("secretsmanager:GetSecretValue")
    with Process(tmp_path, aws, "--metrics-address", "127.0.0.1:0") as provider:
        read = page(provider)
        provider.until('"serving"')
        assert again(provider)
        assert (selected(read, "KeyferryRotationMasked"), selected(read, "KeyferryVolumeFailing")) == (0, 1)


def test_a_socket_that_another_took_is_seen(tmp_path: Path, aws: FakeAws) -> None:
    with Process(tmp_path, aws, "--metrics-address", "127.0.0.1:0") as provider:
        read = page(provider)
        provider.until('"serving"')
        assert selected(read, "KeyferrySocketNotOurs") == 1
        provider.socket.unlink()
        assert selected(read, "KeyferrySocketNotOurs") == 0


def test_an_object_that_does_not_sync_and_an_api_server_that_is_away_are_seen(tmp_path: Path, aws: FakeAws) -> None:
    with FakeApi() as api, Sync(tmp_path, api, aws, "--no-leader-elect", "--metrics-address", "127.0.0.1:0") as sync:
        read = page(sync)
        api.put(named("Namespace", "shop"))
        api.put(external_secret("taken", {"key": "my-secret", "name": "k"}))
        aws.world.put("my-secret", "1")
        api.put(secret("taken", data={"x": "eA=="}))
        until(lambda: selected(read, "KeyferrySyncObjectFailing") == 1, 15)
        assert selected(read, "KeyferrySyncNoLeader") == 1
        api.refuse()
        until(lambda: selected(read, "KeyferrySyncApiServerUnreachable") > 2, 15)
        assert selected(read, "KeyferrySyncNoProgress") < 60
