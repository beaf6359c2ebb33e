"""A flood of Mount calls as a node start makes them, and what it cost the provider."""

import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from tests.driverside import MOUNT, attributes, channel, request

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """Which pods mount what: ``pods`` calls per round, of ``accounts`` service accounts, ``secrets`` objects each."""

    pods: int = 250
    accounts: int = 10
    secrets: int = 20
    in_flight: int = 64
    prefix: str = "app"

    def requests(self) -> list[bytes]:
        """Return one request per pod; pods of one account want the same secrets."""
        return [self._request(pod) for pod in range(self.pods)]

    def _request(self, pod: int) -> bytes:
        number = pod % self.accounts
        objects = "".join(
            f'- objectName: "{self.prefix}-{number}-secret-{n}"\n  objectType: secretsmanager\n'
            for n in range(self.secrets)
        )
        namespace, account = f"ns-{number % 5}", f"sa-{number}"
        return request(attributes(objects, namespace=namespace, account=account, pod=f"pod-{pod}"))


@dataclass
class Result:
    """One round: seconds of wall time and of the provider's CPU, sorted latencies, errors by text."""

    wall: float = 0.0
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def percentile(self, part: float) -> float:
        """Return the latency in seconds that this part of the calls did not pass."""
        return self.latencies[int((len(self.latencies) - 1) * part)]


def flood(socket: Path, requests: Sequence[bytes], in_flight: int, pid: int) -> Result:
    """Send all requests, at most ``in_flight`` at a time, over one connection, as the driver does."""
    result = Result()
    slots, lock = threading.Semaphore(in_flight), threading.Lock()
    with channel(socket) as dialled:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = dialled.unary_unary(MOUNT)
        cpu, start = cpu_seconds(pid), time.perf_counter()
        pending = []
        for raw in requests:
            slots.acquire()
            began = time.perf_counter()
            future = call.future(raw, timeout=110, wait_for_ready=True)

            def done(future: "grpc.Future[bytes]", began: float = began) -> None:
                with lock:
                    result.latencies.append(time.perf_counter() - began)
                    if future.exception() is not None:
                        result.errors[str(future.exception())[:300]] += 1
                slots.release()

            future.add_done_callback(done)
            pending.append(future)
        for future in pending:
            future.exception()
        while len(result.latencies) < len(requests):
            time.sleep(0.001)
        result.wall, result.cpu = time.perf_counter() - start, cpu_seconds(pid) - cpu
    result.latencies.sort()
    return result


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid: int, what: str = "VmRSS") -> float:
    """Return a process's resident megabytes now (``VmRSS``) or at most (``VmHWM``)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))


def descriptors(pid: int) -> int:
    """Return how many files and sockets a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
