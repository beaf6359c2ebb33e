"""A fast fake AWS over real HTTP/1.1, plain or TLS, for tests and benchmarks.

``with FakeAws() as fake: fake.world.put("db", "value"); fake.url`` in a test; ``python -m tests.fakeaws --port 4566``
for one in another process, whose controls are GET ``/_stats`` and POST ``/_put``, ``/_deny``, ``/_fail``, ``/_rate``,
``/_heal`` and ``/_reset``. It knows nothing of keyferry.
"""

import argparse
import asyncio
import datetime as dt
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fakeaws_services import answer
from tests.fakeaws_world import Request, Response, World


class FakeAws:
    """A fake AWS on a free port, in a thread of its own, while the context lasts. ``certificate``: it speaks TLS."""

    def __init__(self, world: World | None = None, *, certificate: Path | None = None, port: int = 0) -> None:
        self.world = world or World()
        self._certificate = certificate
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._protocols: set[_Protocol] = set()
        self.connections = 0
        """Connections accepted so far."""

    @property
    def url(self) -> str:
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        context = None
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
        server = self._loop.run_until_complete(
            self._loop.create_server(self._protocol, "127.0.0.1", self._port, ssl=context, backlog=512)
        )
        self._server = server
        self._port = server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def _protocol(self) -> "_Protocol":
        self.connections += 1
        return _Protocol(self._answer, self._loop, self._protocols)

    def _answer(self, request: Request) -> Response:
        return answer(self.world, request)

    def cut_all(self) -> None:
        """Close every connection, as a server does that has waited too long for a request."""
        done = threading.Event()

        def cut() -> None:
            for protocol in list(self._protocols):
                protocol.transport.close()
            self._loop.call_later(0.05, done.set)

        self._loop.call_soon_threadsafe(cut)
        done.wait(5)

    def __exit__(self, *_: object) -> None:
        if not self._loop.is_closed():
            self.stop()

    def stop(self) -> None:
        """End the server: from now on connections are refused."""

        async def stop() -> None:
            self._server.close()
            for protocol in list(self._protocols):
                protocol.transport.abort()
            await asyncio.sleep(0.02)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


class _Protocol(asyncio.Protocol):
    """One connection: requests in, answers out, one at a time."""

    transport: asyncio.Transport

    def __init__(
        self, respond: Callable[[Request], Response], loop: asyncio.AbstractEventLoop, every: set["_Protocol"]
    ) -> None:
        self._respond = respond
        self._loop = loop
        self._every = every
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._every.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._every.discard(self)

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            return
        first, *lines = self._held[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = end + 4 + int(headers.get("content-length", "0"))
        if len(self._held) < size:
            return
        body, self._held = self._held[end + 4 : size], self._held[size:]
        method, path, _ = first.split(" ")
        response = self._respond(Request(method, path, headers, body))
        if response.hang:
            return
        if response.delay:
            self._loop.call_later(response.delay, self._send, response)
        else:
            self._send(response)

    def _send(self, response: Response) -> None:
        if self.transport.is_closing():
            return
        if response.cut == -1:
            self.transport.abort()
            return
        headers = {**response.headers, "content-length": str(len(response.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {response.status} X\r\n{lines}\r\n".encode("latin-1")
        self.transport.write(head + response.body[: response.cut])
        if response.cut is not None:
            self.transport.close()


def certificate(folder: Path) -> Path:
    """Write a key and a self-signed certificate for 127.0.0.1 and localhost into one file and return its path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    path = folder / "fakeaws.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, plain) + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake AWS for benchmarks: any name exists.")
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--certificate", type=Path, help="folder for a new certificate fakeaws.pem; speaks TLS then")
    parser.add_argument("--control-port", type=int, help="a second, plain port to the same world; 0: any")
    given = parser.parse_args()
    world = World(generous=True, verify=False)
    world.latency = given.latency
    pem = certificate(given.certificate) if given.certificate else None
    with FakeAws(world, certificate=pem, port=given.port) as fake, ExitStack() as more:
        urls = [fake.url]
        if given.control_port is not None:
            urls.append(more.enter_context(FakeAws(world, port=given.control_port)).url)
        print("fake AWS at", *urls, flush=True)  # noqa: T201 - it is a command
        threading.Event().wait()


if __name__ == "__main__":
    main()
