"""Which pods get a Warning Event, and that telling never waits."""

import threading
import time

import pytest

from driver.errors import Failures, KeyferryError, NotFound, Unavailable
from driver.model import Pod
from driver.mount.events import FAILING, FAILURES, INTERVAL, MESSAGE_LIMIT, ROTATION_FAILED, STALE, Events, Judge, Warn
from driver.mount.provider import Outcome
from tests.fakes import FakeClock

ERROR = NotFound("db", "no such secret", "create it")


def outcome(error: KeyferryError | None = None, *, pod: str = "a", name: str = "class", stale: int = 0) -> Outcome:
    return Outcome(Pod("shop", pod, f"uid-{pod}"), name, error, stale)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def judge(clock: FakeClock) -> Judge:
    return Judge(clock)


def fail(judge: Judge, times: int) -> list[Warn | None]:
    return [judge.judge(outcome(ERROR)) for _ in range(times)]


def test_a_rotation_that_fails_three_times_in_a_row_is_told(judge: Judge) -> None:
    judge.judge(outcome())
    *before, event = fail(judge, FAILURES)
    assert before == [None] * (FAILURES - 1)
    assert event
    assert (event.pod.name, event.reason) == ("a", ROTATION_FAILED)
    assert "keyferry: db: no such secret: create it" in event.message


def test_a_first_mount_that_fails_is_kubelets_to_tell(judge: Judge) -> None:
    assert fail(judge, 10) == [None] * 10


def test_a_success_in_between_starts_the_count_anew(judge: Judge) -> None:
    for _ in range(5):
        judge.judge(outcome())
        assert fail(judge, FAILURES - 1) == [None] * (FAILURES - 1)


def test_another_class_of_the_same_pod_counts_for_itself(judge: Judge) -> None:
    judge.judge(outcome())
    for _ in range(FAILURES - 1):
        judge.judge(outcome(ERROR))
        judge.judge(outcome(name="other"))
    assert judge.judge(outcome(ERROR))


def test_volumes_that_fail_are_counted_by_what_is_known_of_them(judge: Judge) -> None:
    judge.judge(outcome())
    judge.judge(outcome(ERROR))
    for pod in ("b", "c"):
        judge.judge(outcome(ERROR, pod=pod))
    assert judge.failing() == {("yes", "NotFound"): 1, ("unknown", "NotFound"): 2}


def test_a_volume_that_works_again_no_longer_fails(judge: Judge) -> None:
    judge.judge(outcome(ERROR))
    judge.judge(outcome())
    assert judge.failing() == {}


def test_a_volume_that_nobody_asks_for_any_more_no_longer_fails(judge: Judge, clock: FakeClock) -> None:
    """Its pod is gone."""
    judge.judge(outcome(ERROR))
    clock.advance(FAILING - 1)
    assert judge.failing()
    clock.advance(1)
    assert judge.failing() == {}


def test_what_most_needs_a_person_is_the_reason(judge: Judge) -> None:
    judge.judge(outcome(Failures([Unavailable("a", "b", "c"), ERROR])))
    assert judge.failing() == {("unknown", "NotFound"): 1}


def test_every_failure_of_a_volume_that_was_mounted_is_a_failed_rotation() -> None:
    told: list[str] = []
    judge = Judge(FakeClock(), rotation_failed=told.append)
    judge.judge(outcome(ERROR))
    assert told == []
    judge.judge(outcome())
    fail(judge, 2)
    assert told == ["NotFound", "NotFound"]


def test_stale_values_are_told(judge: Judge) -> None:
    event = judge.judge(outcome(stale=2))
    assert event
    assert event.reason == STALE


def test_a_pod_gets_one_event_in_ten_minutes(judge: Judge, clock: FakeClock) -> None:
    judge.judge(outcome())
    assert sum(event is not None for event in fail(judge, 50)) == 1
    assert judge.judge(outcome(stale=1)) is None
    assert judge.judge(outcome(stale=1, pod="b"))
    clock.advance(INTERVAL)
    assert judge.judge(outcome(stale=1))


def test_a_message_fits_into_an_event(judge: Judge) -> None:
    judge.judge(outcome(name="c" * 253))
    error = Unavailable("x" * 900, "c", "r")
    event = [judge.judge(outcome(error, name="c" * 253)) for _ in range(FAILURES)][-1]
    assert event
    assert len(event.message) == MESSAGE_LIMIT


def test_what_is_remembered_is_bounded(judge: Judge) -> None:
    for number in range(10_000):
        judge.judge(outcome(stale=1, pod=str(number)))
        judge.judge(outcome(ERROR, pod=str(number)))
    assert len(judge._volumes) == len(judge._told) == len(judge._failing) == 4_096


def test_a_publisher_that_hangs_holds_nobody_up(judge: Judge) -> None:
    hang, published = threading.Event(), list[str]()

    def publish(pod: Pod, reason: str, message: str) -> None:
        hang.wait(10)
        published.append(pod.name)

    events = Events(publish, judge)
    began = time.monotonic()
    for number in range(200):
        events.tell(outcome(stale=1, pod=str(number)))
    assert time.monotonic() - began < 1
    hang.set()
    events.close()
    assert 60 < len(published) < 100


def test_a_publisher_that_fails_is_tried_again_for_the_next(judge: Judge, caplog: pytest.LogCaptureFixture) -> None:
    published: list[str] = []

    def publish(pod: Pod, reason: str, message: str) -> None:
        published.append(pod.name)
        raise Unavailable("API server", "does not answer", "check it") if pod.name == "a" else ValueError("bug")

    events = Events(publish, judge)
    for pod in ("a", "b"):
        events.tell(outcome(stale=1, pod=pod))
    events.close()
    assert published == ["a", "b"]
    assert "API server: does not answer" in caplog.text
