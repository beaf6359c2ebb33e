import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from driver.aws.session import Endpoints, Sdk
from driver.http.connections import IDLE, SPARE, Connections, Timeouts
from driver.http.exchange import Broken
from driver.http.turns import Arrival
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


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class RawServer:
    """Answers every request of every connection with these pieces, one after the other."""

    def __init__(self, pieces: Sequence[bytes], pause: float = 0.0) -> None:
        self._pieces = pieces
        self._pause = pause
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
                self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while client.recv(4_096):
                for piece in self._pieces:
                    time.sleep(self._pause)
                    client.sendall(piece)
                if not self._pieces:
                    return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(2)


@pytest.mark.parametrize(
    ("pieces", "pause"), [([PLAIN], 0.6), ([bytes([byte]) for byte in PLAIN], 0.06)], ids=["silent", "dripping"]
)
def test_an_answer_that_takes_too_long_is_given_up(pieces: Sequence[bytes], pause: float) -> None:
    with RawServer(pieces, pause) as server:
        pool = connections(server.url)
        began = time.monotonic()
        with pytest.raises(Broken, match="in time"):
            send(pool, 0.2)
        assert time.monotonic() - began < 0.4
        pool.close()


def test_a_connection_that_is_cut_before_an_answer_is_broken() -> None:
    with RawServer([]) as server:
        pool = connections(server.url)
        with pytest.raises(Broken, match="cut"):
            send(pool)
        pool.close()


def test_requests_made_together_are_answered_side_by_side_and_in_their_order(fake: FakeAws, pool: Connections) -> None:
    fake.world.latency = 0.05
    began = time.monotonic()
    arrivals = pool.send_all([REQUEST, REQUEST, b"no HTTP\r\n\r\n", *[REQUEST] * 4], Deadline(2), 10_000)
    assert [isinstance(arrival.outcome, Broken) for arrival in arrivals] == [False, False, True, *[False] * 4]
    assert time.monotonic() - began < 0.3


def test_when_the_first_of_many_finds_nobody_the_others_need_not_try() -> None:
    with RawServer([PLAIN], 1.2) as server:
        pool = connections(server.url)
        began = time.monotonic()
        arrivals = pool.send_all([REQUEST] * 20, Deadline(5), 10_000)
        assert {str(arrival.outcome) for arrival in arrivals} == {"no answer in time"}
        assert time.monotonic() - began < 1.5
        pool.close()


def test_a_caller_whose_requests_hang_keeps_nobody_waiting() -> None:
    with RawServer([PLAIN], 0.3) as server:
        pool = connections(server.url, limit=SPARE + 3)
        hanging = threading.Thread(target=pool.send_all, args=([REQUEST] * 200, Deadline(0.9), 10_000))
        hanging.start()
        time.sleep(0.05)
        began = time.monotonic()
        assert send(pool) == 200
        assert time.monotonic() - began < 0.5
        hanging.join()
        pool.close()


def test_much_is_sent_and_received_whole() -> None:
    body = b"x" * 3_000_000
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                left = len(body)
                while left:
                    left -= len(client.recv(1 << 16))
                client.sendall(head + body)

        server = threading.Thread(target=serve)
        server.start()
        pool = connections(f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert pool.send(body, Deadline(5), len(body)).body == body
        server.join()
        pool.close()


def test_the_next_address_is_tried_when_one_refuses(fake: FakeAws) -> None:
    """``localhost`` is often ::1 first, where nothing listens."""
    pool = connections(fake.url.replace("127.0.0.1", "localhost"))
    assert send(pool) == 200
    pool.close()


def test_a_kept_connection_that_the_other_end_closes_is_let_go(fake: FakeAws, pool: Connections) -> None:
    send(pool)
    fake.cut_all()
    until = time.monotonic() + 2
    while len(pool) and time.monotonic() < until:
        time.sleep(0.01)
    assert len(pool) == 0


def test_after_the_end_nothing_is_sent(fake: FakeAws, pool: Connections) -> None:
    pool.close()
    with pytest.raises(Broken, match="ending"):
        send(pool)


def test_the_end_ends_what_is_under_way() -> None:
    with RawServer([PLAIN], 0.5) as server:
        pool = connections(server.url)
        arrivals: list[Arrival] = []
        caller = threading.Thread(target=lambda: arrivals.extend(pool.send_all([REQUEST] * 60, Deadline(2), 10_000)))
        caller.start()
        time.sleep(0.1)
        pool.close()
        caller.join(0.3)
        assert {str(arrival.outcome) for arrival in arrivals} == {"this process is ending"}
