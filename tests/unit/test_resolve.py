"""The resolver: sharing, isolation, failover, stale-if-error, all or nothing."""

import threading
from collections.abc import Iterator

import pytest

from driver.errors import (
    AccessDenied,
    CredentialsExpired,
    Failures,
    IdentityRefused,
    Internal,
    KeyferryError,
    NotFound,
    Throttled,
    Unavailable,
)
from driver.fanout import Fanout
from driver.model import Access, Call, Deadline, Outcome, Read, Role, SecretRef, Source, Store, Want
from driver.resolve import Lifetimes, Resolver
from tests.fakes import FakeAuth, FakeBackend, FakeClock, access, ref, value

DOWN = Unavailable("db", "down", "wait")
DENIED = AccessDenied("db", "denied", "allow")
ABSENT = NotFound("db", "absent", "create")


class Room:
    """A resolver with its stand-ins."""

    def __init__(self, lifetimes: Lifetimes | None = None) -> None:
        self.clock = FakeClock()
        self.auth = FakeAuth(self.clock)
        self.backend = FakeBackend()
        self.fanout = Fanout(8)
        self.resolver = Resolver(
            auth=self.auth,
            backends=dict.fromkeys(Store, self.backend),
            fanout=self.fanout,
            lifetimes=lifetimes,
            clock=self.clock,
        )

    def resolve(self, *wants: Want | str, who: Access | None = None) -> dict[SecretRef, Read]:
        asked = [Want(ref(w)) if isinstance(w, str) else w for w in wants]
        return self.resolver.resolve(who or access(), asked, Deadline(25, self.clock))

    def content(self, name: str, who: Access | None = None) -> bytes:
        return self.resolve(name, who=who)[ref(name)].value.content

    def source(self, name: str) -> Source:
        return self.resolve(name)[ref(name)].source


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.fanout.close()


def test_all_references_of_a_store_and_region_are_one_backend_call(room: Room) -> None:
    reads = room.resolve("a", "b", "c")
    assert room.backend.asked() == ["a b c"]
    assert [read.source for read in reads.values()] == [Source.AWS] * 3


def test_a_reference_named_twice_is_read_once(room: Room) -> None:
    room.resolve("a", "a")
    assert room.backend.asked() == ["a"]


def test_within_the_freshness_window_nothing_is_asked_again(room: Room) -> None:
    assert room.source("a") is Source.AWS
    room.clock.advance(29)
    assert room.source("a") is Source.CACHE
    room.clock.advance(1)
    assert room.source("a") is Source.AWS


def test_freshness_zero_asks_every_time() -> None:
    room = Room(Lifetimes(fresh=0))
    assert [room.source("a"), room.source("a")] == [Source.AWS, Source.AWS]


def test_an_explicit_version_is_kept_beyond_the_window(room: Room) -> None:
    want = Want(ref("a", version="v-7"))
    room.resolve(want)
    room.clock.advance(3_000)
    assert room.resolve(want)[want.ref].source is Source.CACHE


def test_a_version_with_a_label_is_not_pinned_since_labels_move(room: Room) -> None:
    want = Want(ref("a", version="v-7", label="blue"))
    room.resolve(want)
    room.clock.advance(31)
    assert room.resolve(want)[want.ref].source is Source.AWS


def test_concurrent_calls_for_overlapping_names_read_each_name_once(room: Room) -> None:
    room.backend.gate.clear()
    results: list[dict[SecretRef, Read]] = []
    first = threading.Thread(target=lambda: results.append(room.resolve("a", "b")))
    first.start()
    assert room.backend.entered.wait(5)
    second = threading.Thread(target=lambda: results.append(room.resolve("b", "c")))
    second.start()
    while len(room.backend.calls) < 2:  # the second asks for c alone
        assert second.is_alive()
    room.backend.gate.set()
    first.join(5)
    second.join(5)
    assert sorted(room.backend.asked()) == ["a b", "c"]
    assert len(results) == 2


def test_scenario_6_another_identity_never_gets_a_kept_value(room: Room) -> None:
    room.backend.outcomes["db"] = lambda call: value(f"for {call.principal.service_account}/{call.principal.uid}")
    assert room.content("db", access("a")) == b"for a/u-1"
    assert room.content("db", access("b")) == b"for b/u-1"
    assert room.content("db", access("a", uid="u-2")) == b"for a/u-2"
    assert len(room.backend.calls) == 3


def test_scenario_6_a_denied_identity_stays_denied_though_anothers_value_is_kept(room: Room) -> None:
    def decide(call: Call) -> Outcome:
        return value("x") if call.principal.service_account == "a" else DENIED

    room.backend.outcomes["db"] = decide
    room.content("db", access("a"))
    with pytest.raises(AccessDenied):
        room.content("db", access("b"))


def test_scenario_6_role_chains_do_not_share_values(room: Room) -> None:
    plain = Want(ref("db"))
    chained = Want(SecretRef(Store.SECRETS_MANAGER, "db", "eu-west-1", chain=(Role("arn:aws:iam::2:role/r", "id"),)))
    other = Want(SecretRef(Store.SECRETS_MANAGER, "db", "eu-west-1", chain=(Role("arn:aws:iam::2:role/r"),)))
    room.resolve(plain, chained, other)
    assert room.backend.asked() == ["db"] * 3
    assert set(room.auth.assumed) == {(), chained.ref.chain, other.ref.chain}


@pytest.mark.parametrize("refusal", [DENIED, ABSENT], ids=["denied", "absent"])
def test_scenario_7_a_refusal_is_never_answered_from_what_is_kept(room: Room, refusal: KeyferryError) -> None:
    room.content("db")
    room.clock.advance(31)
    room.backend.outcomes["db"] = refusal
    with pytest.raises(type(refusal)):
        room.content("db")
    room.backend.outcomes["db"] = DOWN
    room.clock.advance(4)
    with pytest.raises(Unavailable):
        room.content("db")


def test_a_refusal_is_remembered_for_a_moment_so_a_retry_storm_costs_one_call(room: Room) -> None:
    room.backend.outcomes["db"] = DENIED
    for _ in range(5):
        with pytest.raises(AccessDenied):
            room.content("db")
    assert len(room.backend.calls) == 1
    room.clock.advance(3)
    with pytest.raises(AccessDenied):
        room.content("db")
    assert len(room.backend.calls) == 2


@pytest.mark.parametrize("failure", [DOWN, Throttled("db", "slow down", "wait")], ids=["down", "throttled"])
def test_scenario_9_in_an_outage_the_last_good_value_serves_for_24_hours(room: Room, failure: Unavailable) -> None:
    room.content("db")
    room.backend.outcomes["db"] = failure
    room.clock.advance(86_400)
    read = room.resolve("db")[ref("db")]
    assert (read.source, read.age, read.value.content) == (Source.STALE, 86_400, b"value of db")
    room.clock.advance(1.5)
    with pytest.raises(Unavailable):
        room.resolve("db")


def test_scenario_9_a_proof_without_credentials_serves_kept_values_and_reads_nothing(room: Room) -> None:
    room.content("db")
    room.clock.advance(3_700)
    room.auth.outage = DOWN
    assert room.source("db") is Source.STALE
    with pytest.raises(Unavailable):
        room.content("never read before")
    assert room.backend.asked() == ["db"]


def test_when_a_last_good_value_could_serve_aws_gets_five_seconds(room: Room) -> None:
    given: list[float] = []

    def decide(call: Call) -> Outcome:
        given.append(call.deadline.remaining())
        return value("x")

    room.backend.outcomes["db"] = decide
    room.content("db")
    room.clock.advance(31)
    room.content("db")
    assert given == [25, 5]


def test_failover_supplies_what_the_first_region_is_too_unwell_to_give(room: Room) -> None:
    want = Want(ref("db"), failover=ref("db-copy", region="eu-central-1"))
    room.backend.outcomes["eu-west-1/db"] = DOWN
    reads = room.resolve(want)
    assert reads[want.ref].value.content == b"value of db-copy"
    assert [call.region for call, _ in room.backend.calls] == ["eu-west-1", "eu-central-1"]


@pytest.mark.parametrize("refusal", [DENIED, ABSENT], ids=["denied", "absent"])
def test_failover_never_hides_a_refusal(room: Room, refusal: KeyferryError) -> None:
    room.backend.outcomes["eu-west-1/db"] = refusal
    with pytest.raises(type(refusal)):
        room.resolve(Want(ref("db"), failover=ref("db", region="eu-central-1")))
    assert len(room.backend.calls) == 1


def test_the_failover_region_is_not_asked_while_the_first_is_well(room: Room) -> None:
    room.resolve(Want(ref("db"), failover=ref("db", region="eu-central-1")))
    assert [call.region for call, _ in room.backend.calls] == ["eu-west-1"]


def test_all_or_nothing_one_error_names_every_failing_object(room: Room) -> None:
    room.backend.outcomes["x"] = NotFound("x", "absent", "create")
    room.backend.outcomes["z"] = AccessDenied("z", "denied", "allow")
    with pytest.raises(Failures) as caught:
        room.resolve("x", "y", "z")
    assert [error.subject for error in caught.value.errors] == ["x", "z"]


def test_an_optional_object_that_does_not_exist_is_left_out(room: Room) -> None:
    room.backend.outcomes["x"] = NotFound("x", "absent", "create")
    assert list(room.resolve(Want(ref("x"), optional=True), "y")) == [ref("y")]


def test_an_optional_object_that_is_denied_still_fails(room: Room) -> None:
    room.backend.outcomes["x"] = DENIED
    with pytest.raises(AccessDenied):
        room.resolve(Want(ref("x"), optional=True))


def test_scenario_18_expired_credentials_are_renewed_once_and_only_what_failed_is_read_again(room: Room) -> None:
    def decide(call: Call) -> Outcome:
        return value("x") if call.credentials.access_key == "key-2" else CredentialsExpired("a", "expired", "wait")

    room.backend.outcomes["a"] = decide
    room.resolve("a", "b")
    assert (room.auth.renewals, room.backend.asked()) == (1, ["a b", "a"])


def test_scenario_18_credentials_that_stay_refused_are_renewed_only_once(room: Room) -> None:
    room.backend.outcomes["a"] = CredentialsExpired("a", "expired", "wait")
    with pytest.raises(CredentialsExpired):
        room.resolve("a")
    assert room.auth.renewals == 1


@pytest.mark.parametrize(("age", "renewals"), [(10, 0), (301, 1)], ids=["new", "old"])
def test_a_denial_renews_old_credentials_because_rights_may_have_changed(room: Room, age: float, renewals: int) -> None:
    room.clock.advance(age)
    room.backend.outcomes["a"] = DENIED
    with pytest.raises(AccessDenied):
        room.resolve("a")
    assert room.auth.renewals == renewals


def test_a_refused_identity_reads_nothing(room: Room) -> None:
    room.auth.failure = IdentityRefused("t", "no", "fix")
    with pytest.raises(IdentityRefused):
        room.resolve("a")
    assert room.backend.calls == []


def test_a_defect_of_a_backend_is_an_internal_error_and_ends_the_flight(room: Room) -> None:
    def defect(call: Call) -> Outcome:
        raise ZeroDivisionError

    room.backend.outcomes["a"] = defect
    with pytest.raises(Internal):
        room.resolve("a")
    room.backend.outcomes.clear()
    room.clock.advance(4)
    assert room.content("a") == b"value of a"


def test_a_waiter_gives_up_at_its_own_deadline(room: Room) -> None:
    room.backend.gate.clear()
    leader = threading.Thread(target=lambda: room.resolve("a"))
    leader.start()
    assert room.backend.entered.wait(5)
    with pytest.raises(Unavailable, match="in time"):
        room.resolver.resolve(access(), [Want(ref("a"))], Deadline(0, room.clock))
    room.backend.gate.set()
    leader.join(5)


def test_values_of_an_identity_nobody_asked_for_are_dropped(room: Room) -> None:
    room.content("a", access("gone"))
    room.clock.advance(500)
    room.content("a", access("here"))
    room.clock.advance(150)
    assert room.resolver.forget_unseen() == 1
    room.backend.outcomes["a"] = DOWN
    assert room.content("a", access("here")) == b"value of a"
    with pytest.raises(Unavailable):
        room.content("a", access("gone"))
