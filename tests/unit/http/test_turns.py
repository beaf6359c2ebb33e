"""Turns: a first connection for everyone, more from what is spare, nothing lost."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from driver.http.exchange import Broken
from driver.http.turns import Arrival, Burst, Turns


def burst(requests: int) -> Burst:
    return Burst([b""] * requests, until=1.0, body_limit=1)


def taken(turns: Turns) -> list[Burst]:
    """Take turns until there are none, and start a request with each."""
    found = []
    while (one := turns.take()) is not None:
        one.waiting.popleft()
        found.append(one)
    return found


def greedy(turns: Turns) -> Burst:
    """Return a burst that was answered and now has all that is spare."""
    one = burst(20)
    turns.join(one)
    taken(turns)
    assert turns.leave(one, answered=True) is one
    one.waiting.popleft()
    taken(turns)
    return one


def test_a_caller_has_one_connection_and_the_spare_ones_once_it_was_answered() -> None:
    turns = Turns(limit=10, spare=3)
    one = burst(20)
    turns.join(one)
    assert taken(turns) == [one]
    turns.leave(one, answered=False)
    assert taken(turns) == []
    turns.leave(one, answered=True)
    assert taken(turns) == [one] * 3


def test_a_caller_whose_requests_hang_keeps_nobody_from_a_first_connection() -> None:
    turns = Turns(limit=10, spare=3)
    greedy(turns)
    others = [burst(2), burst(2)]
    for other in others:
        turns.join(other)
    assert taken(turns) == others


def test_whoever_has_none_goes_before_whoever_wants_more() -> None:
    turns = Turns(limit=2, spare=2)
    first, late = greedy(turns), burst(1)
    turns.join(late)
    first.waiting.clear()
    assert turns.leave(first, answered=True) is late


def test_a_connection_stays_with_a_caller_who_needs_it() -> None:
    turns = Turns(limit=1, spare=1)
    one, other = burst(2), burst(1)
    turns.join(one)
    turns.join(other)
    taken(turns)
    assert turns.leave(one, answered=True) is one


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    limit=st.integers(1, 8),
    spare=st.integers(0, 4),
    order=st.randoms(use_true_random=False),
)
def test_every_request_gets_its_turn_within_the_limits(sizes: list[int], limit: int, spare: int, order: Random) -> None:
    turns = Turns(limit, spare)
    bursts = [burst(size) for size in sizes]
    for each in bursts:
        turns.join(each)
    under_way = taken(turns)
    started = Counter(map(id, under_way))
    while under_way:
        out = Counter(map(id, under_way))
        assert len(under_way) <= limit
        assert sum(count - 1 for count in out.values()) <= spare
        ended = under_way.pop(order.randrange(len(under_way)))
        next_one = turns.leave(ended, answered=order.random() < 0.7)
        while next_one is not None:
            next_one.waiting.popleft()
            under_way.append(next_one)
            started[id(next_one)] += 1
            next_one = turns.take()
    assert [started[id(each)] for each in bursts] == sizes
    assert list(turns.waiting()) == []


def test_a_caller_waits_until_all_arrived() -> None:
    one = burst(2)
    one.arrive(1, Arrival(Broken("second"), 0.5))
    one.wait(0.01)
    one.arrive(0, Arrival(Broken("first"), 0.1))
    one.wait(60)
    assert [arrival.seconds for arrival in one.arrivals] == [0.1, 0.5]
