"""One connection: opened, and used for one exchange after the other, without ever making the loop wait.

What takes time is a generator: it yields the events that it waits for, and TimeoutError is thrown into it when its time
is over.
"""

import math
import socket
import ssl
from collections.abc import Callable, Generator
from typing import Any

from driver.http.exchange import Answer, Broken, Reading
from driver.http.loop import READ, WRITE, Loop

CHUNK = 16 << 10

Waiting = Generator[int, None, None]
Steps = Generator[int, None, Answer]
Address = tuple[int, Any]
"""Family and socket address, as ``socket.getaddrinfo`` gives them."""


class Link:
    """A connection, or the place for one. For the loop's thread only.

    ``due`` is when the steps under way have to ``expire``, in the owner's clock; ``since``, when they ended.
    """

    __slots__ = ("_ended", "_loop", "_lost", "_read", "_sock", "_steps", "_watched", "_write", "due", "since")

    def __init__(self, loop: Loop, lost: Callable[["Link"], object]) -> None:
        """``lost`` is told when the other end closes the connection, or speaks unasked, while nothing is under way."""
        self._loop = loop
        self._lost = lost
        self._sock: socket.socket | None = None
        self._steps: Steps | None = None
        self._ended: Callable[[Answer | Exception], object] | None = None
        self._watched = 0
        self.due = math.inf
        self.since = 0.0

    @property
    def is_open(self) -> bool:
        """Return whether there is a connection."""
        return self._sock is not None

    def begin(self, steps: Steps, ended: Callable[[Answer | Exception], object]) -> None:
        """Start steps; ``ended`` is told their answer, or why there is none: then the connection is closed."""
        self._steps = steps
        self._ended = ended
        if self.is_open:
            self._go_on()
        else:
            self._loop.submit(self._go_on)  # if all fail at once, one must not start the next from within

    def expire(self) -> None:
        """Tell the steps that their time is over."""
        if self._steps is not None:
            self._go_on(TimeoutError())

    def abandon(self, failure: Exception) -> None:
        """End the steps under way, and the connection."""
        if self._steps is not None:
            self._steps.close()
            self.close()
            self._end(failure)

    def _go_on(self, error: Exception | None = None) -> None:
        steps = self._steps
        if steps is None:
            self._unasked()
            return
        try:
            events = next(steps) if error is None else steps.throw(error)
        except StopIteration as end:
            self._end(end.value)
        except Exception as failure:  # noqa: BLE001 - told to whoever waits for the answer
            self.close()
            self._end(failure)
        else:
            if events != self._watched:
                self._watch(events)

    def _end(self, outcome: Answer | Exception) -> None:
        ended, self._ended, self._steps = self._ended, None, None  # nothing of a call stays with its connection
        if ended is not None:
            ended(outcome)

    def _unasked(self) -> None:
        """Look at what a connection without a task has to say. A TLS session ticket is no reason to let it go."""
        if self._sock is None:
            return
        try:
            self._read(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            pass
        self.close()
        self._lost(self)

    def _watch(self, events: int) -> None:
        if self._sock is not None:
            self._loop.watch(self._sock.fileno(), events, self._watched, self._go_on)
            self._watched = events

    def exchange(self, request: bytes, limit: int) -> Steps:
        """Send a request and return the answer, of at most ``limit`` bytes. Raises Broken."""
        reading = Reading(limit)
        try:
            yield from self._send(request)
            return (yield from self._receive(reading))
        except TimeoutError:
            raise Broken("no answer in time") from None
        except OSError:
            raise Broken("the connection was cut", unanswered=not reading.heard) from None

    def _send(self, request: bytes) -> Waiting:
        left: bytes | memoryview = request
        while left:
            try:
                left = left[self._write(left) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                yield WRITE
                left = left if isinstance(left, memoryview) else memoryview(left)
            except ssl.SSLWantReadError:
                yield READ

    def _receive(self, reading: Reading) -> Steps:
        yield READ
        while True:
            try:
                data = self._read(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                yield READ
            except ssl.SSLWantWriteError:
                yield WRITE
            else:
                answer = reading.feed(data)
                if answer is not None:
                    return answer

    def connect(self, address: Address) -> Waiting:
        """Connect to an address. Raises OSError."""
        family, where = address
        self._sock = sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            sock.connect(where)
        except BlockingIOError:
            yield WRITE
        if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(code, "no connection")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read, self._write = sock.recv, sock.send

    def tunnel(self, request: bytes) -> Waiting:
        """Ask a proxy for a tunnel (RFC 9110, 9.3.6). Raises OSError."""
        yield from self._send(request)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            yield READ
            byte = self._read(1)  # none of those that come through the tunnel
            if not byte or len(head) > CHUNK:
                raise OSError("no tunnel")
            head += byte
        if head.split(None, 2)[1][:1] != b"2":
            raise OSError("no tunnel")

    def encrypt(self, context: ssl.SSLContext, host: str) -> Waiting:
        """Speak TLS from now on, with a host that proves to have this name. Raises OSError."""
        if self._sock is None:
            return
        if self._watched:
            self._watch(0)
        self._sock = sock = context.wrap_socket(self._sock, server_hostname=host, do_handshake_on_connect=False)
        while True:
            try:
                sock.do_handshake()
                break
            except ssl.SSLWantReadError:
                yield READ
            except ssl.SSLWantWriteError:
                yield WRITE
        self._read, self._write = sock.recv, sock.send

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._sock is not None:
            if self._watched:
                self._watch(0)
            self._sock.close()
            self._sock = None
