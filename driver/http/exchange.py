"""One HTTP/1.1 request and its answer over a connected socket (RFC 9112).

Knows neither AWS nor connections. ``http.client`` opens the connections and reads nothing: its parsing of headers as
e-mail costs three times all that is done here. Strict: an answer that is not plainly framed is ``Broken``.
"""

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from driver.model import Clock

HEAD_LIMIT = 64 << 10
CHUNK = 16 << 10


class Broken(Exception):
    """No usable answer. ``cause`` and ``remedy`` are words for an error.

    ``unanswered``: the other end closed before it sent anything, as it does to a connection that was idle too long.
    ``lasting``: trying again cannot help.
    """

    def __init__(self, cause: str, remedy: str = "", *, unanswered: bool = False, lasting: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy or "try again; check the network path to AWS"
        self.unanswered = unanswered
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers by lower-case name, and the body. ``reusable``: the connection may carry another request."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    reusable: bool


def exchange(sock: socket.socket, request: bytes, until: float, limit: int, clock: Clock = time.monotonic) -> Answer:
    """Send a request and return its answer, by ``until`` (in the clock's seconds). Raises Broken.

    A body of more than ``limit`` bytes is refused before it is read.
    """
    reader = _Reader(sock, until, clock)
    try:
        sock.settimeout(max(0.001, until - clock()))
        sock.sendall(request)
        return _answer(reader, limit)
    except TimeoutError:
        raise Broken("no answer in time") from None
    except OSError:
        raise Broken("the connection was cut", unanswered=not reader.heard) from None


def _answer(reader: "_Reader", limit: int) -> Answer:
    status, headers, version = _head(reader)
    while 100 <= status < 200:
        status, headers, version = _head(reader)
    close = headers.get("connection", "").lower()
    keep = close != "close" if version == b"HTTP/1.1" else close == "keep-alive"
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return Answer(status, headers, _chunks(reader, limit), keep and reader.drained)
    length = headers.get("content-length")
    if length is None and status not in {204, 304}:
        return Answer(status, headers, reader.rest(limit), reusable=False)
    size = _size(length or "0", 10)
    if size > limit:
        raise _too_large()
    return Answer(status, headers, reader.exactly(size), keep and reader.drained)


def _head(reader: "_Reader") -> tuple[int, dict[str, str], bytes]:
    first, *lines = reader.head().split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if version not in {b"HTTP/1.1", b"HTTP/1.0"} or not rest[:3].isdigit():
        raise _not_http()
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon:
            raise _not_http()
        headers[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    return int(rest[:3]), headers, version


def _chunks(reader: "_Reader", limit: int) -> bytes:
    body = bytearray()
    while size := _size(reader.line().partition(b";")[0].strip().decode("latin-1"), 16):
        if len(body) + size > limit:
            raise _too_large()
        body += reader.exactly(size)
        if reader.line():
            raise _not_http()
    while reader.line():
        pass  # trailer fields
    return bytes(body)


def _size(text: str, base: int) -> int:
    if not text.isascii() or not text.isalnum() or len(text) > 15:
        raise _not_http()
    try:
        return int(text, base)
    except ValueError:
        raise _not_http() from None


def _not_http() -> Broken:
    return Broken("the answer is not HTTP", "check what answers at the endpoint")


def _too_large() -> Broken:
    return Broken("the answer is too large", "check what answers at the endpoint", lasting=True)


class _Reader:
    """What a socket sends, taken in pieces, until a moment."""

    def __init__(self, sock: socket.socket, until: float, clock: Clock) -> None:
        self._sock = sock
        self._until = until
        self._clock = clock
        self._held = b""
        self.heard = False

    @property
    def drained(self) -> bool:
        """Return whether nothing beyond the answer was sent: only then is the connection as it should be."""
        return not self._held

    def _more(self) -> bool:
        left = self._until - self._clock()
        if left <= 0:
            raise TimeoutError
        if self.heard:  # the first wait has the time that was set for sending
            self._sock.settimeout(left)
        data = self._sock.recv(CHUNK)
        self.heard = self.heard or bool(data)
        self._held += data
        return bool(data)

    def _must(self) -> None:
        if not self._more():
            raise Broken("the connection was cut", unanswered=not self.heard)

    def _until_mark(self, mark: bytes) -> bytes:
        while (end := self._held.find(mark)) < 0:
            if len(self._held) > HEAD_LIMIT:
                raise _not_http()
            self._must()
        found, self._held = self._held[:end], self._held[end + len(mark) :]
        return found

    def head(self) -> bytes:
        """Return the status line and the header lines."""
        return self._until_mark(b"\r\n\r\n")

    def line(self) -> bytes:
        """Return the next line, without its end."""
        return self._until_mark(b"\r\n")

    def exactly(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        if len(self._held) >= size:
            found, self._held = self._held[:size], self._held[size:]
            return found
        parts = bytearray(self._held)
        self._held = b""
        while len(parts) < size:
            self._must()
            parts += self._held
            self._held = b""
        self._held = bytes(parts[size:])
        return bytes(parts[:size])

    def rest(self, limit: int) -> bytes:
        """Return all that comes until the other end closes."""
        more = True
        while more:
            if len(self._held) > limit:
                raise _too_large()
            more = self._more()
        found, self._held = self._held, b""
        return found
