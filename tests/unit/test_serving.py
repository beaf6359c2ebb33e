"""The socket's path: who may have it, and when it is given up (scenarios 8, 27)."""

import os
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from driver.errors import KeyferryError
from driver.handover import Calls
from driver.serving import ProviderSocket, _Pool, grpc_server, leads_here
from tests.fakes import FakeClock

INSTANCE = ("keyferry-instance", "one")


def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
    context.set_trailing_metadata((INSTANCE,))
    return b""


@pytest.fixture
def server() -> Iterator[grpc.Server]:
    method: Any = grpc.unary_unary_rpc_method_handler(answer)
    handler = grpc.method_handlers_generic_handler("v1alpha1.CSIDriverProvider", {"Version": method})
    made = grpc_server(handler, Calls(), workers=4)
    yield made
    made.stop(0).wait()


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Be another live process on a path."""
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        yield other


@pytest.mark.parametrize("name", ["", "a.b", "../aws", "a" * 31, "ä", "a\n"])
def test_a_name_that_the_driver_refuses_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(KeyferryError, match="not a provider name"):
        ProviderSocket(tmp_path, name)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyferryError, match="no such directory"):
        ProviderSocket(tmp_path / "absent", "aws")


def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with pytest.raises(KeyferryError, match="too long for a Unix socket"):
        ProviderSocket(deep, "aws")


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_something_else_at_the_path_is_never_removed(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "aws.sock"
    path.mkdir() if kind == "directory" else path.write_text("precious")
    with pytest.raises(KeyferryError, match="not a socket: remove it"):
        ProviderSocket(tmp_path, "aws")
    assert path.exists()


def test_08_only_the_owner_may_connect(tmp_path: Path, server: grpc.Server) -> None:
    made = ProviderSocket(tmp_path, "aws")
    mask = os.umask(0)
    try:
        assert made.open(server)
        assert os.umask(0) == 0
    finally:
        os.umask(mask)
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["aws.sock"]


def test_a_path_that_a_dead_process_left_is_taken(tmp_path: Path, server: grpc.Server) -> None:
    with listening(tmp_path / "aws.sock"), listening(tmp_path / ".aws.7-abcdef.sock"):
        pass
    made = ProviderSocket(tmp_path, "aws")
    assert made.open(server)
    assert made.is_mine()
    assert [each.name for each in tmp_path.iterdir()] == ["aws.sock"]


def test_the_unpublished_socket_of_a_live_process_stays(tmp_path: Path, server: grpc.Server) -> None:
    waiting = tmp_path / ".aws.7-abcdef.sock"
    with listening(waiting):
        assert ProviderSocket(tmp_path, "aws").open(server)
        assert waiting.is_socket()


def test_27_a_live_process_keeps_the_path_until_it_leaves(
    tmp_path: Path, server: grpc.Server, caplog: pytest.LogCaptureFixture
) -> None:
    clock, path = FakeClock(), tmp_path / "aws.sock"

    def pause(seconds: float) -> bool:
        clock.advance(seconds)
        if clock.now > 1_025:
            path.unlink(missing_ok=True)
        return False

    with listening(path):
        inode = path.stat().st_ino
        made = ProviderSocket(tmp_path, "aws", clock=clock, pause=pause)
        assert made.open(server)
    assert path.stat().st_ino != inode
    assert [r.getMessage() for r in caplog.records] == [
        f"another live process serves {path}: waiting for it to end"
    ] * 3


def test_waiting_for_the_path_can_be_given_up(tmp_path: Path, server: grpc.Server) -> None:
    path = tmp_path / "aws.sock"
    with listening(path):
        made = ProviderSocket(tmp_path, "aws", pause=lambda _: True)
        assert not made.open(server)
        assert not made.is_mine()
        assert leads_here(made, INSTANCE) == ""
        made.release()
        assert path.exists()


def test_a_path_that_became_anothers_is_not_mine_and_is_not_removed(tmp_path: Path, server: grpc.Server) -> None:
    made = ProviderSocket(tmp_path, "aws")
    made.open(server)
    made.path.unlink()
    assert not made.is_mine()
    with listening(made.path):
        assert not made.is_mine()
        assert "no longer leads to this process" in leads_here(made, INSTANCE)
        made.release()
        assert made.path.exists()


def test_release_gives_up_the_path_and_the_server_goes_on(tmp_path: Path, server: grpc.Server) -> None:
    made = ProviderSocket(tmp_path, "aws")
    made.open(server)
    with grpc.insecure_channel(f"unix:{made.path}") as channel:
        call: Any = channel.unary_unary("/v1alpha1.CSIDriverProvider/Version")
        call(b"", timeout=5)
        made.release()
        assert not made.path.exists()
        assert call(b"", timeout=5) == b""


def test_a_socket_that_hides_ours_is_told(
    tmp_path: Path, server: grpc.Server, caplog: pytest.LogCaptureFixture
) -> None:
    """The driver looks into its additional directories first."""
    other = tmp_path / "etc"
    other.mkdir()
    (other / "aws.sock").touch()
    ProviderSocket(tmp_path, "aws", others=[other, tmp_path]).open(server)
    assert [record.getMessage() for record in caplog.records] == [
        f"{other}/aws.sock hides our socket: the driver looks there first; remove it"
    ]


def test_the_health_check_goes_through_the_path(tmp_path: Path, server: grpc.Server) -> None:
    made = ProviderSocket(tmp_path, "aws")
    made.open(server)
    assert leads_here(made, INSTANCE) == ""
    assert leads_here(made, ("keyferry-instance", "two")) == "another process answered on the socket"
    server.stop(0).wait()
    assert leads_here(made, INSTANCE, seconds=0.5) == "Version was not answered: UNAVAILABLE"


def test_many_health_checks_leave_nothing_open(tmp_path: Path, server: grpc.Server) -> None:
    made = ProviderSocket(tmp_path, "aws")
    made.open(server)
    for _ in range(5):
        leads_here(made, INSTANCE)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        assert leads_here(made, INSTANCE) == ""
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 5


class Starved(_Pool):
    """A pool for which no thread can be started any more after the first."""

    def _adjust_thread_count(self) -> None:
        if self._threads:
            raise RuntimeError("can't start new thread")
        super()._adjust_thread_count()


def test_a_shortage_of_threads_delays_calls_and_ends_none() -> None:
    ran = threading.Semaphore(0)
    with Starved(8) as pool:
        futures: list[Future[Any]] = [pool.submit(ran.release) for _ in range(5)]
        assert all(ran.acquire(timeout=5) for _ in futures)
