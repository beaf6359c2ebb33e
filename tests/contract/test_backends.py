"""What every Backend promises, against moto and against our fake."""

import pytest

from driver.aws.transport import Transport
from driver.errors import NotFound
from driver.fanout import Fanout
from driver.model import SecretValue, Store
from driver.resolve import Backend
from tests.contract.clouds import Cloud, backend, call, every_store, refs

pytestmark = every_store


@pytest.fixture
def reads(store: Store, cloud_line: Transport, fanout: Fanout) -> Backend:
    return backend(store, cloud_line, fanout)


def text(outcome: object) -> str:
    assert isinstance(outcome, SecretValue), outcome
    return outcome.content.decode()


def test_a_value_comes_with_its_arn_and_version(store: Store, cloud: Cloud, reads: Backend) -> None:
    cloud.put(store, "db", "one")
    (value,) = reads.fetch(call(), refs(store, "db")).values()
    assert text(value) == "one"
    assert isinstance(value, SecretValue)
    assert value.arn.startswith("arn:aws:")
    assert value.version


def test_what_does_not_exist_is_named_and_spoils_nothing_else(store: Store, cloud: Cloud, reads: Backend) -> None:
    cloud.put(store, "here", "value")
    here, gone = refs(store, "here", "gone")
    found = reads.fetch(call(), [here, gone])
    assert text(found[here]) == "value"
    error = found[gone]
    assert isinstance(error, NotFound)
    assert error.subject == "gone"


def test_scenario_16_more_than_any_batch_takes_all_come(store: Store, cloud: Cloud, reads: Backend) -> None:
    names = [f"app/{n}" if store is Store.SECRETS_MANAGER else f"/app/{n}" for n in range(23)]
    for name in names:
        cloud.put(store, name, f"value of {name}")
    found = reads.fetch(call(), refs(store, *names))
    assert {ref.name: text(value) for ref, value in found.items()} == {name: f"value of {name}" for name in names}


def test_a_reference_by_arn_gets_the_same_value(store: Store, cloud: Cloud, reads: Backend) -> None:
    cloud.put(store, "db", "one")
    cloud.put(store, "other", "two")
    (value,) = reads.fetch(call(), refs(store, "db")).values()
    assert isinstance(value, SecretValue)
    by_arn, other = refs(store, value.arn, "other")
    found = reads.fetch(call(), [by_arn, other])
    assert (text(found[by_arn]), text(found[other])) == ("one", "two")


def test_scenario_23_versions_of_one_object_in_one_fetch_are_not_mixed_up(
    store: Store, cloud: Cloud, reads: Backend
) -> None:
    (latest,) = refs(store, "db")
    versions = []
    for value in ("first", "second"):
        cloud.put(store, "db", value)
        (found,) = reads.fetch(call(), [latest]).values()
        assert isinstance(found, SecretValue)
        versions.append(found.version)
    old, new = (refs(store, "db", version=version)[0] for version in versions)
    found_all = reads.fetch(call(), [old, latest, new])
    assert [text(found_all[ref]) for ref in (old, latest, new)] == ["first", "second", "second"]


def test_a_version_that_does_not_exist_is_named(store: Store, cloud: Cloud, reads: Backend) -> None:
    cloud.put(store, "db", "one")
    wanted = refs(store, "db", version="99" if store is Store.PARAMETER else "0" * 32)
    (error,) = reads.fetch(call(), wanted).values()
    assert isinstance(error, NotFound)
    assert f"version {wanted[0].version}" in str(error)


def test_text_beyond_ascii_comes_as_utf8(store: Store, cloud: Cloud, reads: Backend) -> None:
    cloud.put(store, "db", "Grüße 🔑\n")
    (value,) = reads.fetch(call(), refs(store, "db")).values()
    assert text(value) == "Grüße 🔑\n"


def test_an_object_asked_for_twice_gives_one_outcome(store: Store, cloud: Cloud, reads: Backend) -> None:
    cloud.put(store, "db", "one")
    assert len(reads.fetch(call(), refs(store, "db", "db"))) == 1
