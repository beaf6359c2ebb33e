import socket
import threading
import time
from collections.abc import Iterator

import pytest

from driver.http.loop import READ, Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_work_is_done_in_order_by_a_thread_of_its_own(loop: Loop) -> None:
    seen: list[object] = []
    done = threading.Event()
    loop.submit(lambda: seen.append(threading.current_thread().name))
    loop.submit(lambda: seen.append(2))
    loop.submit(done.set)
    assert done.wait(2)
    assert seen == ["http", 2]


def test_work_wakes_a_loop_that_sleeps(loop: Loop) -> None:
    for _ in range(50):
        done = threading.Event()
        loop.submit(done.set)
        assert done.wait(2)
        time.sleep(0.001)


def test_work_that_fails_ends_nothing_else(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    loop.submit(lambda: 1 // 0)
    loop.submit(done.set)
    assert done.wait(2)
    assert "failed" in caplog.text


def test_what_is_watched_is_told(loop: Loop) -> None:
    ours, theirs = socket.socketpair()
    heard = threading.Event()

    def hear() -> None:
        ours.recv(1)
        heard.set()
        loop.watch(ours.fileno(), 0, READ, hear)

    with ours, theirs:
        loop.submit(lambda: loop.watch(ours.fileno(), READ, 0, hear))
        theirs.send(b"!")
        assert heard.wait(2)


def test_looks_come_when_they_are_due(loop: Loop) -> None:
    looked = threading.Event()
    waits = iter([0.02, 60.0])

    def look() -> float:
        seconds = next(waits)
        if seconds > 1:
            looked.set()
        return seconds

    loop.look(look)
    began = time.monotonic()
    loop.submit(lambda: loop.look_within(0.02))
    assert looked.wait(2)
    assert 0.04 <= time.monotonic() - began < 1


def test_a_closed_loop_does_what_it_had_and_no_more(loop: Loop) -> None:
    seen: list[threading.Thread] = []
    loop.submit(lambda: seen.append(threading.current_thread()))
    loop.close()
    assert not loop.submit(lambda: seen.append(threading.current_thread()))
    assert [thread.is_alive() for thread in seen] == [False]


def test_a_loop_without_work_has_no_thread() -> None:
    before = threading.active_count()
    loop = Loop()
    assert threading.active_count() == before
    loop.close()
