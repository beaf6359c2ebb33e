"""The cache: freshness, single flight, what failures leave behind, bounds."""

import threading

import pytest

from driver.cache import Cache
from driver.errors import AccessDenied, KeyferryError, Unavailable
from tests.fakes import FakeClock

DOWN = Unavailable("x", "down", "wait")
DENIED = AccessDenied("x", "denied", "allow")


def make(clock: FakeClock, weight: int = 100) -> Cache[str, str]:
    return Cache(weight=weight, weigh=len, clock=clock)


def loaded(cache: Cache[str, str], key: str, outcome: str | KeyferryError, seconds: float = 10) -> None:
    assert cache.claim([key]).owned == [key]
    cache.settle(key, outcome, seconds)


def test_a_key_nobody_loaded_is_the_claimers_to_load() -> None:
    claim = make(FakeClock()).claim(["a", "b"])
    assert (claim.owned, claim.ready, claim.pending) == (["a", "b"], {}, {})


def test_a_fresh_value_is_ready_until_its_time_is_over() -> None:
    clock = FakeClock()
    cache = make(clock)
    loaded(cache, "a", "x", seconds=10)
    clock.advance(9.9)
    assert cache.claim(["a"]).ready["a"].value == "x"
    clock.advance(0.1)
    assert cache.claim(["a"]).owned == ["a"]


def test_a_second_claimer_waits_for_the_first_and_shares_its_value() -> None:
    cache = make(FakeClock())
    cache.claim(["a"])
    waiting = cache.claim(["a"]).pending["a"]
    cache.settle("a", "x", 0)
    assert waiting.result(0) == "x"


def test_a_failure_is_shared_by_those_who_waited_and_remembered_for_its_time() -> None:
    clock = FakeClock()
    cache = make(clock)
    cache.claim(["a"])
    waiting = cache.claim(["a"]).pending["a"]
    cache.settle("a", DOWN, 1)
    assert waiting.result(0) is DOWN
    assert cache.claim(["a"]).failed == {"a": DOWN}
    clock.advance(1)
    assert cache.claim(["a"]).owned == ["a"]


def test_an_outage_leaves_the_last_good_value() -> None:
    clock = FakeClock()
    cache = make(clock)
    loaded(cache, "a", "x", seconds=0)
    loaded(cache, "a", DOWN)
    entry = cache.last_good("a")
    assert entry is not None
    assert (entry.value, entry.loaded) == ("x", clock.now)


def test_a_denial_takes_the_last_good_value_away() -> None:
    cache = make(FakeClock())
    loaded(cache, "a", "x", seconds=0)
    loaded(cache, "a", DENIED)
    assert cache.last_good("a") is None


def test_the_least_recently_used_value_goes_when_the_weight_is_reached() -> None:
    cache = make(FakeClock(), weight=10)
    for key in "abc":
        loaded(cache, key, "four")
    assert [cache.last_good(key) is not None for key in "abc"] == [False, True, True]
    assert cache.weight() == 8


def test_a_value_heavier_than_the_cache_is_handed_over_and_not_kept() -> None:
    cache = make(FakeClock(), weight=3)
    cache.claim(["a"])
    waiting = cache.claim(["a"]).pending["a"]
    cache.settle("a", "four", 10)
    assert waiting.result(0) == "four"
    assert len(cache) == 0


def test_drop_forgets_what_the_caller_does_not_want() -> None:
    cache = make(FakeClock())
    loaded(cache, "a", "x")
    loaded(cache, "b", "y")
    assert cache.drop(lambda key, _: key == "a") == 1
    assert cache.last_good("a") is None
    assert cache.last_good("b") is not None


def test_load_runs_one_loader_for_many_threads() -> None:
    cache = make(FakeClock())
    started, go = threading.Event(), threading.Event()
    runs: list[int] = []

    def loader() -> str:
        runs.append(1)
        started.set()
        assert go.wait(5)
        return "x"

    got: list[str] = []
    threads = [
        threading.Thread(target=lambda: got.append(cache.load("a", loader, lambda _: 10, timeout=5))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert started.wait(5)
    go.set()
    for thread in threads:
        thread.join(5)
    assert (len(runs), got) == (1, ["x"] * 8)


def test_load_raises_the_failure_and_ends_the_flight_even_for_a_defect() -> None:
    cache = make(FakeClock())
    with pytest.raises(AccessDenied):
        cache.load("a", lambda: (_ for _ in ()).throw(DENIED), lambda _: 0, timeout=1)
    with pytest.raises(ZeroDivisionError):
        cache.load("a", lambda: str(1 / 0), lambda _: 0, timeout=1)
    assert cache.load("a", lambda: "x", lambda _: 0, timeout=1) == "x"
