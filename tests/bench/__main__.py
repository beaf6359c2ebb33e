"""``make bench``: Mount floods against ``keyferry provider``; with ``--peer``, against another in the same run.

Absolute times hold for this machine and this hour; ratios between two providers of one run, counts and memory travel.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from tabulate import tabulate

from tests.bench.flood import Load, Result, descriptors, flood, memory
from tests.bench.subject import Cloud, Subject, cloud, keyferry, peer

Start = Callable[..., AbstractContextManager[Subject]]


@dataclass(frozen=True)
class Case:
    """One row: a load, whether the role lacks BatchGetSecretValue, and how many warm rounds follow the cold one."""

    name: str
    load: Load
    batch: bool = True
    warm: int = 0


CASES = (
    Case("250 pods x 20 secrets, 10 accounts, cold", Load()),
    Case("the same, no batch permission", Load(), batch=False),
    Case("250 pods x 20 secrets, 250 accounts, cold", Load(accounts=250)),
    Case("the same, no batch permission", Load(accounts=250), batch=False),
    Case("250 pods x 20 secrets, 10 accounts, warm", Load(), warm=6),
    Case("one after the other x 1 secret, 50 accounts, cold", Load(pods=50, accounts=50, secrets=1, in_flight=1)),
    Case("the same, warm", Load(pods=50, accounts=50, secrets=1, in_flight=1), warm=4),
)
HEAD = ("case", "who", "wall ms", "p50 ms", "p99 ms", "Mounts/s", "CPU ms/Mount", "AWS calls", "RSS MB", "errors")


def main() -> None:
    """Run all cases and print a table."""
    parser = argparse.ArgumentParser(description="Mount floods against keyferry provider.")
    parser.add_argument("--peer", help="command of a second provider; {sockets} stands for the socket's folder")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds that every AWS call takes")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of the memory run")
    given = parser.parse_args()
    with cloud(given.latency) as fake:
        starts: dict[str, Start] = {"keyferry": partial(keyferry, fake)}
        if given.peer:
            starts["peer"] = partial(peer, fake, given.peer)
        rows = [row for case in CASES for row in _compare(case, fake, starts)]
        print(tabulate(rows, HEAD, floatfmt=".1f"))
        for who, start in starts.items():
            _memory(who, start, given.rounds)


def _compare(case: Case, fake: Cloud, starts: dict[str, Start]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    results: list[Result] = []
    for who, start in starts.items():
        fake.post("/_heal")
        if not case.batch:
            fake.post("/_deny", permission="secretsmanager:BatchGetSecretValue")
        with start() as subject:
            result, calls = _measure(case, fake, subject)
            rows.append(_row(case, who, result, calls, memory(subject.pid)))
            results.append(result)
    if len(results) == 2:
        ours, theirs = results
        rows.append((case.name, "peer/keyferry", theirs.wall / ours.wall, *[""] * 3, theirs.cpu / max(ours.cpu, 0.01)))
    return rows


def _measure(case: Case, fake: Cloud, subject: Subject) -> tuple[Result, int]:
    """Return the cold round, or the median of the warm rounds by wall time, and the calls that it made to AWS."""
    time.sleep(1.0)  # a node starts its provider before its pods
    requests = case.load.requests()
    send = partial(flood, subject.socket, requests, case.load.in_flight, subject.pid)
    fake.post("/_reset")
    if not case.warm:
        return send(), _aws_calls(fake)
    send()
    fake.post("/_reset")
    results = [send() for _ in range(case.warm)]
    median = sorted(results, key=lambda result: result.wall)[len(results) // 2]
    # one round is too short for the clock that counts CPU time
    median.cpu = sum(result.cpu for result in results) / len(results)
    return median, _aws_calls(fake)


def _aws_calls(fake: Cloud) -> int:
    counts = fake.post("/_stats")
    return sum(number for name, number in counts.items() if not name.startswith("kube"))


def _row(case: Case, who: str, result: Result, calls: int, rss: float) -> tuple[object, ...]:
    mounts = len(result.latencies)
    times = [1000 * seconds for seconds in (result.wall, result.percentile(0.5), result.percentile(0.99))]
    rate, cpu = mounts / result.wall, 1000 * result.cpu / mounts
    return (case.name, who, *times, rate, f"{cpu:.2f}", calls, rss, sum(result.errors.values()))


def _memory(who: str, start: Start, rounds: int) -> None:
    """Print memory at rest and over rounds in which every value is read again."""
    load = Load(accounts=250)
    requests = load.requests()
    flags = ("--freshness", "0") if who == "keyferry" else ()
    with start(*flags) as subject:
        print(f"\n{who}: serving after {1000 * subject.wall:.0f} ms wall, {1000 * subject.cpu:.0f} ms CPU")
        time.sleep(2.0)
        print(f"{who}: {memory(subject.pid):.1f} MB at rest, {descriptors(subject.pid)} descriptors")
        for number in range(1, rounds + 1):
            result = flood(subject.socket, requests, load.in_flight, subject.pid)
            if number in {1, 2, 4, 6, 10, 15, 20} or number == rounds:
                errors = sum(result.errors.values())
                print(f"{who}: round {number}: {memory(subject.pid):.1f} MB, {descriptors(subject.pid)} descriptors,")
                print(f"  {result.cpu:.2f} s CPU, {errors} errors")
        print(f"{who}: {memory(subject.pid, 'VmHWM'):.1f} MB at most")


if __name__ == "__main__":
    main()
