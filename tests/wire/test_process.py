"""``keyferry provider`` as a process: how it starts, what it refuses to start with, how it ends."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import grpc
import pytest
import yaml

from tests.bench.flood import Load, flood, memory
from tests.driverside import MOUNT, attributes, channel, mount, request
from tests.fakeaws import FakeAws

OBJECTS = '- objectName: db\n  objectType: "secretsmanager"\n'


@pytest.fixture
def fake() -> Iterator[FakeAws]:
    with FakeAws() as running:
        running.world.generous = True
        running.world.put("db", "s3cret", "us-west-2")
        yield running


class Process:
    """A provider process on a socket in ``folder``."""

    def __init__(self, folder: Path, fake: FakeAws, *flags: str, kubernetes: str = "", **variables: str) -> None:
        config = folder / "kubeconfig"
        config.write_text(
            yaml.safe_dump(
                {
                    "current-context": "c",
                    "contexts": [{"name": "c", "context": {"cluster": "k"}}],
                    "clusters": [{"name": "k", "cluster": {"server": kubernetes or fake.url}}],
                    "users": [],
                }
            )
        )
        self.socket = folder / "aws.sock"
        command = [sys.executable, "-m", "driver", "provider", "--provider-volume", str(folder)]
        command += ["--kubeconfig", str(config), "--metrics-address", "", *flags]
        self.output = folder / f"output-{time.monotonic_ns()}"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command, env=os.environ | {"AWS_ENDPOINT_URL": fake.url} | variables, stdout=output, stderr=output
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def mount(self, timeout: float = 10) -> bytes:
        with channel(self.socket) as dialled:
            return mount(dialled, attributes(OBJECTS), timeout)["db"].contents

    def until(self, text: str, seconds: float = 15) -> str:
        """Return the output once it has ``text``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.output.read_text()
            if text in found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"{text!r} is not in the output: {found}")

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


def test_it_serves_mounts_and_ends_with_0_and_without_its_socket(tmp_path: Path, fake: FakeAws) -> None:
    with Process(tmp_path, fake) as provider:
        provider.until('"serving"')
        assert provider.mount() == b"s3cret"
        assert provider.end() == 0
    assert list(tmp_path.glob("**/*.sock")) == []


def test_a_call_that_comes_before_the_provider_is_loaded_waits_for_it(tmp_path: Path, fake: FakeAws) -> None:
    with Process(tmp_path, fake) as provider:
        while not provider.socket.exists():
            assert provider.process.poll() is None
        assert provider.mount() == b"s3cret"


def test_wrong_settings_are_all_told_and_end_it_with_2_before_a_socket_is_made(tmp_path: Path, fake: FakeAws) -> None:
    with Process(tmp_path, fake, "--freshness", "soon", "--workers", "0") as provider:
        assert provider.process.wait(10) == 2
    text = provider.output.read_text()
    assert re.search(r"--freshness: 'soon'.*\n.*--workers: '0'", text)
    assert "Traceback" not in text
    assert not provider.socket.exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--kubeconfig", "/nowhere"], "not a usable kubeconfig"),
        (["--metrics-address", "nonsense"], "HOST:PORT"),
        (["--provider-volume", "/nowhere"], "no such directory"),
    ],
    ids=["kubeconfig", "metrics address", "directory"],
)
def test_what_cannot_work_ends_it_with_2_and_one_line(
    tmp_path: Path, fake: FakeAws, flags: list[str], words: str
) -> None:
    with Process(tmp_path, fake, *flags) as provider:
        assert provider.process.wait(15) == 2
    lines = [line for line in provider.output.read_text().splitlines() if line.startswith("keyferry:")]
    assert len(lines) == 1
    assert words in lines[0]
    assert not provider.socket.exists()


def test_scenario_27_a_second_process_waits_and_takes_over_when_the_first_ends(tmp_path: Path, fake: FakeAws) -> None:
    with Process(tmp_path, fake) as first, Process(tmp_path, fake) as second:
        one, other = (first, second) if _serving(first, second) is first else (second, first)
        other.until("another live process serves")
        assert one.end() == 0
        other.until('"serving"')
        assert other.mount() == b"s3cret"
        assert other.end() == 0


def _serving(first: Process, second: Process) -> Process:
    end = time.monotonic() + 15
    while time.monotonic() < end:
        for process in (first, second):
            if '"serving"' in process.output.read_text():
                return process
        time.sleep(0.02)
    raise AssertionError("nobody serves")


def test_a_socket_that_a_killed_process_left_is_replaced(tmp_path: Path, fake: FakeAws) -> None:
    with Process(tmp_path, fake) as killed:
        killed.until('"serving"')
        killed.process.kill()
        killed.process.wait(10)
        assert killed.socket.exists()
    with Process(tmp_path, fake) as provider:
        provider.until('"serving"')
        assert provider.mount() == b"s3cret"


def test_health_readiness_and_metrics_are_served(tmp_path: Path, fake: FakeAws) -> None:
    with Process(tmp_path, fake, "--metrics-address", "127.0.0.1:0") as provider:
        line = provider.until('"serving"')
        port = re.search(r'"metrics_port": (\d+)', line)
        assert port is not None
        base = f"http://127.0.0.1:{port[1]}"
        provider.mount()
        assert urllib.request.urlopen(f"{base}/healthz").read() == b"ok\n"
        assert urllib.request.urlopen(f"{base}/readyz").read() == b"ok\n"
        metrics = urllib.request.urlopen(f"{base}/metrics").read().decode()
        assert 'keyferry_mounts_total{code="OK"} 1.0' in metrics
        assert 'keyferry_credential_refreshes_total{result="ok"} 1.0' in metrics
        provider.socket.unlink()
        with pytest.raises(urllib.error.HTTPError, match="503"):
            urllib.request.urlopen(f"{base}/healthz")


def test_every_read_leaves_an_audit_record_and_none_with_audit_off(tmp_path: Path, fake: FakeAws) -> None:
    for where, lines in (("stdout", 2), ("off", 0)):
        with Process(tmp_path, fake, "--audit", where) as provider:
            provider.until('"serving"')
            provider.mount()
            provider.mount()
            provider.end()
            assert provider.output.read_text().count('"secret":"arn:aws:secretsmanager') == lines


def test_scenario_26_calls_in_flight_at_sigterm_are_answered(tmp_path: Path, fake: FakeAws) -> None:
    fake.world.latency = 0.5
    with Process(tmp_path, fake) as provider, channel(provider.socket) as dialled:
        provider.until('"serving"')
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = dialled.unary_unary(MOUNT)
        calls = [call.future(raw, timeout=20, wait_for_ready=True) for raw in _requests(20)]
        time.sleep(0.3)
        assert provider.end() == 0
        assert [call.code() for call in calls] == [grpc.StatusCode.OK] * 20


def _requests(count: int) -> list[bytes]:
    return [request(attributes(OBJECTS, account=f"sa-{i}", pod=f"pod-{i}")) for i in range(count)]


def test_scenario_36_a_node_starts_250_pods_with_20_secrets_each(tmp_path: Path, fake: FakeAws) -> None:
    """Ten accounts: a batch and a login each, all mounted within seconds, in less than 100 MiB."""
    fake.world.latency = 0.05
    load = Load()
    with Process(tmp_path, fake) as provider:
        provider.until('"serving"')
        result = flood(provider.socket, load.requests(), load.in_flight, provider.process.pid)
        peak = memory(provider.process.pid, "VmHWM")
    assert result.errors == {}
    assert fake.world.counts["BatchGetSecretValue"] == fake.world.counts["AssumeRoleWithWebIdentity"] == 10
    assert fake.world.counts["GetSecretValue"] == 0
    assert result.percentile(0.99) < 2
    assert peak < 100
