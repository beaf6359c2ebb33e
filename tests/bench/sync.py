"""``make bench-sync``: a thousand ExternalSecrets against ``keyferry sync``, from cold through a rotation to their end.

AWS and the API server are stand-ins in processes of their own on the same cores, so wall times are upper bounds; CPU
times, counts and memory are those of the sync process alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import urllib3
from tabulate import tabulate

from driver.cli.standin import write_kubeconfig
from tests.bench.cluster import Cluster, cluster, of_secret
from tests.bench.flood import cpu_seconds, memory
from tests.bench.subject import Cloud, cloud
from tests.fakeobjects import Json
from tests.syncside import external_secret

LIMIT = 120.0
"""Seconds after which something does not come any more."""

OUTAGES = 6

HEAD = ("what", "measured", "goal", "")


@dataclass
class Table:
    """What was measured, each with its goal."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def row(self, what: str, measured: float, unit: str, *, most: float | None = None, least: float = 0.0) -> None:
        """Add a figure; ``most`` and ``least`` are the goal."""
        goal = "" if most is None else f"<= {most:g}"
        goal = f">= {least:g} {goal}".strip() if least else goal
        reached = least <= measured and (most is None or measured <= most)
        verdict = "" if not goal else "ok" if reached else "MISSED"
        self.rows.append((what, f"{measured:.4g} {unit}".strip(), goal, verdict))
        print(".", end="", flush=True)


@dataclass(frozen=True)
class Bench:
    """The stand-ins, and how many objects there are."""

    aws: Cloud
    kube: Cluster
    folder: Path
    objects: int

    def names(self) -> list[str]:
        return [f"app-{number}" for number in range(self.objects)]

    def store(self, password: str, *names: str) -> None:
        """Put a new version of AWS secrets."""
        pool = urllib3.PoolManager()
        for name in names:
            body = json.dumps({"username": f"user of {name}", "password": password})
            pool.request("POST", f"{self.aws.control}/_put?name={name}", body=body)
        pool.clear()

    def reads(self) -> int:
        """Return the AWS calls so far."""
        counts = self.aws.post("/_stats")
        return sum(number for name, number in counts.items() if not name.startswith("kube"))

    def until(self, true: Callable[[], object]) -> float:
        """Wait until something is so and return the seconds that it took."""
        start = time.monotonic()
        while not true():
            if time.monotonic() - start > LIMIT:
                raise SystemExit(f"not within {LIMIT:g} s. The log:\n{self._log()}")
            time.sleep(0.02)
        return time.monotonic() - start

    def _log(self) -> str:
        return (self.folder / "output").read_text()[-3000:]

    @contextmanager
    def sync(self, interval: str) -> Iterator[int]:
        """Run ``keyferry sync`` while the context lasts, and yield its process id."""
        write_kubeconfig(self.folder / "kubeconfig", self.kube.url)
        command = [sys.executable, "-m", "driver", "sync", "--kubeconfig", str(self.folder / "kubeconfig")]
        command += ["--region", "eu-west-1", "--poll-interval", interval, "--metrics-address", "127.0.0.1:0"]
        own = {"AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret"}
        with (self.folder / "output").open("wb") as output:
            environment = os.environ | self.aws.environment() | own
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
            try:
                yield process.pid
                if process.poll() is not None:
                    raise SystemExit(f"keyferry sync ended. The log:\n{self._log()}")
            finally:
                process.terminate()
                process.wait(60)


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description="A thousand ExternalSecrets against keyferry sync.")
    parser.add_argument("--objects", type=int, default=1000)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds that every AWS call takes")
    parser.add_argument("--steady", type=float, default=60.0, help="seconds of steady state")
    given = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory() as name, cloud(given.latency) as fake:
        for part in (_idle, _one_secret, _thousand):
            with cluster() as kube:
                part(Bench(fake, kube, Path(name), given.objects), table, given.steady)
    print("\n" + tabulate(table.rows, HEAD, disable_numparse=True))


def _idle(bench: Bench, table: Table, _steady: float) -> None:
    with bench.sync("10s") as pid:
        time.sleep(4)
        table.row("idle: memory", memory(pid), "MB", most=60)


def _one_secret(bench: Bench, table: Table, _steady: float) -> None:
    """A hundred objects on one AWS secret, then one object with ten items of one."""
    bench.store("first", "shared")
    bench.kube.make(of_secret(f"one-{number}", "shared") for number in range(100))
    with bench.sync("2s"):
        bench.until(lambda: bench.kube.having("first") == 100)
        table.row("100 objects on one secret: AWS calls per poll", _reads_per_poll(bench, 2.0), "", most=1.1)
    bench.kube.remove()
    bench.kube.make([_of_ten_items("ten", "shared")])
    with bench.sync("2s"):
        bench.until(lambda: bench.kube.having("first") == 1)
        table.row("10 items of one secret: AWS calls per poll", _reads_per_poll(bench, 2.0), "", most=1.1)
    bench.kube.remove()


def _of_ten_items(name: str, key: str) -> Json:
    items = [{"key": key, "name": f"username-{number}", "property": "username"} for number in range(9)]
    return external_secret(name, {"key": key, "name": "password", "property": "password"}, *items)


def _reads_per_poll(bench: Bench, interval: float) -> float:
    time.sleep(1.5 * interval)
    before = bench.reads()
    time.sleep(5 * interval)
    return (bench.reads() - before) / 5


def _thousand(bench: Bench, table: Table, steady: float) -> None:
    bench.store("first", *bench.names())
    bench.kube.make(of_secret(name, name) for name in bench.names())
    bench.aws.post("/_reset")
    with bench.sync("10s") as pid:
        _cold(bench, table, pid)
        _steady(bench, table, pid, steady)
        _change(bench, table)
        _outage(bench, table)
        table.row("memory at most", memory(pid, "VmHWM"), "MB", most=120)
        _deletion(bench, table)


def _cold(bench: Bench, table: Table, pid: int) -> None:
    wall = bench.until(lambda: bench.kube.having("first") == bench.objects)
    table.row(f"{bench.objects} objects: process start to all Secrets written", wall, "s", most=8)
    table.row("… CPU", cpu_seconds(pid), "s", most=6)
    table.row("… AWS calls", bench.reads(), "", most=60)
    bench.until(lambda: bench.kube.ready() == bench.objects)
    time.sleep(1)
    table.row("… API requests, statuses too", bench.kube.requests(), "")
    table.row("… of them writes", bench.kube.writes(), "", most=2 * bench.objects)
    table.row("… memory", memory(pid), "MB", most=120)


def _steady(bench: Bench, table: Table, pid: int, seconds: float) -> None:
    time.sleep(12)
    reads, writes, cpu = bench.reads(), bench.kube.writes(), cpu_seconds(pid)
    time.sleep(seconds)
    calls = (bench.reads() - reads) / seconds
    expected = bench.objects / 20 / 10
    table.row("steady, 10 s interval: AWS calls per second", calls, "", least=0.95 * expected, most=1.2 * expected)
    table.row("… Kubernetes writes", bench.kube.writes() - writes, "", most=0)
    table.row("… CPU", 100 * (cpu_seconds(pid) - cpu) / seconds, "%", most=10)
    table.row("… memory", memory(pid), "MB", most=120)


def _change(bench: Bench, table: Table) -> None:
    bench.store("second", *bench.names())
    took = bench.until(lambda: bench.kube.having("second") == bench.objects)
    table.row("all rotated: last Secret updated after", took, "s", most=12)
    time.sleep(3)
    bench.kube.edit("app-0")
    took = bench.until(lambda: bench.kube.having("second") == bench.objects)
    table.row("a Secret edited by hand: healed after", took, "s", most=1)


def _outage(bench: Bench, table: Table) -> None:
    """Several, since how long it takes is a matter of chance."""
    took = []
    for number in range(OUTAGES):
        bench.kube.refuse()
        bench.store("third", f"late-{number}")
        time.sleep(5)
        bench.kube.accept()
        bench.kube.make([of_secret(f"late-{number}", f"late-{number}")])
        took.append(bench.until(partial(_synced, bench, number + 1)))
    table.row(f"API server away for 5 s, {OUTAGES} times: new object synced after, at worst", max(took), "s", most=5)


def _synced(bench: Bench, objects: int) -> bool:
    return bench.kube.having("third") == objects


def _deletion(bench: Bench, table: Table) -> None:
    bench.kube.remove()
    bench.store("fourth", "last")
    bench.kube.make([of_secret("last", "last")])
    took = bench.until(lambda: bench.kube.having("fourth") == 1)
    table.row("all deleted at once: new object synced after", took, "s", most=5)


if __name__ == "__main__":
    main()
