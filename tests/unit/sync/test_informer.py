"""The copy follows the cluster through cuts, stalls, 410 and long absences (scenario 32)."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from driver.errors import NotFound, Unavailable
from driver.kube import Cluster
from driver.sync.answers import Gone
from driver.sync.cluster import Api
from driver.sync.informer import BACKOFF, Informer, Remote
from driver.sync.kinds import SECRETS, Header, Meta
from tests.fakeapi import FakeApi
from tests.fakes import FakeClock
from tests.syncside import secret, until


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(bookmarks=0.2) as api:
        yield api


class Told:
    """What a handler was told, as texts."""

    def __init__(self) -> None:
        self.changes: list[str] = []

    def __call__(self, before: Header | None, after: Header | None) -> None:
        found = after or before
        assert found
        self.changes.append(("+" if before is None else "-" if after is None else "~") + found.metadata.name)


@contextmanager
def following(api: FakeApi, told: Told, silence: float = 5.0) -> Iterator[Informer[Header]]:
    remote = Remote(Api(Cluster(api.url), page=2), SECRETS, Header, seconds=30, silence=silence)
    informer = Informer("Secrets", remote, told, uniform=lambda least, _: least / 10)
    stop = threading.Event()
    thread = threading.Thread(target=informer.run, args=(stop,))
    thread.start()
    try:
        assert informer.synced.wait(5)
        until(lambda: any(r.query.get("watch") for r in api.requests))
        yield informer
    finally:
        stop.set()
        api.drop_watches()
        thread.join(8)


def test_it_tells_of_what_is_there_and_of_every_change(api: FakeApi) -> None:
    for n in range(5):
        api.put(secret(f"s{n}"))
    told = Told()
    with following(api, told) as informer:
        assert told.changes == [f"+s{n}" for n in range(5)]
        api.put(secret("s1", data={"a": "YQ=="}))
        api.delete("secrets", "shop", "s2")
        api.put(secret("s9"))
        until(lambda: told.changes[5:] == ["~s1", "-s2", "+s9"])
        assert sorted(name for _, name in informer.names()) == ["s0", "s1", "s3", "s4", "s9"]


def test_only_metadata_is_asked_for(api: FakeApi) -> None:
    with following(api, Told()):
        assert all("as=PartialObjectMetadata" in r.headers["accept"] for r in api.requests)


def test_a_cut_watch_goes_on_from_where_it_was(api: FakeApi) -> None:
    api.put(secret("s1"))
    told = Told()
    with following(api, told):
        lists = sum(not r.query.get("watch") for r in api.requests)
        api.drop_watches()
        api.put(secret("s2"))
        until(lambda: told.changes == ["+s1", "+s2"])
        assert sum(not r.query.get("watch") for r in api.requests) == lists


@pytest.mark.parametrize("by_status", [True, False], ids=["status", "in the stream"])
def test_a_version_that_is_gone_leads_to_a_new_list_and_deletions_are_found(api: FakeApi, by_status: bool) -> None:
    api.gone_by_status = by_status
    api.put(secret("s1"))
    api.put(secret("s2"))
    told = Told()
    with following(api, told):
        api.refuse()
        api.delete("secrets", "shop", "s1")
        api.put(secret("s3"))
        api.forget()
        api.accept()
        until(lambda: told.changes[2:] == ["+s3", "-s1"])


def test_a_list_whose_continuation_is_gone_is_begun_anew(api: FakeApi) -> None:
    for n in range(3):
        api.put(secret(f"s{n}"))
    told = Told()
    first = api.fail("GET /api/v1/secrets", 410, skip=1)
    with following(api, told):
        assert first.times == 0
        assert told.changes == ["+s0", "+s1", "+s2"]


def test_a_silent_stream_is_ended_and_taken_up_again(api: FakeApi) -> None:
    told = Told()
    with following(api, told, silence=0.5):
        api.stall_watches()
        api.put(secret("s1"))
        until(lambda: told.changes == ["+s1"], 3)


def test_bookmarks_are_progress(api: FakeApi) -> None:
    with following(api, Told()) as informer:
        seen = informer.last_progress
        until(lambda: informer.last_progress > seen)


@pytest.mark.parametrize("outcome", [429, 500, 503, "cut"], ids=str)
def test_failing_answers_are_waited_out(api: FakeApi, outcome: int | str) -> None:
    api.put(secret("s1"))
    api.fail("GET /api/v1/secrets", outcome, times=4)
    told = Told()
    with following(api, told):
        assert told.changes == ["+s1"]


def test_a_handler_that_fails_does_not_end_the_copy(api: FakeApi, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Told):
        def __call__(self, before: Header | None, after: Header | None) -> None:
            super().__call__(before, after)
            raise RuntimeError

    told = Broken()
    with following(api, told):
        api.put(secret("s1"))
        api.put(secret("s2"))
        until(lambda: told.changes == ["+s1", "+s2"])


# against a script, where time passes only by waiting


class Script:
    """An upstream that is away until a moment, then has one object."""

    def __init__(self, clock: FakeClock, back: float, failure: Callable[[], Exception]) -> None:
        self._clock = clock
        self._back = back
        self._failure = failure
        self.tries: list[float] = []

    def list(self) -> Iterator[tuple[list[Header], str]]:
        self.tries.append(self._clock())
        if self._clock() < self._back:
            raise self._failure()
        yield [Header(Meta(name="s", namespace="shop", resource_version="1"))], "1"

    def watch(self, version: str) -> Iterator[tuple[str, Header | None, str]]:
        raise Gone("Secrets", "gone", "list anew")
        yield


AWAY = {
    "away": lambda: Unavailable("Secrets", "away", "wait"),
    "kind not there": lambda: NotFound("Secrets", "no CRD", "install it"),
}


@pytest.mark.parametrize("failure", AWAY.values(), ids=AWAY.keys())
@pytest.mark.parametrize("seed", range(5))
def test_after_thirty_minutes_away_it_is_back_within_a_minute(failure: Callable[[], Exception], seed: int) -> None:
    clock = FakeClock()
    back = clock() + 1800
    script = Script(clock, back, failure)
    stop = threading.Event()
    informer = Informer("Secrets", script, Told(), clock=clock, uniform=random.Random(seed).uniform)

    def pause(seconds: float) -> None:
        clock.advance(seconds)
        if ("shop", "s") in informer.names():
            stop.set()

    informer.run(stop, pause)
    assert script.tries[-1] - back <= BACKOFF
    assert len(script.tries) < 400


def test_a_short_absence_is_over_soon_after_its_end() -> None:
    clock = FakeClock()
    back = clock() + 5
    script = Script(clock, back, AWAY["away"])
    stop = threading.Event()
    informer = Informer("Secrets", script, Told(), clock=clock, uniform=lambda _, most: most)

    def pause(seconds: float) -> None:
        clock.advance(seconds)
        if informer.synced.is_set():
            stop.set()

    informer.run(stop, pause)
    assert script.tries[-1] - back <= 5


def test_progress_stands_still_while_the_api_server_is_away() -> None:
    clock = FakeClock()
    stop = threading.Event()
    informer = Informer("Secrets", Script(clock, clock() + 1e6, AWAY["away"]), Told(), clock=clock)
    start = clock()

    def pause(seconds: float) -> None:
        clock.advance(seconds)
        if clock() > start + 300:
            stop.set()

    informer.run(stop, pause)
    assert informer.last_progress == start


def test_watches_that_end_at_once_make_no_tight_loop() -> None:
    clock = FakeClock()
    calls = 0

    class Hasty(Script):
        def watch(self, version: str) -> Iterator[tuple[str, Header | None, str]]:
            nonlocal calls
            calls += 1
            return iter(())

    stop = threading.Event()
    informer = Informer("Secrets", Hasty(clock, 0, AWAY["away"]), Told(), clock=clock, uniform=lambda _, most: most)

    def pause(seconds: float) -> None:
        clock.advance(seconds)
        if clock() > 1_000 + 120:
            stop.set()

    informer.run(stop, pause)
    assert calls < 20
