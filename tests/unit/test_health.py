"""/healthz, /readyz and /metrics."""

import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import urllib3

from driver.errors import KeyferryError
from driver.health import CONNECTIONS, HealthServer, check, parse_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0:9809", ("0.0.0.0", 9809)),
        (":9809", ("", 9809)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:80", ("localhost", 80)),
    ],
)
def test_an_address_is_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "9809", "host", "host:", "host:x", "host:65536", "::1:80", "host:-1", "host:٣"])
def test_anything_else_is_no_address(text: str) -> None:
    with pytest.raises(KeyferryError, match="is not HOST:PORT"):
        parse_address(text)


@pytest.fixture
def problem() -> list[str]:
    return []


def broken() -> tuple[int, bytes]:
    raise ValueError("s3cret")


@pytest.fixture
def server(problem: list[str]) -> Iterator[HealthServer]:
    pages = {"/healthz": check(lambda: "".join(problem)), "/broken": broken}
    made = HealthServer("127.0.0.1:0", pages)
    yield made
    made.close()


def get(server: HealthServer, path: str, host: str = "127.0.0.1") -> tuple[int, bytes]:
    answer = urllib3.request("GET", f"http://{host}:{server.port}{path}", retries=False, timeout=5)
    return answer.status, answer.data


def test_a_check_is_200_while_there_is_no_problem(server: HealthServer, problem: list[str]) -> None:
    assert get(server, "/healthz") == (200, b"ok\n")
    problem.append("the socket is gone")
    assert get(server, "/healthz?verbose") == (503, b"the socket is gone\n")


@pytest.mark.parametrize("path", ["/", "/healthz/", "/debug"])
def test_any_other_path_is_404(path: str, server: HealthServer) -> None:
    assert get(server, path)[0] == 404


def test_a_page_that_fails_is_500_without_its_text(server: HealthServer) -> None:
    assert get(server, "/broken") == (500, b"internal error\n")


def test_other_methods_are_refused(server: HealthServer) -> None:
    answer = urllib3.request("POST", f"http://127.0.0.1:{server.port}/healthz", retries=False, timeout=5)
    assert answer.status == 501


def test_an_address_in_use_is_told(server: HealthServer) -> None:
    with pytest.raises(KeyferryError, match="address in use"):
        HealthServer(f"127.0.0.1:{server.port}", {})


def test_ipv6_is_served() -> None:
    made = HealthServer("[::1]:0", {"/healthz": check(lambda: "")})
    assert get(made, "/healthz", "[::1]")[0] == 200
    made.close()


def test_without_a_host_both_families_are_served() -> None:
    made = HealthServer(":0", {"/healthz": check(lambda: "")})
    assert [get(made, "/healthz", host)[0] for host in ("[::1]", "127.0.0.1")] == [200, 200]
    made.close()


def test_without_a_host_a_kernel_without_ipv6_serves_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a kernel cannot be had here: its refusal is played."""

    class Legacy(socket.socket):
        def __init__(self, family: int = socket.AF_INET, *more: Any, **named: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *more, **named)

    monkeypatch.setattr(socket, "socket", Legacy)
    made = HealthServer(":0", {"/healthz": check(lambda: "")})
    assert get(made, "/healthz")[0] == 200
    made.close()


def test_callers_that_never_finish_do_not_lock_out_the_kubelet(server: HealthServer) -> None:
    with ExitStack() as clients:
        for _ in range(CONNECTIONS + 10):
            slow = clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            slow.sendall(b"GET /healthz")
        assert get(server, "/healthz")[0] == 200
        serving = [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]
        assert len(serving) <= CONNECTIONS + 6


def test_it_closes_at_once_and_frees_its_port() -> None:
    made = HealthServer("127.0.0.1:0", {})
    began = time.monotonic()
    made.close()
    assert time.monotonic() - began < 1
    HealthServer(f"127.0.0.1:{made.port}", {}).close()
