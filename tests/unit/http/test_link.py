"""A link by itself, over a socket pair's worth of real network; ``test_connections`` has the rest."""

import socket
import threading
from collections.abc import Iterator

import pytest

from driver.http.exchange import Answer, Broken
from driver.http.link import Link, Steps
from driver.http.loop import Loop

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Owner:
    """A link's owner: starts steps in the loop's thread and remembers what it is told."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.link = Link(loop, lambda _: self.lost.set())
        self.lost = threading.Event()
        self._told = threading.Semaphore(0)
        self._outcomes: list[Answer | Exception] = []

    def steps(self, address: tuple[str, int], request: bytes) -> Steps:
        if not self.link.is_open:
            yield from self.link.connect((socket.AF_INET, address))
        return (yield from self.link.exchange(request, 1_000))

    def run(self, address: tuple[str, int]) -> Answer | Exception:
        self._loop.submit(lambda: self.link.begin(self.steps(address, b"GET / HTTP/1.1\r\n\r\n"), self._end))
        assert self._told.acquire(timeout=2)
        return self._outcomes[-1]

    def _end(self, outcome: Answer | Exception) -> None:
        self._outcomes.append(outcome)
        self._told.release()


@pytest.fixture
def owner() -> Iterator[Owner]:
    loop = Loop()
    made = Owner(loop)
    yield made
    loop.submit(made.link.close)
    loop.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(2)
        yield made


def answering(listener: socket.socket, *answers: bytes) -> threading.Thread:
    def serve() -> None:
        client, _ = listener.accept()
        with client:
            for answer in answers:
                client.recv(4_096)
                client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_one_connection_carries_one_exchange_after_the_other(owner: Owner, listener: socket.socket) -> None:
    server = answering(listener, PLAIN, PLAIN)
    for _ in range(2):
        outcome = owner.run(listener.getsockname())
        assert isinstance(outcome, Answer)
    server.join()


def test_the_owner_is_told_when_the_other_end_closes(owner: Owner, listener: socket.socket) -> None:
    server = answering(listener, PLAIN)
    owner.run(listener.getsockname())
    server.join()
    assert owner.lost.wait(2)
    assert not owner.link.is_open


def test_the_owner_is_told_when_the_other_end_speaks_unasked(owner: Owner, listener: socket.socket) -> None:
    asked = threading.Event()

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(4_096)
            client.sendall(PLAIN)
            asked.wait(2)
            client.sendall(PLAIN)
            owner.lost.wait(2)

    server = threading.Thread(target=serve)
    server.start()
    owner.run(listener.getsockname())
    asked.set()
    assert owner.lost.wait(2)
    server.join()


def test_a_failure_is_told_and_closes_the_connection(owner: Owner, listener: socket.socket) -> None:
    server = answering(listener, b"SSH-2.0\r\n\r\n")
    assert isinstance(owner.run(listener.getsockname()), Broken)
    assert not owner.link.is_open
    server.join()


def test_nobody_there_is_an_error_of_the_network(owner: Owner) -> None:
    assert isinstance(owner.run(("127.0.0.1", 9)), ConnectionRefusedError)
