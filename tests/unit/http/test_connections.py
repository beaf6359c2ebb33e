import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from driver.aws.session import Endpoints, Sdk
from driver.http.connections import IDLE, Connections, Timeouts
from driver.http.exchange import Broken
from driver.model import Deadline
from tests.fakeaws import FakeAws, certificate
from tests.fakes import FakeClock

REQUEST = b"GET /api/v1/nodes/n HTTP/1.1\r\nhost: x\r\n\r\n"


def connections(url: str, clock: FakeClock | None = None, limit: int = 8, **environ: str) -> Connections:
    endpoints = Endpoints(Sdk.from_environment({"AWS_ENDPOINT_URL": url, **environ}))
    made = Connections(endpoints.of("sts", "eu-west-1"), endpoints.tls, Timeouts(0.5, 1.0), limit)
    return Connections(made.origin, endpoints.tls, Timeouts(0.5, 1.0), limit, clock) if clock else made


@pytest.fixture
def pool(fake: FakeAws) -> Iterator[Connections]:
    made = connections(fake.url)
    yield made
    made.close()


def send(pool: Connections, seconds: float = 2.0) -> int:
    return pool.send(REQUEST, Deadline(seconds), 10_000).status


def test_calls_one_after_the_other_use_one_connection(fake: FakeAws, pool: Connections) -> None:
    assert [send(pool) for _ in range(5)] == [200] * 5
    assert fake.connections == 1


def test_a_connection_closed_meanwhile_is_replaced(fake: FakeAws, pool: Connections) -> None:
    send(pool)
    fake.cut_all()
    assert send(pool) == 200
    assert fake.connections == 2


def test_no_more_connections_than_the_limit_and_all_are_served(fake: FakeAws, pool: Connections) -> None:
    fake.world.latency = 0.02
    with ThreadPoolExecutor(40) as callers:
        assert list(callers.map(lambda _: send(pool), range(40))) == [200] * 40
    assert fake.connections <= 8


def test_whoever_waits_for_a_connection_waits_until_his_deadline(fake: FakeAws) -> None:
    pool = connections(fake.url, limit=1)
    fake.world.latency = 0.5
    other = threading.Thread(target=send, args=(pool,))
    other.start()
    time.sleep(0.1)
    with pytest.raises(Broken, match="busy"):
        send(pool, 0.1)
    other.join()
    pool.close()


def test_a_connection_kept_too_long_is_closed(fake: FakeAws) -> None:
    clock = FakeClock()
    pool = connections(fake.url, clock)
    pool.send(REQUEST, Deadline(5, clock), 10_000)
    clock.advance(IDLE + 1)
    pool.send(REQUEST, Deadline(5, clock), 10_000)
    assert fake.connections == 2
    assert len(pool) == 1
    pool.close()


def test_scenario_17_tls_trusts_the_named_ca(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    with FakeAws(certificate=pem) as fake:
        pool = connections(fake.url, AWS_CA_BUNDLE=str(pem))
        assert send(pool) == 200
        pool.close()


def test_tls_trusts_nobody_else(tmp_path: Path) -> None:
    with FakeAws(certificate=certificate(tmp_path)) as fake, pytest.raises(Broken, match="not trusted") as caught:
        send(connections(fake.url))
    assert caught.value.lasting
    assert "AWS_CA_BUNDLE" in caught.value.remedy


class TunnelProxy:
    """A proxy that understands CONNECT to anywhere and tunnels to one address."""

    def __init__(self, target: str, status: bytes = b"200 OK") -> None:
        self._target = target
        self._status = status
        self.heads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:word@127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        self.heads.append(client.recv(4_096))
        client.sendall(b"HTTP/1.1 " + self._status + b"\r\n\r\n")
        if self._status.startswith(b"200"):
            host, port = self._target.rpartition("/")[2].split(":")
            with socket.create_connection((host, int(port))) as upstream:
                back = threading.Thread(target=pipe, args=(upstream, client), daemon=True)
                back.start()
                pipe(client, upstream)
                back.join(2)
        client.close()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(2)


def pipe(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(4_096):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_scenario_17_tls_goes_through_the_proxy(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    with FakeAws(certificate=pem) as fake:
        proxy = TunnelProxy(fake.url)
        pool = connections(fake.url, AWS_CA_BUNDLE=str(pem), HTTPS_PROXY=proxy.url)
        assert send(pool) == 200
        pool.close()
        proxy.close()
    assert proxy.heads[0].startswith(b"CONNECT 127.0.0.1:")
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk" in proxy.heads[0]


def test_a_proxy_that_refuses_is_named_without_its_password(tmp_path: Path) -> None:
    proxy = TunnelProxy("", b"407 Proxy Authentication Required")
    with pytest.raises(Broken, match="through the proxy") as caught:
        send(connections("https://secretsmanager.test", HTTPS_PROXY=proxy.url))
    proxy.close()
    assert "word" not in caught.value.cause + caught.value.remedy


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://127.0.0.1:9", "no connection to 127.0.0.1:9"),
        ("http://nowhere.invalid", "the name nowhere.invalid does not resolve"),
    ],
)
def test_scenario_17_no_connection_says_where_to(url: str, cause: str) -> None:
    with pytest.raises(Broken) as caught:
        send(connections(url))
    assert caught.value.cause == cause


def test_something_that_is_no_tls_is_told_so() -> None:
    plain = TunnelProxy("", b"400 Bad Request")
    with pytest.raises(Broken, match="TLS"):
        send(connections(plain.url.replace("http://user:word@", "https://")))
    plain.close()
