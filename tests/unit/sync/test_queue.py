"""Keys wait once, are worked on by one worker at a time, and come in batches."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.sync.queue import Queue
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> Queue[str]:
    return Queue(base=1.0, cap=60.0, clock=clock, uniform=lambda _, most: most)


def ready(queue: Queue[str], limit: int = 100) -> list[str]:
    return queue.take(limit, timeout=0)


def test_a_key_that_is_added_many_times_is_taken_once(queue: Queue[str]) -> None:
    for _ in range(3):
        queue.add("a")
    assert ready(queue) == ["a"]
    assert ready(queue) == []


def test_a_key_is_with_one_worker_at_a_time(queue: Queue[str]) -> None:
    queue.add("a")
    assert ready(queue) == ["a"]
    queue.add("a")
    assert ready(queue) == []
    queue.done("a")
    assert ready(queue) == ["a"]


def test_what_was_added_meanwhile_can_turn_out_to_be_no_news(queue: Queue[str], clock: FakeClock) -> None:
    queue.add("a")
    ready(queue)
    queue.add_at("a", clock() + 5)
    queue.add("a")
    queue.done("a", lambda _: False)
    assert ready(queue) == []
    clock.advance(5)
    assert ready(queue) == ["a"]


def test_a_delayed_key_comes_when_it_is_due(queue: Queue[str], clock: FakeClock) -> None:
    queue.add_at("a", clock() + 10)
    assert ready(queue) == []
    clock.advance(10)
    assert ready(queue) == ["a"]


def test_the_last_due_time_holds(queue: Queue[str], clock: FakeClock) -> None:
    queue.add_at("a", clock() + 1)
    queue.add_at("a", clock() + 10)
    clock.advance(5)
    assert ready(queue) == []
    clock.advance(5)
    assert ready(queue) == ["a"]


def test_a_due_time_that_passes_while_the_key_is_worked_on_is_not_lost(queue: Queue[str], clock: FakeClock) -> None:
    queue.add("a")
    assert ready(queue) == ["a"]
    queue.add_at("a", clock() + 1)
    clock.advance(2)
    assert ready(queue) == []
    queue.done("a")
    assert ready(queue) == ["a"]


def test_adding_a_key_overtakes_its_due_time(queue: Queue[str], clock: FakeClock) -> None:
    queue.add_at("a", clock() + 10)
    queue.add("a")
    assert ready(queue) == ["a"]
    queue.done("a")
    clock.advance(20)
    assert ready(queue) == []


def test_what_something_happened_to_goes_before_what_is_merely_due(queue: Queue[str], clock: FakeClock) -> None:
    queue.add_at("poll", clock() + 1)
    clock.advance(1)
    assert queue.depth() == 1
    queue.add("change")
    assert ready(queue, 1) == ["change"]


def test_keys_due_together_are_taken_in_batches(queue: Queue[str], clock: FakeClock) -> None:
    for n in range(150):
        queue.add_at(f"k{n}", clock() + 1)
    clock.advance(1)
    assert [len(ready(queue, 60)) for _ in range(3)] == [60, 60, 30]


def test_back_off_doubles_up_to_a_cap_and_starts_anew_after_a_success(queue: Queue[str]) -> None:
    assert [queue.failed("a") for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert queue.failed("b") == 1
    queue.succeeded("a")
    assert queue.failed("a") == 1


def test_back_off_is_spread_by_chance(clock: FakeClock) -> None:
    queue: Queue[str] = Queue(base=1.0, clock=clock)
    waits = {queue.failed(f"k{n}") for n in range(50)}
    assert len(waits) == 50
    assert all(0 < wait <= 1 for wait in waits)


def test_a_forgotten_key_is_not_due_but_one_added_meanwhile_stays(queue: Queue[str], clock: FakeClock) -> None:
    queue.add("a")
    assert ready(queue) == ["a"]
    queue.add_at("a", clock() + 1)
    queue.add("a")
    queue.forget("a")
    queue.done("a")
    assert ready(queue) == ["a"]
    queue.done("a")
    clock.advance(5)
    assert ready(queue) == []


def test_the_oldest_wait_counts_ready_keys_and_those_at_work(queue: Queue[str], clock: FakeClock) -> None:
    assert queue.oldest() == 0
    queue.add("a")
    clock.advance(3)
    assert queue.oldest() == 3
    ready(queue)
    clock.advance(2)
    assert queue.oldest() == 2
    queue.done("a")
    assert queue.oldest() == 0


def test_waiting_workers_wake_for_a_key_and_for_the_end() -> None:
    queue: Queue[str] = Queue()
    taken: list[list[str]] = []
    workers = [threading.Thread(target=lambda: taken.append(queue.take(1))) for _ in range(3)]
    for worker in workers:
        worker.start()
    queue.add("a")
    queue.close()
    for worker in workers:
        worker.join(5)
    assert sorted(taken) in ([[], [], ["a"]], [[], [], []])


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "later", "take", "done", "tick"])), max_size=60)
)
def test_no_key_is_lost_and_none_is_with_two_workers(steps: list[tuple[str, str]]) -> None:
    clock = FakeClock()
    queue: Queue[str] = Queue(clock=clock)
    working: list[str] = []
    wanted: set[str] = set()
    for key, step in steps:
        if step == "add":
            queue.add(key)
            wanted.add(key)
        elif step == "later":
            queue.add_at(key, clock() + 1)
            wanted.add(key)
        elif step == "take":
            taken = ready(queue)
            assert not set(taken) & set(working)
            working += taken
            wanted -= set(taken)
        elif step == "done" and working:
            queue.done(working.pop())
        else:
            clock.advance(0.5)
    for key in working:
        queue.done(key)
    clock.advance(2)
    assert wanted <= set(ready(queue))
