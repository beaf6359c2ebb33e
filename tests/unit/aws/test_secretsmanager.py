import pytest

from driver.aws.secretsmanager import REFUSED_SECONDS, THROTTLED_SECONDS, SecretsManager
from driver.aws.transport import Transport
from driver.errors import NotFound, Unusable
from driver.fanout import Fanout
from driver.model import Outcome, SecretRef, SecretValue, Store
from tests.contract.clouds import call, refs
from tests.fakeaws_world import World
from tests.fakes import FakeClock

SM = Store.SECRETS_MANAGER
ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reads(line: Transport, fanout: Fanout, clock: FakeClock, world: World) -> SecretsManager:
    for n in range(25):
        world.put(f"s{n}", f"value {n}")
    return SecretsManager(line, fanout, clock)


def names(count: int) -> list[SecretRef]:
    return refs(SM, *(f"s{n}" for n in range(count)))


def content(outcome: Outcome) -> bytes:
    assert isinstance(outcome, SecretValue), outcome
    return outcome.content


def all_came(found: dict[SecretRef, Outcome] | object) -> bool:
    assert isinstance(found, dict)
    return all(content(value) == f"value {ref.name[1:]}".encode() for ref, value in found.items())


def test_twenty_secrets_are_one_call(reads: SecretsManager, world: World) -> None:
    assert all_came(reads.fetch(call(), names(20)))
    assert world.counts == {"BatchGetSecretValue": 1}


def test_one_secret_is_a_single_read(reads: SecretsManager, world: World) -> None:
    assert all_came(reads.fetch(call(), names(1)))
    assert world.counts == {"GetSecretValue": 1}


def test_versions_and_labels_are_read_by_themselves(reads: SecretsManager, world: World) -> None:
    pinned = refs(SM, "s0", label="AWSCURRENT")
    assert all_came(reads.fetch(call(), [*names(3), *pinned]))
    assert world.counts == {"BatchGetSecretValue": 1, "GetSecretValue": 1}


def test_every_page_of_a_batch_is_asked_for(reads: SecretsManager, world: World) -> None:
    world.per_page = 7
    assert all_came(reads.fetch(call(), names(20)))
    assert world.counts == {"BatchGetSecretValue": 3}


def test_a_role_without_the_batch_permission_is_remembered(
    reads: SecretsManager, world: World, clock: FakeClock
) -> None:
    world.deny("secretsmanager:BatchGetSecretValue")
    for _ in range(3):
        assert all_came(reads.fetch(call(), names(5)))
    assert world.counts == {"BatchGetSecretValue": 1, "GetSecretValue": 15}
    clock.advance(REFUSED_SECONDS + 1)
    reads.fetch(call(), names(5))
    assert world.count("BatchGetSecretValue") == 2


def test_a_batch_that_is_throttled_once_waits_and_comes(reads: SecretsManager, world: World) -> None:
    world.fail("error", "BatchGetSecretValue", code="ThrottlingException", status=400, times=1)
    assert all_came(reads.fetch(call(), names(5)))
    assert world.counts == {"BatchGetSecretValue": 2}


def test_a_batch_that_stays_throttled_gives_way_to_single_reads_and_is_left_alone_for_a_minute(
    reads: SecretsManager, world: World, clock: FakeClock
) -> None:
    world.fail("error", "BatchGetSecretValue", code="ThrottlingException", status=400)
    assert all_came(reads.fetch(call(seconds=3), names(5)))
    batches = world.count("BatchGetSecretValue")
    assert all_came(reads.fetch(call(), names(5)))
    assert world.counts == {"BatchGetSecretValue": batches, "GetSecretValue": 10}
    world.faults.clear()
    clock.advance(THROTTLED_SECONDS + 1)
    assert all_came(reads.fetch(call(), names(5)))
    assert world.count("GetSecretValue") == 10


def test_scenario_16_a_batch_that_aws_takes_for_malformed_is_read_one_by_one(
    reads: SecretsManager, world: World
) -> None:
    world.fail("error", "BatchGetSecretValue", code="InvalidParameterException", status=400)
    assert all_came(reads.fetch(call(), names(3)))


def test_scenario_16_what_a_batch_does_not_bring_is_read_by_itself(reads: SecretsManager, world: World) -> None:
    world.fail("error", "GetSecretValue", times=0)
    partial = refs(SM, ARN + "s7")
    found = reads.fetch(call(), [*names(2), *partial])
    assert content(found[partial[0]]) == b"value 7"
    assert world.counts == {"BatchGetSecretValue": 1, "GetSecretValue": 1}


def test_a_secret_whose_name_looks_like_anothers_arn_is_not_mixed_up(reads: SecretsManager, world: World) -> None:
    world.put("s1-AbCdEf", "the other")
    exact, other = refs(SM, ARN + "s1-AbCdEf", "s1-AbCdEf")
    found = reads.fetch(call(), [other, exact])
    assert (content(found[exact]), content(found[other])) == (b"value 1", b"the other")


@pytest.mark.parametrize("count", [1, 2])
def test_a_secret_to_be_deleted_is_told_so(count: int, reads: SecretsManager, world: World) -> None:
    world.secrets["eu-west-1", "s0"].deleted = True
    found = reads.fetch(call(), names(count))
    error = found[names(1)[0]]
    assert isinstance(error, Unusable)
    assert "restore" in error.remedy


def test_a_missing_label_is_named(reads: SecretsManager) -> None:
    (error,) = reads.fetch(call(), refs(SM, "s0", label="AWSPENDING")).values()
    assert isinstance(error, NotFound)
    assert "label AWSPENDING" in str(error)


@pytest.mark.parametrize("raw", [b"", b"\x00\xff\r\n", bytes(range(256)) * 256], ids=["empty", "odd", "64 KiB"])
@pytest.mark.parametrize("count", [1, 2])
def test_binary_comes_byte_for_byte(raw: bytes, count: int, reads: SecretsManager, world: World) -> None:
    world.put("b0", raw)
    world.put("b1", raw)
    found = reads.fetch(call(), refs(SM, *(f"b{n}" for n in range(count))))
    assert [content(value) for value in found.values()] == [raw] * count


def test_credentials_of_one_call_sign_its_reads_only(reads: SecretsManager, world: World) -> None:
    world.keys["AKIAOTHER"] = ("else", "other")
    other = call(credentials=type(call().credentials)("AKIAOTHER", "else", "t", 1e9, 0.0))
    reads.fetch(other, names(2))
    reads.fetch(call(), names(2))
    assert [seen.who for seen in world.calls] == ["other", "the process"]
