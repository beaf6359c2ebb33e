"""The addresses of a host: looked up by callers, since it takes its time, and used for a while."""

import math
import socket
import threading

from driver.http.link import Address
from driver.model import Clock, Deadline

HELD = 30.0
FAILED = 0.2
"""Seconds for which addresses, and the failure to get any, are not asked for again."""


class Name:
    """A host and its port. Lives as long as the process; safe for many threads.

    ``addresses`` are those last found; without any, ``failure`` says why.
    """

    def __init__(self, host: str, port: int, clock: Clock) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._lock = threading.Lock()
        self._until = -math.inf
        self.addresses: list[Address] = []
        self.failure: Exception = OSError("not looked up")

    @property
    def doubted(self) -> bool:
        """Return whether the addresses are not known, or did not work."""
        return self._until == -math.inf

    def look_up(self, deadline: Deadline) -> None:
        """Find the addresses, if it has not just been done."""
        if self._clock() < self._until or not self._lock.acquire(timeout=deadline.remaining()):
            return
        try:
            if self._clock() >= self._until:
                self._until = self._clock() + self._found()
        finally:
            self._lock.release()

    def _found(self) -> float:
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:  # ValueError: what can be no name
            self.failure = error
            return FAILED
        self.addresses = [(family, address) for family, _, _, _, address in found]
        return HELD

    def doubt(self) -> None:
        """Have the addresses looked up again: they do not work."""
        self._until = -math.inf
