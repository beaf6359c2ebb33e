import threading
import time

import pytest

from driver.aws.pace import (
    CALM,
    FIRST_WINDOW,
    RETRIES,
    FirstContact,
    Meter,
    Pace,
    Paces,
    RetryBudgets,
    in_time,
    pause,
)
from driver.model import Deadline
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def long(clock: FakeClock) -> Deadline:
    return Deadline(1_000, clock)


def test_an_identity_in_trouble_runs_out_of_retries_and_no_other_does(clock: FakeClock) -> None:
    budgets = RetryBudgets(clock)
    assert [budgets.spend("bad") for _ in range(12)] == [True] * int(RETRIES) + [False] * 2
    assert budgets.spend("good")


def test_successes_and_time_earn_retries(clock: FakeClock) -> None:
    budgets = RetryBudgets(clock)
    while budgets.spend("a"):
        pass
    for _ in range(5):
        budgets.earn("a")
    assert budgets.spend("a")
    assert not budgets.spend("a")
    clock.advance(5.1)
    assert budgets.spend("a")


def test_a_budget_that_is_full_again_takes_no_room(clock: FakeClock) -> None:
    budgets = RetryBudgets(clock)
    budgets.spend("a")
    clock.advance(60)
    budgets.earn("a")
    assert len(budgets._left) == 0


def test_first_contact_lets_few_out(clock: FakeClock) -> None:
    contact = FirstContact(clock)
    assert all(contact.enter(Deadline(1)) for _ in range(FIRST_WINDOW))
    assert contact.enter(Deadline(0.01)) is None


def test_answers_open_the_window(clock: FakeClock) -> None:
    contact = FirstContact(clock)
    for _ in range(20):
        ticket = contact.enter(Deadline(1))
        contact.leave(ticket, served=True)
    assert all(contact.enter(Deadline(0.01)) for _ in range(12))


def test_throttled_calls_do_not_open_the_window(clock: FakeClock) -> None:
    contact = FirstContact(clock)
    for _ in range(20):
        contact.leave(contact.enter(Deadline(1)), served=False)
    assert sum(contact.enter(Deadline(0.005)) is not None for _ in range(6)) == FIRST_WINDOW


def test_calls_that_hang_hold_nobody_back_for_long() -> None:
    """64 identities on a dead service, then a healthy one."""
    contact = FirstContact(time.monotonic)
    began = time.monotonic()
    assert all(contact.enter(Deadline(5)) for _ in range(65))
    assert time.monotonic() - began < 2.0


def test_a_waiter_goes_as_soon_as_there_is_room(clock: FakeClock) -> None:
    contact = FirstContact(clock)
    tickets = [contact.enter(Deadline(1)) for _ in range(FIRST_WINDOW)]
    threading.Timer(0.01, contact.leave, (tickets[0],), {"served": True}).start()
    assert contact.enter(Deadline(5))


def test_a_meter_tells_the_calls_of_a_second() -> None:
    meter = Meter()
    for n in range(30):
        meter.count(10 + n / 10)
    assert meter.rate(12.95) == 10
    assert meter.rate(13.5) == 10
    assert meter.rate(20) == 0


def test_a_throttled_pace_is_slower_than_what_was_seen(clock: FakeClock) -> None:
    assert Pace(10.0, clock).rate == pytest.approx(7.0)


def test_turns_are_spread_at_the_pace(clock: FakeClock) -> None:
    pace = Pace(10.0, clock)
    waits = [pace.turn(long(clock)) for _ in range(4)]
    assert waits == pytest.approx([1 / 7, 2 / 7, 3 / 7, 4 / 7])


def test_a_turn_after_the_deadline_is_left_to_others(clock: FakeClock) -> None:
    pace = Pace(1.0, clock)
    assert pace.turn(Deadline(0.1, clock)) is None
    assert pace.turn(long(clock)) == pytest.approx(1 / 0.7)


def test_calls_that_were_out_together_slow_the_pace_once(clock: FakeClock) -> None:
    pace = Pace(10.0, clock)
    began = clock()
    clock.advance(0.1)
    for _ in range(8):
        pace.throttled(began)
    assert pace.rate == pytest.approx(7.0)
    clock.advance(1)
    pace.throttled(clock())
    assert pace.rate < 7.0


def test_the_pace_recovers_slowly_and_then_faster(clock: FakeClock) -> None:
    pace = Pace(10.0, clock)
    rates = []
    for _ in range(4):
        clock.advance(5)
        pace.served()
        rates.append(pace.rate)
    assert rates[0] < 10.5
    assert rates == sorted(rates)
    assert rates[-1] > 20


def test_a_pace_never_stops(clock: FakeClock) -> None:
    pace = Pace(5.0, clock)
    for _ in range(50):
        clock.advance(1)
        pace.throttled(clock())
    assert pace.rate == 0.5


def test_only_who_was_throttled_waits_and_not_for_ever(clock: FakeClock) -> None:
    slept: list[float] = []
    paces = Paces(clock, slept.append)
    paces.throttled("bad", clock())
    assert paces.wait("good", long(clock))
    assert slept == []
    assert paces.wait("bad", long(clock))
    assert len(slept) == 1
    clock.advance(CALM + 1)
    paces.served("bad")
    assert paces.wait("bad", long(clock))
    assert len(slept) == 1


def test_pauses_double_up_to_the_longest() -> None:
    most = [max(pause(attempt, 0.25, 1.0) for _ in range(200)) for attempt in (1, 2, 3, 9)]
    for found, limit in zip(most, (0.25, 0.5, 1.0, 1.0), strict=True):
        assert limit / 2 < found <= limit


def test_an_attempt_that_would_come_too_late_is_not_worth_its_pause(clock: FakeClock) -> None:
    assert in_time(0.5, Deadline(0.6, clock))
    assert not in_time(0.5, Deadline(0.51, clock))
