"""/healthz, /readyz and /metrics over HTTP: small, bounded, and deaf to everything else."""

import errno
import logging
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from driver.errors import InvalidInput, Unusable

log = logging.getLogger(__name__)

Page = Callable[[], tuple[int, bytes]]
"""What answers a path: HTTP status and body."""

CONNECTIONS = 16
"""Most connections at a time; the oldest makes way for a new one, so that slow callers never lock out the kubelet."""

_SECONDS = 5.0


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``: an IPv6 host in brackets, an empty one for all. Raises InvalidInput."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65_535 or (":" in host and not bracketed):
        raise InvalidInput("metrics address", f"{text!r} is not HOST:PORT", "use for example 0.0.0.0:9809 or [::]:9809")
    return host.strip("[]"), int(port)


def check(problem: Callable[[], str]) -> Page:
    """Return a page that is 200 while ``problem`` returns an empty text, else 503 with the text."""

    def page() -> tuple[int, bytes]:
        found = problem()
        return (503, f"{found}\n".encode()) if found else (200, b"ok\n")

    return page


class HealthServer:
    """Serves pages by their exact path from one thread, and one more per connection. Raises InvalidInput, Unusable."""

    def __init__(self, address: str, pages: Mapping[str, Page]) -> None:
        host, port = parse_address(address)
        try:
            self._server = _listening(host, port, _handler(pages))
        except OSError as error:
            raise Unusable(
                address, f"cannot be listened on ({_cause(error)})", "choose another --metrics-address"
            ) from None
        self.port: int = self._server.server_address[1]
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing:
            self._server.handle_request()  # without a timeout: no wake-ups while nobody asks

    def close(self) -> None:
        """Stop listening."""
        self._closing = True
        host = self._server.server_address[0]
        with suppress(OSError), socket.create_connection((str(host), self.port), timeout=1):
            self._thread.join(2)
        self._server.server_close()


def _listening(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> "_Server":
    """Listen; without a host on all addresses, which where the kernel has IPv6 includes those of IPv4."""
    family, _, _, _, where = socket.getaddrinfo(host or "::", port, type=socket.SOCK_STREAM)[0]
    try:
        return _Server(where, handler, family)
    except OSError as error:
        if host or error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
            raise
        return _Server(("0.0.0.0", port), handler, socket.AF_INET)  # noqa: S104 - no host: all of them


def _cause(error: OSError) -> str:
    names = {98: "address in use", 99: "not an address of this host", 13: "permission denied"}
    return names.get(error.errno or 0, "no such address")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, where: Any, handler: type[BaseHTTPRequestHandler], family: int) -> None:  # noqa: ANN401 - IPv4 or IPv6
        self.address_family = family
        self._open: OrderedDict[int, socket.socket] = OrderedDict()
        self._lock = threading.Lock()
        super().__init__(where, handler)

    def server_bind(self) -> None:
        """Bind without the reverse DNS look-up of ``HTTPServer``."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base
        """Serve a connection in a thread; the oldest ends if there are too many."""
        with self._lock:
            if len(self._open) >= CONNECTIONS:
                _, oldest = self._open.popitem(last=False)
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
            self._open[id(request)] = request
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as the base
        """End a connection."""
        with self._lock:
            self._open.pop(id(request), None)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a caller that goes away is not our error."""


def _handler(pages: Mapping[str, Page]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SECONDS
        server_version = "keyferry"
        sys_version = ""

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            try:
                status, body = page() if page else (404, b"not found\n")
            except Exception:
                log.exception("a page failed", extra={"path": self.path})
                status, body = 500, b"internal error\n"
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet: kubelet and Prometheus ask all day."""

    return Handler
