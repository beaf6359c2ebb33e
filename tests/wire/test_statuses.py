"""No status but ours, and none that starts a pod with an empty volume (scenarios 14, 24): through a real channel."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc
import pytest

from driver import __version__, errors
from driver.errors import FORBIDDEN_CODES, Failures, KeyferryError, Unavailable
from driver.mount.provider import Limits
from driver.wire import csi_provider_pb2 as wire
from tests.driverside import MOUNT, channel, mount_raw
from tests.wire.conftest import RAW, Start, Up

VERSION = MOUNT.replace("/Mount", "/Version")


def status(dialled: grpc.Channel, raw: bytes = RAW, timeout: float = 20, **more: Any) -> tuple[str, str]:
    """Call Mount and return the code's name and the text."""
    call: Any = dialled.unary_unary(MOUNT)
    try:
        call(raw, timeout=timeout, wait_for_ready=True, **more)
    except grpc.RpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""


def classes(base: type[KeyferryError] = KeyferryError) -> list[type[KeyferryError]]:
    found = [each for sub in base.__subclasses__() for each in (sub, *classes(sub))]
    return [each for each in found if each.__module__ == errors.__name__]


def made(kind: type[KeyferryError]) -> KeyferryError:
    if kind is errors.Internal:
        return errors.Internal()
    if issubclass(kind, Failures):
        return Failures([Unavailable("a", "b", "c"), errors.NotFound("d", "e", "f")])
    return kind("db", "why", "what to do")


@pytest.mark.parametrize("kind", classes())
def test_14_every_class_of_failure_is_a_final_status(kind: type[KeyferryError], up: Up, dialled: grpc.Channel) -> None:
    up.resolver.fails = made(kind)
    code, text = status(dialled)
    assert code not in FORBIDDEN_CODES
    assert code not in {"OK", "UNKNOWN"}
    assert text.startswith("keyferry: ")


@pytest.mark.parametrize(
    "bug", [ValueError("s3cret"), SystemExit(3), KeyboardInterrupt(), MemoryError(), RecursionError()]
)
def test_a_defect_ends_one_call_with_a_fixed_text(bug: BaseException, up: Up, dialled: grpc.Channel) -> None:
    up.resolver.fails = bug
    code, text = status(dialled)
    assert code == "INTERNAL"
    assert text == f"keyferry: {errors.Internal()}"
    up.resolver.fails = None
    assert status(dialled)[0] == "OK"


def test_a_request_of_5_mib_is_refused_as_input(dialled: grpc.Channel) -> None:
    assert status(dialled, bytes(5 << 20))[0] == "INVALID_ARGUMENT"


@pytest.mark.slow
def test_a_request_of_65_mib_is_refused_as_input(dialled: grpc.Channel) -> None:
    assert status(dialled, bytes(65 << 20))[0] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"", RAW[:-7]], ids=["garbage", "empty", "cut"])
def test_a_request_that_does_not_decode_is_refused_as_input(raw: bytes, dialled: grpc.Channel) -> None:
    assert status(dialled, raw)[0] == "INVALID_ARGUMENT"


def test_metadata_of_a_megabyte_is_ignored(dialled: grpc.Channel) -> None:
    assert status(dialled, metadata=(("x-much", "m" * 1_000_000),))[0] == "OK"


def test_24_an_answer_over_the_limit_is_refused_with_its_size(start: Start) -> None:
    up = start(limits=Limits(response=100_000))
    up.resolver.content = bytes(100_001)
    with channel(up.path) as dialled:
        code, text = status(dialled)
    assert code == "OUT_OF_RANGE"
    assert "100,000" in text


def test_an_answer_just_below_the_drivers_limit_passes(up: Up, dialled: grpc.Channel) -> None:
    up.resolver.content = bytes((4 << 20) - 1_000)
    assert len(mount_raw(dialled, RAW).files[0].contents) == (4 << 20) - 1_000


def test_a_status_text_of_any_script_passes_a_client_with_default_limits(up: Up, dialled: grpc.Channel) -> None:
    """1,000 characters of four bytes each are 12 KB of trailers, of which such a client takes 8."""
    up.resolver.fails = errors.NotFound("\N{GRINNING FACE}" * 900, "c", "r")
    assert status(dialled)[0] == "NOT_FOUND"


def test_more_calls_than_threads_wait_and_are_answered(start: Start) -> None:
    up = start(workers=4)
    up.resolver.seconds = 0.05
    with channel(up.path) as dialled, ThreadPoolExecutor(50) as pool:
        codes = list(pool.map(lambda _: status(dialled)[0], range(50)))
    assert codes == ["OK"] * 50


def test_a_burst_beyond_grpcios_own_queue_limit_is_answered(start: Start) -> None:
    """By default grpcio refuses calls beyond 1,000 to 3,000 that wait for the application."""
    up = start(workers=8)
    with channel(up.path) as dialled:
        call: Any = dialled.unary_unary(MOUNT)
        futures = [call.future(RAW, timeout=25) for _ in range(4_000)]
        assert {future.code() for future in futures} == {grpc.StatusCode.OK}


def test_version_is_answered_while_all_threads_wait_for_aws(start: Start) -> None:
    up = start(workers=2)
    up.resolver.seconds = 1.0
    with channel(up.path) as dialled, ThreadPoolExecutor(4) as pool:
        pending = [pool.submit(status, dialled) for _ in range(4)]
        up.resolver.entered.acquire(timeout=5)
        version: Any = dialled.unary_unary(VERSION, response_deserializer=wire.VersionResponse.FromString)
        began = time.monotonic()
        answer = version(b"", timeout=5)
        assert time.monotonic() - began < 0.9
        assert (answer.version, answer.runtime_name, answer.runtime_version) == ("v1alpha1", "keyferry", __version__)
        assert [each.result()[0] for each in pending] == ["OK"] * 4


def test_a_caller_that_goes_away_costs_nothing(up: Up, dialled: grpc.Channel) -> None:
    up.resolver.seconds = 0.2
    call: Any = dialled.unary_unary(MOUNT)
    for _ in range(20):
        future = call.future(RAW)
        up.resolver.entered.acquire(timeout=5)
        future.cancel()
    up.resolver.seconds = 0
    assert status(dialled)[0] == "OK"
    assert up.calls.running <= 20


def test_the_answer_comes_before_the_callers_deadline(up: Up, dialled: grpc.Channel) -> None:
    assert status(dialled, timeout=6)[0] == "OK"
    assert 3 < up.resolver.deadlines[0] < 4.1


def test_a_deadline_that_is_too_short_is_answered_at_once(up: Up, dialled: grpc.Channel) -> None:
    code, text = status(dialled, timeout=2)
    assert code == "INTERNAL"
    assert "no time is left" in text
    assert up.resolver.deadlines == []
    assert b"keyferry_short_deadlines_total 1.0" in up.metrics.render()


def test_an_unknown_method_is_unimplemented(dialled: grpc.Channel) -> None:
    call: Any = dialled.unary_unary("/v1alpha1.CSIDriverProvider/Unmount")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", timeout=5)
    assert caught.value.code().name == "UNIMPLEMENTED"


@pytest.mark.parametrize("authority", ["localhost", "/run/x/aws.sock", "%2Frun%2Fx%2Faws.sock"])
def test_any_authority_is_taken(authority: str, up: Up) -> None:
    """Drivers before 1.6.0 send the path."""
    with grpc.insecure_channel(f"unix:{up.path}", options=[("grpc.default_authority", authority)]) as dialled:
        assert status(dialled)[0] == "OK"


def test_a_flood_of_pings_ends_no_connection(up: Up) -> None:
    """By default a server ends a connection for its third ping too many, and its calls with UNAVAILABLE."""
    with RawClient(up.path) as client:
        client.send(b"".join(frame(6, 0, 0, bytes(8)) for _ in range(5_000)))
        assert client.pongs(5_000) == 5_000


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return an HTTP/2 frame (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


class RawClient:
    """An HTTP/2 client that does as it likes."""

    def __init__(self, path: Path) -> None:
        import socket  # noqa: PLC0415 - only here

        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(path))
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        threading.Thread(target=self._socket.sendall, args=(data,), daemon=True).start()

    def pongs(self, wanted: int) -> int:
        """Count PING answers until there are enough, or the server says GOAWAY."""
        data, found = self._socket.makefile("rb"), 0
        while found < wanted and (head := data.read(9)):
            data.read(int.from_bytes(head[:3], "big"))
            assert head[3] != 7
            found += head[3] == 6 and head[4] == 1
        return found
