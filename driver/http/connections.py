"""Connections to one origin, shared by all identities: nothing about a caller stays on a connection.

At most ``limit`` are in use at once; whoever comes later waits and is never turned away before his deadline. A kept
connection that the other end has closed meanwhile is replaced at once. Callers only prepare and wait: one thread works
for all of them.
"""

import logging
import math
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from driver.http.exchange import Answer, Broken
from driver.http.link import Link, Steps, Waiting
from driver.http.loop import Loop
from driver.http.names import Name
from driver.http.turns import Arrival, Burst, Turns
from driver.model import Clock, Deadline

log = logging.getLogger(__name__)

KEPT = 32
"""Connections that are kept without use at most: each costs some 20 KB, and a burst makes many."""

IDLE = 45.0
"""Seconds that a connection is kept without use; AWS closes its side after about a minute."""

SPARE = 32
"""Connections in use beyond each caller's first."""

GRACE = 1.0
"""Seconds after the deadline in which the loop has to tell so."""


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
    """The connections to one origin. Lives as long as the process; safe for many threads.

    ``tls`` may be slow: it is called once, by a caller. ``loop``: to share one among origins; their owner closes it.
    """

    def __init__(
        self,
        origin: Origin,
        tls: Callable[[], ssl.SSLContext],
        timeouts: Timeouts,
        limit: int = 192,
        clock: Clock = time.monotonic,
        loop: Loop | None = None,
    ) -> None:
        self.origin = origin
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._timeouts = timeouts
        self._clock = clock
        self._loop = loop or Loop()
        self._own = loop is None
        where = origin.proxy or origin
        self._name = Name(where.host, where.port, clock)
        self._turns = Turns(limit, SPARE)
        self._idle: deque[Link] = deque()
        self._active: set[Link] = set()
        self._next_look = math.inf
        self._loop.look(self._look)

    def send(self, request: bytes, deadline: Deadline, body_limit: int) -> Answer:
        """Send a request and return the answer, within one attempt's time and the deadline. Raises Broken."""
        ((outcome, _),) = self.send_all((request,), deadline, body_limit)
        if isinstance(outcome, Broken):
            raise outcome
        return outcome

    def send_all(self, requests: Sequence[bytes], deadline: Deadline, body_limit: int) -> Sequence[Arrival]:
        """Send requests side by side, each as ``send`` does; return how they ended, in order."""
        if self.origin.tls and self._context is None:
            self._context = self._tls()
        if not self._idle or self._name.doubted:
            self._name.look_up(deadline)
        burst = Burst(requests, self._clock() + deadline.remaining(), body_limit)
        if not self._loop.submit(partial(self._admit, burst)):
            return [Arrival(_ending(), 0.0)] * len(requests)
        burst.wait(deadline.remaining() + GRACE)
        return burst.arrivals

    def close(self) -> None:
        """Close all connections; what is under way ends as broken."""
        self._loop.submit(self._let_go)
        if self._own:
            self._loop.close()

    def __len__(self) -> int:
        return len(self._idle)

    # From here on everything runs in the loop's thread.

    def _admit(self, burst: Burst) -> None:
        self._turns.join(burst)
        self._serve(self._turns.take())
        if burst.waiting:
            self._due(burst.until)

    def _serve(self, burst: Burst | None) -> None:
        """Start a request of a burst, and of all whose turn it is after that."""
        while burst is not None:
            self._start(burst)
            burst = self._turns.take()

    def _start(self, burst: Burst) -> None:
        index, request = burst.waiting.popleft()
        began = self._clock()
        link = self._take(began)
        self._active.add(link)
        link.begin(self._steps(link, burst, request), partial(self._ended, link, burst, index, began))

    def _take(self, now: float) -> Link:
        """Return the connection used last, which is the likeliest to be alive; close those kept too long."""
        while self._idle and self._idle[0].since < now - IDLE:
            self._idle.popleft().close()
        return self._idle.pop() if self._idle else Link(self._loop, self._idle.remove)

    def _steps(self, link: Link, burst: Burst, request: bytes) -> Steps:
        if link.is_open:
            self._limit_to(link, self._timeouts.read, burst)
            try:
                return (yield from link.exchange(request, burst.body_limit))
            except Broken as broken:
                if not broken.unanswered:
                    raise
            link.close()  # the other end had closed it, and has not seen the request
        try:
            yield from self._open(link, burst)
        except (OSError, ValueError) as error:
            raise _no_connection(self.origin, error) from None
        self._limit_to(link, self._timeouts.read, burst)
        return (yield from link.exchange(request, burst.body_limit))

    def _open(self, link: Link, burst: Burst) -> Waiting:
        yield from self._connect(link, burst)
        if self.origin.tls and self._context is not None:
            self._limit_to(link, self._timeouts.connect, burst)
            if self.origin.proxy is not None:
                yield from link.tunnel(_tunnel(self.origin, self.origin.proxy))
            yield from link.encrypt(self._context, self.origin.host)

    def _connect(self, link: Link, burst: Burst) -> Waiting:
        """Connect to the first address that lets us."""
        failure = self._name.failure
        for address in self._name.addresses:
            self._limit_to(link, self._timeouts.connect, burst)
            try:
                yield from link.connect(address)
            except OSError as error:
                failure = error
                link.close()
            else:
                return
        self._name.doubt()
        raise failure

    def _limit_to(self, link: Link, seconds: float, burst: Burst) -> None:
        link.due = min(self._clock() + seconds, burst.until)
        self._due(link.due)

    def _due(self, moment: float) -> None:
        if moment < self._next_look:
            self._next_look = moment
            self._loop.look_within(moment - self._clock())

    def _ended(self, link: Link, burst: Burst, index: int, began: float, outcome: Answer | Exception) -> None:
        now = self._clock()
        self._active.discard(link)
        if isinstance(outcome, Answer) and outcome.reusable and len(self._idle) < KEPT:
            link.since = now
            self._idle.append(link)
        else:
            link.close()
        if not isinstance(outcome, Answer | Broken):
            log.error("an exchange failed", exc_info=outcome)
            outcome = Broken("the connection was cut")
        burst.arrive(index, Arrival(outcome, now - began))
        if isinstance(outcome, Broken) and not burst.answered:
            _turn_away(burst, outcome)  # the others would only take as long to fare as badly
        self._serve(self._turns.leave(burst, answered=isinstance(outcome, Answer)))

    def _look(self) -> float:
        """End what is overdue; return the seconds until more may be."""
        now = self._clock()
        if now >= self._next_look:
            self._next_look = math.inf
            waiting = self._turns.waiting()
            for burst in [burst for burst in waiting if burst.until <= now]:
                _turn_away(burst, Broken("all connections were busy until the deadline", lasting=True))
            for link in [link for link in self._active if link.due <= now]:
                link.expire()
            moments = [link.due for link in self._active] + [burst.until for burst in waiting if burst.waiting]
            self._next_look = min(moments, default=math.inf)
        return self._next_look - now

    def _let_go(self) -> None:
        for burst in self._turns.waiting():
            _turn_away(burst, _ending())
        for link in list(self._active):
            link.abandon(_ending())
        while self._idle:
            self._idle.pop().close()


def _turn_away(burst: Burst, broken: Broken) -> None:
    while burst.waiting:
        index, _ = burst.waiting.popleft()
        burst.arrive(index, Arrival(broken, 0.0))


def _ending() -> Broken:
    return Broken("this process is ending", lasting=True)


def _tunnel(origin: Origin, proxy: Proxy) -> bytes:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    to = f"{host}:{origin.port}"
    more = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    return f"CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n{more}\r\n".encode()


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
