"""The thread that waits for all connections at once.

With a thread for each call in flight, threads spend more time on handing the interpreter to one another than on the
calls. Here a caller hands its requests over and waits once for all of them.
"""

import contextlib
import logging
import math
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

log = logging.getLogger(__name__)

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Loop:
    """Runs work in a thread of its own, which starts with the first work. Lives as long as the process.

    Any thread may call ``submit`` and ``close``; everything else is for work, in the loop's thread. Work must not wait.
    """

    def __init__(self) -> None:
        self._work: deque[Callable[[], object]] = deque()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._asleep = False
        self._looks: list[Callable[[], float]] = []
        self._next_look = math.inf

    def submit(self, work: Callable[[], object]) -> bool:
        """Have work done soon; False if the loop is closed."""
        if self._closed:
            return False
        self._work.append(work)
        if self._thread is None:
            self._start()
        self._rouse()
        return True

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._selector = selectors.DefaultSelector()
                self._bell, self._ear = socket.socketpair()
                self._bell.setblocking(False)
                self._ear.setblocking(False)
                self.watch(self._ear.fileno(), READ, 0, self._hear)
                thread = threading.Thread(target=self._run, name="http", daemon=True)
                thread.start()
                self._thread = thread

    def _rouse(self) -> None:
        if self._asleep:
            self._asleep = False
            with contextlib.suppress(OSError):
                self._bell.send(b"!")

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ear.recv(4096)

    def _run(self) -> None:
        while self._work or not self._closed:
            for ready in self._wait():
                _safely(ready)
            while self._work:
                _safely(self._work.popleft())
            if time.monotonic() >= self._next_look:
                self._next_look = math.inf
                for look in self._looks:
                    self.look_within(look())
        self._bell.close()
        self._ear.close()
        self._selector.close()

    def _wait(self) -> list[Callable[[], object]]:
        self._asleep = True  # before the look at the work: whoever adds some after it rings the bell
        left = None if self._next_look == math.inf else max(0.0, self._next_look - time.monotonic())
        events = self._selector.select(0 if self._work or self._closed else left)
        self._asleep = False
        return [key.data for key, _ in events]

    def watch(self, descriptor: int, events: int, before: int, ready: Callable[[], object]) -> None:
        """Call ``ready`` whenever one of ``events`` is there; ``before`` are those watched until now, 0 for none."""
        if not events:
            self._selector.unregister(descriptor)
        elif before:
            self._selector.modify(descriptor, events, ready)
        else:
            self._selector.register(descriptor, events, ready)

    def look(self, look: Callable[[], float]) -> None:
        """Have ``look`` called when due; it returns the seconds after which it is due again."""
        self._looks.append(look)

    def look_within(self, seconds: float) -> None:
        """Be due in so many seconds, or earlier."""
        self._next_look = min(self._next_look, time.monotonic() + seconds)

    def close(self) -> None:
        """End the thread when the work that was submitted is done."""
        self._closed = True
        if self._thread is not None:
            self._asleep = True
            self._rouse()
            self._thread.join(1.0)


def _safely(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:
        log.exception("work in the HTTP thread failed")
