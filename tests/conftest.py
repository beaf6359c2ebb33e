"""Fixtures of more than one folder: a fake AWS, its world, and a transport to it."""

from collections.abc import Iterator

import pytest

from driver.aws.transport import Transport
from driver.fanout import Fanout
from tests.contract.clouds import transport
from tests.fakeaws import FakeAws
from tests.fakeaws_world import World


@pytest.fixture
def fake() -> Iterator[FakeAws]:
    with FakeAws() as running:
        yield running


@pytest.fixture
def world(fake: FakeAws) -> World:
    return fake.world


@pytest.fixture
def line(fake: FakeAws) -> Iterator[Transport]:
    made = transport(fake.url)
    yield made
    made.close()


@pytest.fixture
def fanout() -> Iterator[Fanout]:
    made = Fanout(16)
    yield made
    made.close()
