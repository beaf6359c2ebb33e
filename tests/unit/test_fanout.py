"""Fan-out: order, width, and that a full pool slows a caller but never stops it."""

import threading
from collections.abc import Iterator

import pytest

from driver.fanout import Fanout


@pytest.fixture
def fanout() -> Iterator[Fanout]:
    pool = Fanout(threads=2)
    yield pool
    pool.close()


def test_results_come_in_the_order_of_the_jobs(fanout: Fanout) -> None:
    assert fanout.run([lambda i=i: i for i in range(50)], width=4) == list(range(50))  # type: ignore[misc]  # bound default


def test_jobs_run_side_by_side_up_to_the_width(fanout: Fanout) -> None:
    meet = threading.Barrier(3, timeout=5)
    assert sorted(fanout.run([meet.wait] * 3, width=3)) == [0, 1, 2]


def test_a_caller_gets_on_alone_when_all_spare_threads_hang(fanout: Fanout) -> None:
    hang = threading.Event()
    stuck = threading.Thread(target=lambda: fanout.run([lambda: hang.wait(10)] * 3, width=3))
    stuck.start()
    try:
        assert fanout.run([lambda: "done"] * 5, width=3) == ["done"] * 5
    finally:
        hang.set()
        stuck.join()


def test_the_first_exception_is_raised_after_all_jobs_ended(fanout: Fanout) -> None:
    ended: list[int] = []

    def job(i: int) -> int:
        ended.append(i)
        return 1 // (i % 2)

    with pytest.raises(ZeroDivisionError):
        fanout.run([lambda i=i: job(i) for i in range(4)], width=2)  # type: ignore[misc]  # bound default
    assert sorted(ended) == [0, 1, 2, 3]
