"""One of several replicas leads; a lost lease is noticed before another can take it (scenario 32)."""

import threading
from collections.abc import Iterator

import pytest

from driver.kube import Cluster
from driver.sync.cluster import ATTEMPT, Api
from driver.sync.leader import LEASE, RENEW, Leader
from tests.fakeapi import FakeApi
from tests.fakes import FakeClock


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def candidate(api: FakeApi, identity: str, clock: FakeClock, wall: float = 0.0) -> Leader:
    return Leader(Api(Cluster(api.url)), "kube-system", "keyferry", identity, clock=clock, wall=lambda: wall + clock())


def test_the_first_one_leads_and_the_second_waits(api: FakeApi, clock: FakeClock) -> None:
    one, two = candidate(api, "one", clock), candidate(api, "two", clock)
    for each in (one, two):
        each.attempt()
    assert (one.is_leader(), two.is_leader()) == (True, False)


def test_a_leader_that_renews_goes_on_leading(api: FakeApi, clock: FakeClock) -> None:
    one, two = candidate(api, "one", clock), candidate(api, "two", clock)
    for _ in range(30):
        one.attempt()
        two.attempt()
        clock.advance(2)
        assert (one.is_leader(), two.is_leader()) == (True, False)


def test_a_renewal_is_one_call(api: FakeApi, clock: FakeClock) -> None:
    one = candidate(api, "one", clock)
    one.attempt()
    before = len(api.requests)
    one.attempt()
    assert [r.method for r in api.requests[before:]] == ["PUT"]


def test_leading_ends_at_the_renew_deadline_well_before_another_may_lead(api: FakeApi, clock: FakeClock) -> None:
    one, two = candidate(api, "one", clock), candidate(api, "two", clock)
    one.attempt()
    two.attempt()
    api.fail("PUT .*leases", 503, times=100)
    clock.advance(RENEW - 0.1)
    one.attempt()
    assert one.is_leader()
    clock.advance(0.1)
    assert not one.is_leader()
    api.faults.clear()
    two.attempt()
    assert not two.is_leader()
    assert LEASE - RENEW > ATTEMPT


def test_a_lease_that_is_not_renewed_is_taken_over(api: FakeApi, clock: FakeClock) -> None:
    one, two = candidate(api, "one", clock), candidate(api, "two", clock)
    one.attempt()
    two.attempt()
    clock.advance(LEASE)
    two.attempt()
    one.attempt()
    assert (one.is_leader(), two.is_leader()) == (False, True)
    lease = api.get("leases", "kube-system", "keyferry")
    assert lease
    assert lease["spec"]["leaseTransitions"] == 1


@pytest.mark.parametrize("wall", [0.0, 4e9], ids=["behind", "ahead"])
def test_the_clocks_of_nodes_may_differ(api: FakeApi, clock: FakeClock, wall: float) -> None:
    one, two = candidate(api, "one", clock, 2e9), candidate(api, "two", clock, wall)
    one.attempt()
    two.attempt()
    assert (one.is_leader(), two.is_leader()) == (True, False)


def test_a_released_lease_is_free_at_once(api: FakeApi, clock: FakeClock) -> None:
    one, two = candidate(api, "one", clock), candidate(api, "two", clock)
    one.attempt()
    two.attempt()
    one.release()
    two.attempt()
    assert (one.is_leader(), two.is_leader()) == (False, True)


def test_of_two_that_take_an_expired_lease_together_one_leads(api: FakeApi, clock: FakeClock) -> None:
    candidate(api, "gone", clock).attempt()
    all_ = [candidate(api, f"n{n}", clock) for n in range(4)]
    for each in all_:
        each.attempt()
    clock.advance(LEASE)
    threads = [threading.Thread(target=each.attempt) for each in all_]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.is_leader() for each in all_].count(True) == 1


def test_a_renewal_whose_answer_is_lost_is_made_up_for(api: FakeApi, clock: FakeClock) -> None:
    one = candidate(api, "one", clock)
    one.attempt()
    api.fail("PUT .*leases", "lost", times=2)
    for _ in range(3):
        clock.advance(2)
        one.attempt()
    assert one.is_leader()
    clock.advance(RENEW - 1)
    assert one.is_leader()


def test_a_restarted_replica_takes_its_own_lease_at_once(api: FakeApi, clock: FakeClock) -> None:
    candidate(api, "one", clock).attempt()
    again = candidate(api, "one", clock)
    again.attempt()
    assert again.is_leader()


def test_run_leads_until_it_is_stopped_and_then_releases(api: FakeApi, clock: FakeClock) -> None:
    one = candidate(api, "one", clock)
    stop = threading.Event()
    led: list[bool] = []

    def pause(_: float) -> None:
        led.append(one.is_leader())
        stop.set()

    one.run(stop, pause)
    assert led == [True]
    assert not one.is_leader()
    lease = api.get("leases", "kube-system", "keyferry")
    assert lease
    assert lease["spec"]["holderIdentity"] == ""


def test_a_lease_that_cannot_be_held_is_told_once(
    api: FakeApi, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    api.fail("GET .*leases", 403, times=9)
    one = candidate(api, "one", clock)
    for _ in range(9):
        one.attempt()
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 1
    assert "cannot hold the Lease kube-system/keyferry: " in told[0]
