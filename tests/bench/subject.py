"""What is measured: a provider process on a socket of its own, in front of the fake AWS."""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.bench.flood import cpu_seconds

READY = 20.0


@dataclass(frozen=True)
class Cloud:
    """The fake AWS in another process: TLS for AWS, plain HTTP on the next port for Kubernetes and the controls."""

    folder: Path
    aws: str
    control: str

    def post(self, path: str, **query: object) -> dict[str, Any]:
        """Change how the fake behaves; return the calls counted so far."""
        url = f"{self.control}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def kubeconfig(self) -> Path:
        """Return a kubeconfig that leads to the fake's service accounts."""
        path = self.folder / "kubeconfig"
        cluster = {"name": "fake", "cluster": {"server": self.control}}
        context = {"name": "fake", "context": {"cluster": "fake", "user": "fake"}}
        users = [{"name": "fake", "user": {"token": "fake"}}]
        document = {"current-context": "fake", "contexts": [context], "clusters": [cluster], "users": users}
        path.write_text(yaml.safe_dump(document))
        return path

    def environment(self) -> dict[str, str]:
        """Return the SDK's variables that lead to the fake."""
        ca = str(self.folder / "fakeaws.pem")
        return {
            "AWS_ENDPOINT_URL": self.aws,
            "AWS_CA_BUNDLE": ca,
            "SSL_CERT_FILE": ca,
            "KUBECONFIG": str(self.kubeconfig()),
            "MALLOC_ARENA_MAX": "2",
        }


@contextmanager
def cloud(latency: float) -> Iterator[Cloud]:
    """Run the fake AWS, with ``latency`` seconds for every AWS call, while the context lasts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "tests.fakeaws", "--port", "0", "--latency", str(latency)]
        command += ["--certificate", name, "--control-port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            aws, control = process.stdout.readline().split()[-2:]
            try:
                yield Cloud(folder, aws, control)
            finally:
                process.terminate()


@dataclass(frozen=True)
class Subject:
    """A running provider: its socket, its process and how long it took to serve, in seconds of wall and CPU time."""

    socket: Path
    pid: int
    wall: float
    cpu: float


@contextmanager
def keyferry(fake: Cloud, *flags: str) -> Iterator[Subject]:
    """Run ``keyferry provider`` while the context lasts."""
    command = [sys.executable, "-m", "driver", "provider", "--provider-volume", "{sockets}"]
    command += ["--kubeconfig", str(fake.kubeconfig()), "--metrics-address", "", *flags]
    with _running(command, fake.environment()) as subject:
        yield subject


@contextmanager
def peer(fake: Cloud, command: str) -> Iterator[Subject]:
    """Run another provider: a command in which ``{sockets}`` stands for the socket's folder."""
    with _running(shlex.split(command), fake.environment()) as subject:
        yield subject


@contextmanager
def _running(command: list[str], environment: Mapping[str, str]) -> Iterator[Subject]:
    with tempfile.TemporaryDirectory() as name:
        sockets = Path(name)
        words = [word.replace("{sockets}", name) for word in command]
        began = time.perf_counter()
        # what it prints goes to a file: a pipe that nobody reads would be part of what is measured
        with (sockets / "output").open("wb") as output:
            process = subprocess.Popen(words, env=os.environ | environment, stdout=output, stderr=output)
            try:
                socket = _socket(sockets, process, began + READY)
                yield Subject(socket, process.pid, time.perf_counter() - began, cpu_seconds(process.pid))
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def _socket(folder: Path, process: "subprocess.Popen[bytes]", until: float) -> Path:
    while time.perf_counter() < until:
        found = [path for path in folder.glob("*.sock") if not path.name.startswith(".")]
        if found:
            return found[0]
        if process.poll() is not None:
            raise SystemExit(f"the provider ended: {(folder / 'output').read_text()[-2000:]}")
        time.sleep(0.002)
    raise SystemExit("the provider made no socket in time")
