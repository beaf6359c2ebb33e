import pytest

from driver.http.names import FAILED, HELD, Name
from driver.model import Deadline
from tests.fakes import FakeClock


def test_addresses_are_kept_for_a_while() -> None:
    clock = FakeClock()
    name = Name("127.0.0.1", 443, clock)
    name.look_up(Deadline(1))
    first = name.addresses
    name.look_up(Deadline(1))
    assert name.addresses is first
    clock.advance(HELD)
    name.look_up(Deadline(1))
    assert name.addresses is not first
    assert [address for _, address in first] == [("127.0.0.1", 443)]


@pytest.mark.parametrize("host", ["nowhere.invalid", "no name\0", "a" * 300])
def test_a_name_without_addresses_has_a_failure(host: str) -> None:
    clock = FakeClock()
    name = Name(host, 443, clock)
    name.look_up(Deadline(1))
    assert name.addresses == []
    assert isinstance(name.failure, OSError | ValueError)
    assert not name.doubted
    clock.advance(FAILED)
    name.look_up(Deadline(1))


def test_doubt_has_addresses_looked_up_again() -> None:
    name = Name("127.0.0.1", 443, FakeClock())
    assert name.doubted
    name.look_up(Deadline(1))
    first = name.addresses
    name.doubt()
    name.look_up(Deadline(1))
    assert name.addresses is not first
