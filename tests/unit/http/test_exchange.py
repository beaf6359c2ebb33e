import socket
import threading
import time
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.http.exchange import Answer, Broken, exchange

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Amzn-RequestId: r\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"


def answered(pieces: Iterable[bytes], *, close: bool = False, seconds: float = 2.0, limit: int = 1_000) -> Answer:
    """Exchange with a server that sends these pieces."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        theirs.recv(4_096)
        for piece in pieces:
            theirs.sendall(piece)
        if close:
            theirs.close()

    server = threading.Thread(target=serve)
    server.start()
    try:
        return exchange(ours, b"GET / HTTP/1.1\r\n\r\n", time.monotonic() + seconds, limit)
    finally:
        server.join()
        ours.close()
        theirs.close()


@pytest.mark.parametrize(
    "raw", [PLAIN, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN], ids=["length", "chunks", "100"]
)
@given(cuts=st.lists(st.integers(1, 140), max_size=6))
def test_an_answer_is_the_same_however_it_arrives(raw: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    answer = answered([raw[a:b] for a, b in pairwise(edges)])
    assert (answer.status, answer.body, answer.reusable) == (200, b"hello", True)


def test_headers_are_found_by_lower_case_names() -> None:
    assert answered([PLAIN]).headers["x-amzn-requestid"] == "r"


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN.replace(b"X-Amzn", b"Connection: close\r\nX-Amzn"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN + b"more than was announced",
    ],
    ids=["close", "1.0", "surplus"],
)
def test_a_connection_that_may_not_be_kept_is_not(raw: bytes) -> None:
    answer = answered([raw])
    assert answer.body == b"hello"
    assert not answer.reusable


def test_without_a_length_the_answer_ends_with_the_connection() -> None:
    answer = answered([b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"], close=True)
    assert (answer.body, answer.reusable) == (b"hello", False)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000,
    ],
)
def test_what_is_no_plain_answer_is_broken(raw: bytes) -> None:
    with pytest.raises(Broken) as caught:
        answered([raw], close=True)
    assert not caught.value.unanswered


@pytest.mark.parametrize("sent", [0, 10, len(PLAIN) - 2])
def test_a_cut_connection_is_broken(sent: int) -> None:
    with pytest.raises(Broken) as caught:
        answered([PLAIN[:sent]], close=True)
    assert caught.value.unanswered == (sent == 0)


def drip() -> Iterable[bytes]:
    for n in range(12):
        time.sleep(0.03)
        yield PLAIN[n : n + 1]


@pytest.mark.parametrize("slow", [list, drip], ids=["silent", "dripping"])
def test_an_answer_that_takes_too_long_is_given_up(slow: Callable[[], Iterable[bytes]]) -> None:
    began = time.monotonic()
    with pytest.raises(Broken, match="in time"):
        answered(slow(), seconds=0.1)
    assert time.monotonic() - began < 1.5
