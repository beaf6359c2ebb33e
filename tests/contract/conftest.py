import urllib.request
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from driver.aws.transport import Transport
from driver.fanout import Fanout
from tests.contract.clouds import Cloud, Fake, Moto, moto_server, transport
from tests.fakeaws import FakeAws
from tests.fakeaws_world import World


@pytest.fixture(scope="session")
def moto() -> Iterator[ThreadedMotoServer]:
    yield from moto_server()


@pytest.fixture
def fake() -> Iterator[FakeAws]:
    with FakeAws() as running:
        yield running


@pytest.fixture
def world(fake: FakeAws) -> World:
    return fake.world


@pytest.fixture(params=["moto", "fakeaws"])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    if request.param == "fakeaws":
        yield Fake(request.getfixturevalue("fake"))
        return
    host, port = request.getfixturevalue("moto").get_host_and_port()
    url = f"http://{host}:{port}"
    reset = urllib.request.Request(f"{url}/moto-api/reset", data=b"", headers={"Content-Type": "text/plain"})
    urllib.request.urlopen(reset).close()
    made = Moto(url)
    yield made
    made.close()


@pytest.fixture
def fanout() -> Iterator[Fanout]:
    made = Fanout(16)
    yield made
    made.close()


@pytest.fixture
def line(fake: FakeAws) -> Iterator[Transport]:
    """A transport to the fake."""
    made = transport(fake.url)
    yield made
    made.close()


@pytest.fixture
def cloud_line(cloud: Cloud) -> Iterator[Transport]:
    """A transport to either cloud; moto's first answers are slow."""
    made = transport(cloud.url, timeouts=None)
    yield made
    made.close()
