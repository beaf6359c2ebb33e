"""Polls of one identity come together, never later than an interval after the one before."""

import pytest

from driver.sync.slots import Slots
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def slots(clock: FakeClock) -> Slots:
    return Slots(clock=clock, uniform=lambda least, _: least)


def test_objects_of_one_identity_come_together(slots: Slots, clock: FakeClock) -> None:
    first = slots.next("a", 10)
    clock.advance(3)
    assert slots.next("a", 10) == first == 1_009


def test_identities_and_intervals_have_phases_of_their_own(slots: Slots, clock: FakeClock) -> None:
    first = slots.next("a", 10)
    clock.advance(3)
    assert len({first, slots.next("b", 10), slots.next("a", 20)}) == 3


@pytest.mark.parametrize("late", [0.0, 0.4, 9.9, 35.0])
def test_the_phase_is_kept_however_late_a_poll_is(slots: Slots, clock: FakeClock, late: float) -> None:
    first = slots.next("a", 10)
    clock.advance(first - clock() + late)
    following = slots.next("a", 10)
    assert clock() < following <= clock() + 10
    assert (following - first) % 10 == 0


def test_replicas_do_not_poll_in_step(clock: FakeClock) -> None:
    assert len({Slots(clock=clock).next("a", 10) for _ in range(20)}) == 20
