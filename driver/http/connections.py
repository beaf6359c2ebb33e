"""Kept connections to one origin, shared by all identities: nothing about a caller stays on a connection.

At most ``limit`` are in use at once; whoever comes later waits and is never turned away before his deadline. A kept
connection that the other end has closed meanwhile is replaced at once.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from driver.errors import InvalidInput
from driver.http.exchange import Answer, Broken, exchange
from driver.model import Clock, Deadline

KEPT = 32
"""Connections that are kept without use at most: each costs some 20 KB, and a burst makes many."""

IDLE = 45.0
"""Seconds that a connection is kept without use; AWS closes its side after about a minute."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Longest waits of one attempt, in seconds; a nearer deadline goes first."""

    connect: float = 2.0
    read: float = 5.0


class Proxy(msgspec.Struct, frozen=True):
    """An HTTP proxy. ``authorization`` is the value of its header, empty for none."""

    host: str
    port: int
    authorization: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


class Origin(msgspec.Struct, frozen=True):
    """Where requests go: host and port, by TLS or not, directly or through a proxy."""

    tls: bool
    host: str
    port: int
    proxy: Proxy | None = None

    @property
    def authority(self) -> str:
        """Return the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class Connections:
    """The connections to one origin. Lives as long as the process; safe for many threads."""

    def __init__(
        self,
        origin: Origin,
        tls: Callable[[], ssl.SSLContext],
        timeouts: Timeouts,
        limit: int = 192,
        clock: Clock = time.monotonic,
    ) -> None:
        self.origin = origin
        self._tls = tls
        self._timeouts = timeouts
        self._clock = clock
        self._turn = threading.Semaphore(limit)
        self._idle: deque[tuple[socket.socket, float]] = deque()

    def send(self, request: bytes, deadline: Deadline, body_limit: int) -> Answer:
        """Send a request and return the answer, within one attempt's time and the deadline. Raises Broken."""
        if not self._turn.acquire(timeout=deadline.remaining()):
            raise Broken("all connections were busy until the deadline", lasting=True)
        try:
            kept = self._take()
            if kept is not None:
                with contextlib.suppress(_ClosedMeanwhile):
                    return self._use(kept, request, deadline, body_limit, kept=True)
            return self._use(self._open(deadline), request, deadline, body_limit, kept=False)
        finally:
            self._turn.release()

    def _use(self, sock: socket.socket, request: bytes, deadline: Deadline, body_limit: int, *, kept: bool) -> Answer:
        answer = None
        until = self._clock() + min(self._timeouts.read, deadline.remaining())
        try:
            answer = exchange(sock, request, until, body_limit, self._clock)
        except Broken as broken:
            if kept and broken.unanswered:
                raise _ClosedMeanwhile from None
            raise
        finally:
            if answer is not None and answer.reusable and len(self._idle) < KEPT:
                self._idle.append((sock, self._clock()))
            else:
                sock.close()
        return answer

    def _take(self) -> socket.socket | None:
        """Return the connection used last, which is the likeliest to be alive; close those kept too long."""
        oldest = self._clock() - IDLE
        with contextlib.suppress(IndexError):  # empty, or another thread was quicker
            while self._idle[0][1] < oldest:
                self._idle.popleft()[0].close()
        with contextlib.suppress(IndexError):
            return self._idle.pop()[0]
        return None

    def _open(self, deadline: Deadline) -> socket.socket:
        """Return a new connection. ``http.client`` knows proxies, both address families, TLS and TCP_NODELAY."""
        where = self.origin
        host, port = (where.proxy.host, where.proxy.port) if where.proxy else (where.host, where.port)
        seconds = max(0.001, min(self._timeouts.connect, deadline.remaining()))
        opener: http.client.HTTPConnection
        try:
            if where.tls:
                opener = http.client.HTTPSConnection(host, port, timeout=seconds, context=self._tls())
            else:
                opener = http.client.HTTPConnection(host, port, timeout=seconds)
            if where.tls and where.proxy:
                opener.set_tunnel(where.host, where.port, _tunnel_headers(where))
            opener.connect()
        except InvalidInput:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _no_connection(where, error) from None
        sock: socket.socket = opener.sock
        return sock

    def close(self) -> None:
        """Close what is kept."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop()[0].close()

    def __len__(self) -> int:
        return len(self._idle)


class _ClosedMeanwhile(Exception):
    """A kept connection was closed by the other end before it saw the request."""


def _tunnel_headers(origin: Origin) -> Mapping[str, str]:
    if origin.proxy is None or not origin.proxy.authorization:
        return {}
    return {"Proxy-Authorization": origin.proxy.authorization}


def _no_connection(origin: Origin, error: Exception) -> Broken:
    """Return what a failure to connect means, in our words."""
    host = origin.host
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = "name the CA of a private endpoint or proxy in AWS_CA_BUNDLE"
        return Broken(f"the certificate of {host} is not trusted", remedy, lasting=True)
    if isinstance(error, ssl.SSLError):
        return Broken(f"no TLS connection to {host}", "check what answers there")
    if origin.proxy is not None:
        proxy = f"{origin.proxy.host}:{origin.proxy.port}"
        return Broken(f"no connection to {host} through the proxy {proxy}", "check HTTPS_PROXY, NO_PROXY and the proxy")
    if isinstance(error, socket.gaierror):
        return Broken(f"the name {host} does not resolve", "check the region and the node's DNS")
    if isinstance(error, TimeoutError):
        return Broken(f"no connection to {host} in time")
    return Broken(f"no connection to {host}:{origin.port}")
