"""When a serving process leaves, and how: so that no call is lost or gets a status that is not ours.

grpcio (1.85) answers CANCELLED to a call that reaches a server between ``stop`` and the moment at which the client has
read GOAWAY: several calls of a busy grpc-go client at each stop. Driver 1.6.0 does not retry that, and may then start a
pod with an empty volume. HTTP/2 has the remedy (RFC 9113, section 6.8): a GOAWAY frame with the highest stream number
tells a client to make no new stream here and loses none that is under way. grpcio sends it only as part of the stop. So
this module writes the frame itself to the connections that the server accepted, while the server goes on to answer; the
client finishes its calls, closes, and finds our successor on the socket's path. Then ``stop`` finds no one.

The frame must not land inside another one: answers are held back for a moment (``Calls``), and a connection gets it
only when the kernel has delivered everything written before.
"""

import fcntl
import os
import select
import signal
import socket
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from driver.model import Clock

_GOAWAY = struct.pack(">BHBBLLL", 0, 8, 7, 0, 0, 2**31 - 1, 0)
_CALM = 0.05
"""Seconds in which answers that were given before have left the server's buffers."""
_PATIENCE = 1.0
"""Seconds that a client without a call in flight has to close its connection."""
_DESCRIPTORS = Path("/proc/self/fd")


class Calls:
    """The calls in flight: counted, and their answers held back while a connection is told to end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._open.set()
        self.running = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a call until its answer may be given."""
        with self._lock:
            self.running += 1
        try:
            yield
        finally:
            self._open.wait()
            with self._lock:
                self.running -= 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let no answer out."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()


def connections(bound: str) -> dict[int, socket.socket]:
    """Return duplicates of this process's accepted connections on a socket that was bound as ``bound``, by inode."""
    found: dict[int, socket.socket] = {}
    with suppress(FileNotFoundError):  # not Linux
        # Listed first: the duplicates that are made on the way are not to be found again
        for descriptor in list(_DESCRIPTORS.iterdir()):
            connection = _accepted(int(descriptor.name), bound)
            if connection is None:
                continue
            kept = found.setdefault(os.fstat(connection.fileno()).st_ino, connection)
            if kept is not connection:
                connection.close()
    return found


def _accepted(descriptor: int, bound: str) -> socket.socket | None:
    try:
        duplicate = os.dup(descriptor)
    except OSError:  # closed since it was listed
        return None
    try:
        connection = socket.socket(fileno=duplicate)
    except OSError:  # no socket
        os.close(duplicate)
        return None
    with suppress(OSError):
        listens = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        if connection.family == socket.AF_UNIX and connection.getsockname() == bound and not listens:
            return connection
    connection.close()
    return None


def hand_over(
    bound: str,
    calls: Calls,
    *,
    grace: float,
    clock: Clock = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> int:
    """Have every client finish its calls and leave; return how many connections had to be cut.

    Calls in flight have ``grace`` seconds. A client that is still there then, or has no call in flight and does not
    close within a second, is cut: a call of its that was on the way ends as UNAVAILABLE, which driver 1.6.0 retries.
    """
    end = clock() + grace
    told: set[int] = set()
    quiet_since = clock()
    while here := connections(bound):
        now = clock()
        if calls.running:
            quiet_since = now
        newcomers = [here[inode] for inode in here.keys() - told]
        late = now >= end or now - quiet_since > _PATIENCE
        if not late and newcomers:
            _tell(newcomers, calls, sleep)
            told |= here.keys()
            quiet_since = clock()
        _close(here, cut=late)
        if late:
            return len(here)
        sleep(0.01)
    return 0


def _tell(clients: list[socket.socket], calls: Calls, sleep: Callable[[float], object]) -> None:
    with calls.held():
        sleep(_CALM)
        for client in clients:
            with suppress(OSError):  # gone, or so slow that it has to be cut later
                if _delivered(client, sleep):
                    client.send(_GOAWAY, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def _delivered(client: socket.socket, sleep: Callable[[float], object]) -> bool:
    for _ in range(10):
        (unread,) = struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)))
        if not unread:
            return True
        sleep(0.01)
    return False


def _close(clients: dict[int, socket.socket], *, cut: bool) -> None:
    for client in clients.values():
        with suppress(OSError):
            if cut:
                client.shutdown(socket.SHUT_RDWR)
        client.close()


class Signals:
    """SIGTERM and SIGINT: the first wakes ``wait``, a second calls ``abandon`` at once. Main thread only."""

    def __init__(self, abandon: Callable[[int], object] = os._exit) -> None:
        self._abandon = abandon
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        # written to at once, whichever thread the kernel interrupts: a handler of Python's waits for the main thread
        self._woken = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._before = {n: signal.signal(n, self._note) for n in (signal.SIGTERM, signal.SIGINT)}
        self.seen = 0

    def _note(self, number: int, _frame: object) -> None:
        self.seen += 1
        if self.seen > 1:
            self._abandon(128 + number)

    def wait(self) -> None:
        """Return after the first signal."""
        while not self.pause(None):
            continue

    def pause(self, seconds: float | None) -> bool:
        """Wait so long, or for ever; True at once after a signal."""
        return bool(select.select([self._reader], [], [], seconds)[0])

    def close(self) -> None:
        """Put back what was there before."""
        signal.set_wakeup_fd(self._woken)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)
