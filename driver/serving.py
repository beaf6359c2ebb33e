"""The provider's socket and the server behind it: bound, published, checked, handed over.

The socket is never stolen from a live process and never removed when it is another's. grpcio alone would do both: it
binds over a live socket without an error, and its ``stop`` unlinks the path whoever owns it by then (grpc/grpc#17122).
So a server is bound to a name of its own and the path is a rename of that.
"""

import errno
import fcntl
import functools
import logging
import math
import os
import re
import secrets
import socket
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc

from driver.errors import InvalidInput, Unusable
from driver.handover import Calls, hand_over
from driver.model import Clock

log = logging.getLogger(__name__)

PATH_LIMIT = 107
"""Longest path of a Unix socket in bytes (unix(7))."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,30}")
_MOST = 2**31 - 1
_VERSION = "/v1alpha1.CSIDriverProvider/Version"

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.so_reuseport", 0),
    # Sizes are ours to judge: grpcio's limits answer RESOURCE_EXHAUSTED
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", _MOST),
    ("grpc.absolute_max_metadata_size", _MOST),
    # A burst waits for a thread; by default grpcio refuses calls beyond 1,000 to 3,000, or after 30 s of waiting
    ("grpc.server.max_pending_requests", _MOST),
    ("grpc.server.max_pending_requests_hard_limit", _MOST),
    ("grpc.server_max_unrequested_time_in_server", 24 * 3600),
    ("grpc.max_concurrent_streams", _MOST),
    ("grpc.http.overload_protection", 0),
    ("grpc.http2.ping_on_rst_stream_percent", 0),
    # A client may ping as it likes: strikes end its connection, and its calls with UNAVAILABLE
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
)
"""Options under which no status of grpcio's own reaches a caller."""


_Behaviour = Callable[[Any, Any], Any]


class _Pool(ThreadPoolExecutor):
    """A pool that outlives a shortage of threads: without this, grpcio's serving thread would die of it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":  # noqa: ANN401 - as the base
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError:
            # Either the pool is shut down, or no thread could be started: the call is then queued all the same
            done: Future[Any] = Future()
            done.set_result(None)
            return done


class _Counted(grpc.GenericRpcHandler):
    """A handler whose calls pass through ``Calls``."""

    def __init__(self, handler: grpc.GenericRpcHandler, calls: Calls) -> None:
        self._handler = handler
        self._calls = calls
        self._methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        name = handler_call_details.method
        if name not in self._methods:
            found = self._handler.service(handler_call_details)
            if found is None or found.unary_unary is None:
                return None
            self._methods[name] = grpc.unary_unary_rpc_method_handler(self._passing(found.unary_unary))
        return self._methods[name]

    def _passing(self, behave: _Behaviour) -> _Behaviour:
        @functools.wraps(behave)
        def passing(request: object, context: object) -> object:
            with self._calls.counted():
                return behave(request, context)

        return passing


def grpc_server(handler: grpc.GenericRpcHandler, calls: Calls, *, workers: int = 256) -> grpc.Server:
    """Return a server that never answers with a status that the handler did not choose. Methods are unary.

    ``workers`` threads start when needed; more calls than that wait.
    """
    pool = _Pool(workers, thread_name_prefix="mount")
    pool.submit(int)  # one thread always exists, so that a shortage of them ends no call
    return grpc.server(pool, handlers=[_Counted(handler, calls)], options=OPTIONS)


class ProviderSocket:
    """The path ``<directory>/<name>.sock`` on which driver 1.6.0 looks for a provider.

    ``others`` are further directories of the driver, which it looks at first. ``pause`` waits for some seconds and says
    whether to give up. Raises InvalidInput and Unusable for a path that can never work.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        others: Sequence[Path] = (),
        clock: Clock = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.path = directory / f"{name}.sock"
        self.bound = directory / f".{name}.{os.getpid()}-{secrets.token_hex(3)}.sock"
        self._name = name
        self._others = others
        self._clock = clock
        self._pause = pause
        self._inode: tuple[int, int] | None = None
        self._next_line = -math.inf
        self.published = False
        """Whether the path ever led here: until then a predecessor serves it."""
        self._check()

    def _check(self) -> None:
        if not _NAME.fullmatch(self._name):
            raise InvalidInput(self._name, "not a provider name", "use 1 to 30 letters, digits, - and _")
        if not self.path.parent.is_dir():
            raise Unusable(str(self.path.parent), "no such directory", "mount the driver's --provider-volume there")
        if len(os.fsencode(self.bound)) > PATH_LIMIT:
            longest = PATH_LIMIT - len(self.bound.name) - 1
            raise InvalidInput(
                str(self.path.parent), "too long for a Unix socket", f"use a directory of at most {longest} bytes"
            )
        if (mode := _mode(self.path)) and not stat.S_ISSOCK(mode):
            raise Unusable(str(self.path), "there is a file that is not a socket", "remove it")

    def open(self, server: grpc.Server) -> bool:
        """Start a server and publish it on the path, once no live process serves there; False if told to give up."""
        self._sweep()
        while not self._free():
            if self._wait():
                return False
        self._bind(server)
        while not self._publish():
            if self._wait():
                return False
        self._warn_of_shadows()
        return True

    def _wait(self) -> bool:
        """Wait a second for another process to leave, with a line every 10 of them; True if told to give up."""
        now = self._clock()
        if now >= self._next_line:
            log.warning("another live process serves %s: waiting for it to end", self.path)
            self._next_line = now + 10
        while self._clock() < now + 1 and _mode(self.path):
            if self._pause(0.1):
                return True
        return False

    def _free(self) -> bool:
        return not _answers(self.path)

    def _bind(self, server: grpc.Server) -> None:
        mask = os.umask(0o177)
        try:
            server.add_insecure_port(f"unix:{self.bound}")
        except RuntimeError:
            raise Unusable(str(self.path.parent), "no socket can be bound there", "check its permissions") from None
        finally:
            os.umask(mask)
        found = self.bound.lstat()
        if stat.S_IMODE(found.st_mode) != 0o600:
            raise Unusable(str(self.bound), "the file system ignores file modes", "use a directory on a local disk")
        server.start()
        self._inode = (found.st_dev, found.st_ino)

    def _publish(self) -> bool:
        with self._locked():
            if not self._free():
                return False
            self.bound.rename(self.path)
            self.published = True
            return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude other keyferry processes between a look at the path and a change of it."""
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        """Remove what predecessors left that died before they published."""
        for left in self.path.parent.glob(f".{self._name}.*-*.sock"):
            if stat.S_ISSOCK(_mode(left)) and not _answers(left):
                left.unlink(missing_ok=True)

    def _warn_of_shadows(self) -> None:
        for directory in self._others:
            other = directory / self.path.name
            if directory != self.path.parent and _mode(other):
                log.warning("%s hides our socket: the driver looks there first; remove it", other)

    def is_mine(self) -> bool:
        """Return whether the path leads to this process's socket."""
        try:
            found = self.path.lstat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._inode

    def release(self) -> None:
        """Take the path away, if it is ours: no new client finds this process."""
        with suppress(OSError), self._locked():
            if self.is_mine():
                self.path.unlink()
            self.bound.unlink(missing_ok=True)


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _answers(path: Path) -> bool:
    """Return whether a live process accepts connections on a socket; in doubt it does."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        return client.connect_ex(os.fspath(path)) not in {errno.ENOENT, errno.ECONNREFUSED}


def leads_here(path: ProviderSocket, instance: tuple[str, str], seconds: float = 2.0) -> str:
    """Return why the path does not lead to a working server of this process, or an empty text.

    ``instance`` is what our Version leaves in its trailing metadata. Every check makes a new connection and sees what a
    driver that starts now would see.
    """
    if not path.published:
        return ""  # a predecessor is still there: waiting is healthy
    if not path.is_mine():
        return f"{path.path} no longer leads to this process"
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.default_authority", "localhost"))
    with grpc.insecure_channel(f"unix:{path.path}", options=options) as channel:
        try:
            version: Any = channel.unary_unary(_VERSION)
            _, call = version.with_call(b"", timeout=seconds)
        except grpc.RpcError as error:
            return f"Version was not answered: {error.code().name}"
    return "" if instance in map(tuple, call.trailing_metadata()) else "another process answered on the socket"


def drain(server: grpc.Server, path: ProviderSocket, calls: Calls, *, grace: float = 30.0) -> int:
    """Leave the path, let every client finish and go, stop; return how many connections had to be cut."""
    path.release()
    cut = hand_over(str(path.bound), calls, grace=grace)
    log.info("drained", extra={"connections_cut": cut})
    server.stop(0).wait()
    return cut
