"""Log lines and audit records: where they go and how they look. None of it can hold up a Mount.

Lines go through a ``Sink``: a bounded queue and one thread per stream. A reader that is stuck, a full disk or a broken
pipe costs lines, which are counted; the callers go on.
"""

import json
import logging
import os
import queue
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType

from pythonjsonlogger.json import JsonFormatter

from driver.errors import KeyferryError

# Keys of log lines and audit records, next to time, level, logger and message.
TIME = "time"
POD = "pod"
NAMESPACE = "namespace"
UID = "uid"
KIND = "kind"
NAME = "name"
SERVICE_ACCOUNT = "service_account"
CLASS = "secret_provider_class"
CODE = "code"
REASON = "reason"
STATUS = "status"
SECRET = "secret"  # noqa: S105 - the name of a key
VERSION = "version"
SOURCE = "source"
REQUEST_ID = "request_id"

KEYS = {
    TIME: "UTC, RFC 3339",
    "level": "`DEBUG`, `INFO`, `WARNING`, `ERROR`",
    "logger": "the module that speaks",
    "message": "what happened",
    NAMESPACE: "of the pod",
    POD: "the pod that mounts",
    CLASS: "its SecretProviderClass",
    CODE: "the gRPC code of a refused Mount",
    REASON: "the word for an error, as in metrics and conditions",
    STATUS: "the text that the pod's FailedMount Event has",
    "object": "kind, namespace and name of what does not sync",
    "workload": "kind, namespace and name of what is rolled out",
    "watched": "the kind of objects whose copy fails",
    "identity": "this replica's name in the Lease",
    "store": "Secrets Manager or Parameter Store",
    "region": "where it was read",
    "socket": "the path that is served",
    "metrics_port": "where metrics are served",
    "path": "the page that failed",
    "connections_cut": "connections that did not end by themselves",
    "trace": "frames and types of an exception, never its text",
}
"""Keys of log lines and what they mean, the common ones first."""

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
_BATCH = 64 << 10
_FRAMES = 20
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Sink:
    """Lines on their way to a file descriptor. ``write`` never waits; what does not fit is dropped and counted.

    Lives as long as the process. ``capacity`` is in bytes. A line reaches the descriptor after about ``linger``
    seconds: lines of that time share one wake-up and one system call. Idle, it does nothing at all.
    """

    def __init__(
        self, fd: int, *, dropped: Callable[[int], object] = int, capacity: int = 4 << 20, linger: float = 0.005
    ) -> None:
        self._fd = fd
        self._dropped = dropped
        self._capacity = capacity
        self._linger = linger
        self._lock = threading.Lock()
        self._bytes = 0
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"sink-{fd}", daemon=True)
        self._thread.start()

    def on_drop(self, dropped: Callable[[int], object]) -> None:
        """Tell ``dropped`` from now on how many lines were lost."""
        self._dropped = dropped

    def write(self, lines: bytes) -> bool:
        """Take complete lines; False if they were dropped."""
        with self._lock:
            fits = self._bytes + len(lines) <= self._capacity
            if fits:
                self._bytes += len(lines)
        if fits:
            self._queue.put(lines)
        else:
            self._dropped(lines.count(b"\n"))
        return fits

    def close(self, timeout: float = 2.0) -> bool:
        """Write what is queued; False if that took longer than ``timeout`` seconds and the rest is lost."""
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        last = False
        while not last:
            lines = self._queue.get()
            if lines is None:
                return
            time.sleep(self._linger)
            batch = [lines]
            size = len(lines)
            while size < _BATCH and not self._queue.empty():
                more = self._queue.get()
                if more is None:
                    last = True
                    break
                batch.append(more)
                size += len(more)
            self._deliver(b"".join(batch))

    def _deliver(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[_write(self._fd, rest) :]
        except OSError:
            self._dropped(bytes(rest).count(b"\n"))
        finally:
            with self._lock:
                self._bytes -= len(data)


def _write(fd: int, data: memoryview) -> int:
    try:
        return os.write(fd, data)
    except BlockingIOError:  # a descriptor shared with one who made it non-blocking
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        poll.poll()
        return 0


def trace(error: BaseException) -> str:
    """Return an exception's frames and types, oldest cause first.

    Texts of foreign exceptions are left out: a library's may quote what it was given, a value or a token.
    """
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain:
        chain.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    parts: list[str] = []
    for each in reversed(chain):
        parts += traceback.format_tb(each.__traceback__, limit=-_FRAMES)
        said = f": {each}" if isinstance(each, KeyferryError) else ""
        parts.append(f"{type(each).__module__}.{type(each).__qualname__}{said}\n")
    return "".join(parts).rstrip()


class _Json(JsonFormatter):
    """One JSON object a line."""

    def formatException(self, ei: _ExcInfo) -> str:  # noqa: N802 - logging's name
        return trace(ei[1]) if ei[1] else ""


class _Text(logging.Formatter):
    """For a person at a terminal: time, level, message, then the other keys."""

    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(f"{k}={json.dumps(v, default=str)}" for k, v in vars(record).items() if k not in _ORDINARY)
        when = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{when} {record.levelname:<7} {record.getMessage()} {extras}".rstrip()
        return f"{line}\n{trace(record.exc_info[1])}" if record.exc_info and record.exc_info[1] else line


class _Handler(logging.Handler):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - a line that cannot be written must not cost a Mount
            line = json.dumps({"level": "ERROR", "message": "a log line could not be written", "trace": trace(error)})
        self._sink.write(line.encode(errors="replace") + b"\n")


def log_to(sink: Sink, *, level: str = "info", form: str = "auto") -> Callable[[], None]:
    """Send all logging through a sink; return what undoes it.

    ``form``: ``json``, ``text``, or ``auto``: text when stderr is a terminal. ``level`` holds for keyferry's own lines.
    Libraries speak from WARNING only: at DEBUG they would print requests, headers and tokens.
    """
    handler = _Handler(sink)
    handler.setFormatter(_Text() if form == "text" or (form == "auto" and sys.stderr.isatty()) else _json())
    root, own = logging.getLogger(), logging.getLogger("driver")
    before = (root.handlers[:], root.level, own.level)
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    own.setLevel(level.upper())

    def undo() -> None:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        own.setLevel(before[2])

    return undo


def _json() -> logging.Formatter:
    formatter: logging.Formatter = _Json(
        "{levelname}{name}{message}",
        style="{",
        timestamp=TIME,
        rename_fields={"levelname": "level", "name": "logger", "exc_info": "trace"},
    )
    return formatter
