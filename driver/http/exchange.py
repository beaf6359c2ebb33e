"""An HTTP/1.1 answer, read from the pieces in which it arrives (RFC 9112).

Knows neither AWS nor connections. Not ``http.client``: its parsing of headers as e-mail costs three times all that is
done here, and it waits for each piece. Strict: an answer that is not plainly framed is ``Broken``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

HEAD_LIMIT = 64 << 10


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


class Reading:
    """One answer as it arrives. A body of more than ``limit`` bytes is refused before it is read."""

    __slots__ = ("_body", "_held", "_keep", "_limit", "_size", "_take", "headers", "heard", "status")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self._body = bytearray()
        self._take: Callable[[Reading], Answer | None] = Reading._head  # not bound: that would be a cycle
        self._keep = False
        self._size = 0
        self.heard = False
        self.status = 0
        self.headers: dict[str, str] = {}

    def feed(self, data: bytes) -> Answer | None:
        """Take what came next, empty at the connection's end, and return the answer if it is complete. Raises Broken.

        Nothing may be fed after that.
        """
        if not data:
            return self._ended()
        self.heard = True
        self._held += data
        return self._take(self)

    def _ended(self) -> Answer:
        if self._take is not Reading._rest:
            raise Broken("the connection was cut", unanswered=not self.heard)
        return Answer(self.status, self.headers, bytes(self._held), reusable=False)

    def _head(self) -> Answer | None:
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            self._unfinished()
            return None
        first, *lines = self._held[:end].decode("latin-1").split("\r\n")
        del self._held[: end + 4]
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if version not in {"HTTP/1.1", "HTTP/1.0"} or not (code.isascii() and code.isdigit()):
            raise _not_http()
        if code[0] == "1":
            return self._head()
        self.status = int(code)
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise _not_http()
            self.headers[name.lower()] = value.strip()
        close = self.headers.get("connection", "").lower()
        self._keep = close != "close" if version == "HTTP/1.1" else close == "keep-alive"
        self._take = self._framed()
        return self._take(self)

    def _unfinished(self) -> None:
        """Wait for the rest of something that must not be long."""
        if len(self._held) > HEAD_LIMIT:
            raise _not_http()

    def _framed(self) -> "Callable[[Reading], Answer | None]":
        """Return what reads the body (RFC 9112, 6.3)."""
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            return Reading._chunk
        length = self.headers.get("content-length")
        if length is None and self.status not in {204, 304}:
            return Reading._rest
        self._size = _size(length or "0", 10)
        if self._size > self._limit:
            raise _too_large()
        return Reading._exactly

    def _exactly(self) -> Answer | None:
        size, held = self._size, self._held
        if len(held) < size:
            return None
        return Answer(self.status, self.headers, bytes(held[:size]), self._keep and len(held) == size)

    def _rest(self) -> None:
        if len(self._held) > self._limit:
            raise _too_large()

    def _chunk(self) -> Answer | None:
        while True:
            end = self._held.find(b"\r\n")
            if end < 0:
                self._unfinished()
                return None
            size = _size(self._held[:end].partition(b";")[0].strip().decode("latin-1"), 16)
            if not size:
                self._take = Reading._trailer
                del self._held[: end + 2]
                return self._trailer()
            if len(self._body) + size > self._limit:
                raise _too_large()
            after = end + 2 + size
            if len(self._held) < after + 2:
                return None
            if self._held[after : after + 2] != b"\r\n":
                raise _not_http()
            self._body += self._held[end + 2 : after]
            del self._held[: after + 2]

    def _trailer(self) -> Answer | None:
        while (end := self._held.find(b"\r\n")) > 0:
            del self._held[: end + 2]
        if end < 0:
            self._unfinished()
            return None
        return Answer(self.status, self.headers, bytes(self._body), self._keep and len(self._held) == 2)


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
