import urllib.request
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from driver.aws.transport import Transport
from tests.contract.clouds import Cloud, Fake, Moto, moto_server, transport


@pytest.fixture(scope="session")
def moto() -> Iterator[ThreadedMotoServer]:
    yield from moto_server()


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
def cloud_line(cloud: Cloud) -> Iterator[Transport]:
    """A transport to either cloud; moto's first answers are slow."""
    made = transport(cloud.url, timeouts=None)
    yield made
    made.close()
