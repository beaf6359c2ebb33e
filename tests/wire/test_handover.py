"""Stopping, restarting and overlapping processes (scenarios 26, 27): no call lost, no status of grpcio's own."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from driver.handover import Calls, Signals
from tests.driverside import MOUNT, channel
from tests.wire.conftest import RAW, Start, Up


@contextmanager
def callers(path: Path, number: int = 20) -> Iterator[Counter[str]]:
    """Call without a pause, from one connection, until the end of the block; the statuses are in the counter."""
    statuses: Counter[str] = Counter()
    ended = threading.Event()

    def call_on(call: Any) -> None:
        while not ended.is_set():
            try:
                call(RAW, timeout=20, wait_for_ready=True)
                statuses["OK"] += 1
            except grpc.RpcError as error:
                statuses[error.code().name] += 1

    with channel(path) as dialled:
        threads = [threading.Thread(target=call_on, args=(dialled.unary_unary(MOUNT),)) for _ in range(number)]
        for thread in threads:
            thread.start()
        yield statuses
        ended.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("seconds", [0.0, 0.05], ids=["quick", "slow"])
def test_27_no_call_fails_while_a_successor_takes_over(seconds: float, start: Start) -> None:
    """The old process drains as the new one opens; callers never stop."""
    old = start()
    old.resolver.seconds = seconds
    with callers(old.path) as statuses:
        for _ in range(5):
            time.sleep(0.2)
            old.socket.release()
            new = start()
            new.resolver.seconds = seconds
            assert old.drain() == 0
            old = new
        time.sleep(0.2)
    assert set(statuses) == {"OK"}
    assert new.outcomes


def test_27_large_answers_arrive_whole_in_a_handover(start: Start) -> None:
    old = start()
    old.resolver.content = bytes(1_000_000)
    with callers(old.path, 4) as statuses:
        time.sleep(0.2)
        old.socket.release()
        start()
        old.drain()
        time.sleep(0.1)
    assert set(statuses) == {"OK"}


def test_27_calls_in_flight_get_their_answers(up: Up) -> None:
    up.resolver.seconds = 1.0
    with channel(up.path) as dialled:
        call: Any = dialled.unary_unary(MOUNT)
        futures = [call.future(RAW, timeout=20) for _ in range(20)]
        for _ in futures:
            up.resolver.entered.acquire(timeout=5)
        began = time.monotonic()
        assert up.drain() == 0
        assert time.monotonic() - began < 3
        assert {future.code() for future in futures} == {grpc.StatusCode.OK}


def test_27_a_drain_ends_within_its_grace(up: Up) -> None:
    """A call that hangs longer is cut: UNAVAILABLE, which the driver retries by itself."""
    up.resolver.seconds = 3.0
    with channel(up.path) as dialled:
        call: Any = dialled.unary_unary(MOUNT)
        future = call.future(RAW, timeout=20)
        up.resolver.entered.acquire(timeout=5)
        began = time.monotonic()
        assert up.drain(grace=0.5) == 1
        assert time.monotonic() - began < 2.9
        assert future.code() is grpc.StatusCode.UNAVAILABLE


def test_a_client_that_stays_without_a_call_is_cut_soon(up: Up) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(up.path))
        client.recv(100)  # the server's settings: it has accepted
        began = time.monotonic()
        assert up.drain(grace=20) == 1
        assert time.monotonic() - began < 3


def test_an_idle_process_drains_at_once(up: Up) -> None:
    began = time.monotonic()
    assert up.drain() == 0
    assert time.monotonic() - began < 0.5
    assert not up.path.exists()


def test_the_end_of_an_old_process_leaves_the_new_ones_path(start: Start) -> None:
    """grpcio alone would unlink it (grpc/grpc#17122)."""
    old = start()
    old.socket.release()
    new = start()
    old.drain()
    assert new.socket.is_mine()
    assert new.mount() == b"value"


def test_an_answer_is_held_back_while_connections_are_told() -> None:
    calls, left = Calls(), threading.Event()

    def one() -> None:
        with calls.counted():
            pass
        left.set()

    with calls.held():
        threading.Thread(target=one, daemon=True).start()
        assert not left.wait(0.05)
        assert calls.running == 1
    assert left.wait(5)
    assert calls.running == 0


PROGRAM = """
import pathlib, sys
from driver.handover import Signals
from tests.wire.conftest import Up
signals = Signals()
up = Up(pathlib.Path(sys.argv[1]))
up.resolver.seconds = float(sys.argv[2])
print("up", flush=True)
signals.wait()
up.provider.end_within(10)
sys.exit(up.drain(10))
"""


@contextmanager
def process(directory: Path, seconds: float) -> Iterator["subprocess.Popen[str]"]:
    """Run a provider in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, str(directory), str(seconds)]
    environment = {**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "false"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stdout
        assert running.stdout.readline() == "up\n"
        yield running
        running.kill()


def test_27_sigterm_with_20_calls_in_flight(tmp_path: Path) -> None:
    with process(tmp_path, 1.0) as running, channel(tmp_path / "aws.sock") as dialled:
        call: Any = dialled.unary_unary(MOUNT)
        futures = [call.future(RAW, timeout=20) for _ in range(20)]
        time.sleep(0.5)
        running.send_signal(signal.SIGTERM)
        assert {future.code() for future in futures} == {grpc.StatusCode.OK}
        assert running.wait(10) == 0
    assert list(tmp_path.iterdir()) == []


def test_27_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """The call is then UNAVAILABLE, not CANCELLED: the driver retries it."""
    with process(tmp_path, 5.0) as running, channel(tmp_path / "aws.sock") as dialled:
        call: Any = dialled.unary_unary(MOUNT)
        future = call.future(RAW, timeout=20)
        time.sleep(0.5)
        running.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        running.send_signal(signal.SIGTERM)
        assert running.wait(2) == 128 + signal.SIGTERM
        assert future.code() is grpc.StatusCode.UNAVAILABLE


def test_26_a_killed_process_leaves_a_path_that_its_successor_takes(tmp_path: Path, start: Start) -> None:
    with process(tmp_path, 0) as running:
        running.kill()
        running.wait()
    assert (tmp_path / "aws.sock").is_socket()
    assert start().mount() == b"value"


def test_26_a_mount_waits_for_a_process_that_starts_later(tmp_path: Path, start: Start) -> None:
    with channel(tmp_path / "aws.sock") as dialled:
        call: Any = dialled.unary_unary(MOUNT)
        future = call.future(RAW, timeout=20, wait_for_ready=True)
        time.sleep(0.2)
        start()
        assert future.code() is grpc.StatusCode.OK


def test_signals_wake_the_waiting_main_thread() -> None:
    abandoned: list[int] = []
    signals = Signals(abandoned.append)
    try:
        assert not signals.pause(0)
        os.kill(os.getpid(), signal.SIGTERM)
        signals.wait()
        os.kill(os.getpid(), signal.SIGINT)
        assert abandoned == [128 + signal.SIGINT]
    finally:
        signals.close()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_that_another_thread_takes_wakes_the_main_thread_at_once() -> None:
    """The kernel gives a process's signal to any of its threads."""
    signals = Signals(lambda _: None)
    other = threading.Timer(0.1, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
    try:
        other.start()
        began = time.monotonic()
        assert signals.pause(10)
        assert time.monotonic() - began < 5
        assert signals.seen == 1
    finally:
        other.join()
        signals.close()
