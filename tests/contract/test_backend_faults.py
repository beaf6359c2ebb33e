"""What every Backend promises when AWS refuses or breaks, against our fake."""

import time

import pytest

from driver.aws.transport import ATTEMPTS, Transport
from driver.errors import (
    AccessDenied,
    CredentialsExpired,
    KeyferryError,
    NotFound,
    Throttled,
    Unavailable,
    Unusable,
)
from driver.fanout import Fanout
from driver.model import Credentials, SecretValue, Store
from driver.resolve import Backend
from tests.contract.clouds import backend, call, every_store, refs
from tests.fakeaws import FakeAws
from tests.fakeaws_world import World

pytestmark = every_store

BATCHED = {Store.SECRETS_MANAGER: "BatchGetSecretValue", Store.PARAMETER: "GetParameters"}
SINGLE = {Store.SECRETS_MANAGER: "GetSecretValue", Store.PARAMETER: "GetParameters"}


@pytest.fixture
def reads(store: Store, line: Transport, world: World, fanout: Fanout) -> Backend:
    for name in ("a", "b", "c"):
        (world.put_parameter if store is Store.PARAMETER else world.put)(name, f"value of {name}")
    return backend(store, line, fanout)


def error(reads: Backend, store: Store, seconds: float = 10) -> KeyferryError:
    (outcome,) = reads.fetch(call(seconds), refs(store, "a")).values()
    assert isinstance(outcome, KeyferryError), outcome
    assert outcome.subject == "a"
    return outcome


def good(reads: Backend, store: Store, *names: str) -> bool:
    found = reads.fetch(call(), refs(store, *(names or ("a",))))
    return all(isinstance(v, SecretValue) and v.content.decode() == f"value of {r.name}" for r, v in found.items())


@pytest.mark.parametrize("kind", ["empty", "html", "truncated", "shape", "cut", "close", "redirect", "hang"])
def test_an_answer_that_makes_no_sense_is_an_outage(kind: str, store: Store, world: World, reads: Backend) -> None:
    world.fail(kind)
    outcome = error(reads, store)
    assert isinstance(outcome, Unavailable) or kind == "redirect"


@pytest.mark.parametrize("kind", ["empty", "html", "truncated", "shape", "cut", "close", "hang"])
def test_scenario_10_what_breaks_twice_is_tried_again(kind: str, store: Store, world: World, reads: Backend) -> None:
    world.fail(kind, times=2)
    assert good(reads, store)
    assert world.count(SINGLE[store]) == 3


def test_an_outage_in_a_batch_names_every_object(store: Store, world: World, reads: Backend) -> None:
    world.fail("error")
    found = reads.fetch(call(), refs(store, "a", "b", "c"))
    assert {ref.name: getattr(e, "subject", "") for ref, e in found.items()} == {n: n for n in "abc"}
    assert 2 <= world.count(BATCHED[store]) <= ATTEMPTS


def test_a_denied_object_is_named_with_the_permission_it_needs(store: Store, world: World, reads: Backend) -> None:
    permission = f"{'ssm' if store is Store.PARAMETER else 'secretsmanager'}:{SINGLE[store]}"
    world.deny(permission, name="b")
    found = {ref.name: outcome for ref, outcome in reads.fetch(call(), refs(store, "a", "b", "c")).items()}
    assert isinstance(found["b"], AccessDenied)
    assert permission in str(found["b"])
    assert isinstance(found["a"], SecretValue)
    assert isinstance(found["c"], SecretValue)


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId"])
def test_credentials_that_aws_does_not_take_are_told_apart(
    code: str, store: Store, world: World, reads: Backend
) -> None:
    world.fail("error", code=code, status=400)
    outcomes = reads.fetch(call(), refs(store, "a", "b")).values()
    assert [type(outcome) for outcome in outcomes] == [CredentialsExpired] * 2
    assert len(world.calls) == 1


def test_unknown_credentials_are_no_denial(store: Store, reads: Backend) -> None:
    made_up = Credentials("AKIANOBODY", "x", "", 1e9, 0.0)
    (outcome,) = reads.fetch(call(credentials=made_up), refs(store, "a")).values()
    assert isinstance(outcome, CredentialsExpired)


@pytest.mark.parametrize(
    ("code", "message", "kind", "word"),
    [
        ("AccessDeniedException", "Access to KMS is not allowed", AccessDenied, "kms:Decrypt"),
        ("DecryptionFailure", "", Unusable, "KMS key"),
        ("InvalidKeyId", "", Unusable, "KMS key"),
        ("KMSDisabledException", "", Unusable, "enabled"),
        ("ValidationException", "", Unusable, "valid request"),
        ("SomethingNew", "", Unusable, "SomethingNew"),
    ],
)
def test_a_refusal_has_its_class_and_its_words(
    code: str, message: str, kind: type, word: str, store: Store, world: World, reads: Backend
) -> None:
    world.fail("error", code=code, status=400, message=message)
    outcome = error(reads, store)
    assert isinstance(outcome, kind)
    assert word in str(outcome)
    assert not message or message not in str(outcome)


def test_scenario_11_throttling_is_waited_for(store: Store, world: World, reads: Backend) -> None:
    world.fail("error", code="ThrottlingException", status=400, times=2)
    assert good(reads, store)


def test_scenario_11_throttling_without_end_is_told_by_the_deadline(store: Store, world: World, reads: Backend) -> None:
    world.fail("error", code="ThrottlingException", status=400)
    began = time.monotonic()
    outcome = error(reads, store, seconds=1.0)
    assert isinstance(outcome, Throttled) or "fewer calls" in str(outcome)
    assert time.monotonic() - began < 2.5


def test_scenario_10_an_answer_comes_by_the_deadline_when_aws_gives_none(
    store: Store, world: World, reads: Backend
) -> None:
    world.fail("hang")
    began = time.monotonic()
    assert isinstance(error(reads, store, seconds=0.3), Unavailable)
    assert time.monotonic() - began < 1.5


def test_a_connection_that_aws_closed_meanwhile_costs_nothing(
    store: Store, fake: FakeAws, world: World, reads: Backend
) -> None:
    assert good(reads, store)
    fake.cut_all()
    assert good(reads, store)
    assert world.count(SINGLE[store]) == 2


@pytest.mark.parametrize("minutes", [-15, 15])
def test_scenario_18_a_wrong_clock_is_seen_and_allowed_for(
    minutes: int, store: Store, world: World, reads: Backend
) -> None:
    world.skew = minutes * 60.0
    assert good(reads, store)
    assert good(reads, store)
    assert len(world.calls) == 2


def test_scenario_17_no_connection_names_the_address(store: Store, fake: FakeAws, reads: Backend) -> None:
    fake.stop()
    outcome = error(reads, store)
    assert isinstance(outcome, Unavailable)
    assert "127.0.0.1" in str(outcome)


def test_a_missing_object_costs_one_call(store: Store, world: World, reads: Backend) -> None:
    (outcome,) = reads.fetch(call(), refs(store, "gone")).values()
    assert isinstance(outcome, NotFound)
    assert len(world.calls) == 1
