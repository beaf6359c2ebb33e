from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.http.exchange import Answer, Broken, Reading

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Amzn-RequestId: r\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"


def answered(*pieces: bytes, limit: int = 1_000) -> Answer:
    """Return what is read from these pieces, after which the connection ends."""
    reading = Reading(limit)
    for piece in (*pieces, b""):
        if (answer := reading.feed(piece)) is not None:
            return answer
    raise AssertionError


@pytest.mark.parametrize(
    "raw", [PLAIN, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN], ids=["length", "chunks", "100"]
)
@given(cuts=st.lists(st.integers(1, 140), max_size=6))
def test_an_answer_is_the_same_however_it_arrives(raw: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    answer = answered(*(raw[a:b] for a, b in pairwise(edges)))
    assert (answer.status, answer.body, answer.reusable) == (200, b"hello", True)


def test_headers_are_found_by_lower_case_names() -> None:
    assert answered(PLAIN).headers["x-amzn-requestid"] == "r"


@pytest.mark.parametrize(
    "raw",
    [
        PLAIN.replace(b"X-Amzn", b"Connection: close\r\nX-Amzn"),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN + b"more than was announced",
        CHUNKED + b"more than was announced",
    ],
    ids=["close", "1.0", "surplus", "surplus after chunks"],
)
def test_a_connection_that_may_not_be_kept_is_not(raw: bytes) -> None:
    answer = answered(raw)
    assert answer.body == b"hello"
    assert not answer.reusable


def test_without_a_length_the_answer_ends_with_the_connection() -> None:
    answer = answered(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
    assert (answer.body, answer.reusable) == (b"hello", False)


def test_an_answer_that_can_have_no_body_ends_with_its_head() -> None:
    assert answered(b"HTTP/1.1 204 No Content\r\n\r\n").reusable


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 ²00 OK\r\n\r\n".encode("latin-1"),
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000,
    ],
)
def test_what_is_no_plain_answer_is_broken(raw: bytes) -> None:
    with pytest.raises(Broken) as caught:
        answered(raw)
    assert not caught.value.unanswered


@pytest.mark.parametrize("raw", [PLAIN, CHUNKED], ids=["length", "chunks"])
@pytest.mark.parametrize("part", [0, 10, -2])
def test_a_cut_connection_is_broken(raw: bytes, part: int) -> None:
    with pytest.raises(Broken) as caught:
        answered(*([raw[:part]] if part else []))
    assert caught.value.unanswered == (part == 0)
