"""An API server stand-in over real HTTP: what a controller sees of one, with faults on demand.

    with FakeApi() as api: …                      in a test
    python -m tests.fakeapi --port N              in a process of its own; GET /_fake/stats tells the counters

Every path of the form ``BASE[/namespaces/NS]/PLURAL[/NAME[/SUB]]`` is a resource; nothing has to be declared.
"""

import argparse
import asyncio
import base64
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

import msgspec
import yaml

from tests.fakeobjects import Event, Json, Objects, Refused

_PATH = re.compile(
    r"(?P<base>/api/v1|/apis/[^/]+/[^/]+)"
    r"(?:/namespaces/(?P<ns>[^/]+)(?=/))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
_REASONS = {200: "OK", 201: "Created", 404: "Not Found", 409: "Conflict", 410: "Gone", 429: "Too Many Requests"}
encode = msgspec.json.encode


@dataclass(slots=True)
class Request:
    """One request; ``status`` is filled in with the answer's (0: none was given)."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = field(repr=False)
    kind: str = ""
    namespace: str = ""
    name: str = ""
    sub: str = ""
    status: int = 0

    @property
    def manager(self) -> str:
        """Return the field manager."""
        return self.query.get("fieldManager") or self.headers.get("user-agent", "unknown").partition("/")[0]

    @property
    def is_write(self) -> bool:
        """Tell whether it changed objects; leases and tokens are not counted."""
        quiet = self.kind.endswith("/leases") or self.sub == "token"
        return self.method != "GET" and 200 <= self.status < 300 and not quiet


@dataclass(slots=True)
class Fault:
    """What happens to the next ``times`` requests that match: status, ``cut``, ``lost`` (done, cut) or ``hang``."""

    pattern: str
    outcome: int | str
    times: int = 1
    skip: int = 0
    """Matching requests that come before and are let through."""

    def hits(self, request: Request) -> bool:
        """Tell whether a request is hit; it then counts."""
        if self.times <= 0 or re.search(self.pattern, f"{request.method} {request.path}") is None:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


class _Cut(Exception):
    """The connection ends without an answer."""


class FakeApi:
    """The server, in a thread of its own. ``objects`` can be used directly, or by ``put`` and ``delete``."""

    def __init__(self, port: int = 0, *, latency: float = 0.0, bookmarks: float = 1.0) -> None:
        self.objects = Objects()
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.latency = latency
        self.bookmarks = bookmarks
        self.gone_by_status = True
        """Whether a watch from too old a version is answered with status 410, else with an ERROR in the stream."""
        self.port = port
        self.tokens = 0
        self.pages: dict[str, tuple[int, bytes]] = {}
        """What else is served, by path: pages of pods."""
        self._watches: set[_Watch] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fakeapi", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.objects.listeners.append(self._spread)
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._call(self._settle())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def url(self) -> str:
        """Return the server's address."""
        return f"http://127.0.0.1:{self.port}"

    # what tests do to it

    def put(self, manifest: str | Json, manager: str = "kubectl") -> Json:
        """Create or change an object as ``kubectl apply --server-side --force-conflicts`` does."""
        body = yaml.safe_load(manifest) if isinstance(manifest, str) else manifest
        kind = kind_of(body)
        meta = body["metadata"]
        return self.objects.apply(kind, meta.get("namespace", ""), meta["name"], body, manager, force=True)

    def get(self, kind: str, namespace: str, name: str) -> Json | None:
        """Return an object by its plural; None if there is none."""
        return next((o for o in self.all(kind, namespace) if o["metadata"]["name"] == name), None)

    def all(self, kind: str, namespace: str = "") -> list[Json]:
        """Return all objects of a plural."""
        return self.objects.all(collection(kind), namespace)

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object by its plural."""
        self.objects.delete(collection(kind), namespace, name)

    def data(self, namespace: str, name: str) -> dict[str, str] | None:
        """Return a Secret's decoded data; None if there is no such Secret."""
        found = self.get("secrets", namespace, name)
        if found is None:
            return None
        return {key: base64.b64decode(value).decode() for key, value in found.get("data", {}).items()}

    def writes(self) -> list[str]:
        """Return the writes so far, as ``METHOD path``."""
        return [f"{r.method} {r.path}" for r in list(self.requests) if r.is_write]

    def fail(self, pattern: str, outcome: int | str, times: int = 1, *, skip: int = 0) -> Fault:
        """Let the next requests fail whose ``METHOD path`` matches."""
        self.faults.append(Fault(pattern, outcome, times, skip))
        return self.faults[-1]

    def refuse(self) -> None:
        """Refuse connections and cut all there are."""
        self._call(self._refuse())

    def accept(self) -> None:
        """Take connections (again)."""
        self._call(self._accept())

    def drop_watches(self) -> None:
        """Cut all watches."""
        for watch in list(self._watches):
            self._loop.call_soon_threadsafe(watch.lines.put_nowait, None)

    def stall_watches(self) -> None:
        """Let all present watches say nothing any more, without ending them."""
        for watch in list(self._watches):
            watch.stalled = True

    def forget(self) -> None:
        """Forget all history: a watch from any present version gets 410."""
        with self.objects.lock:
            self.objects.version += 1
            self.objects.oldest = self.objects.version

    def stats(self) -> Json:
        """Return counters: requests by method and resource, writes, tokens."""
        asked = Counter(f"{r.method} {r.kind.rpartition('/')[2]}{'/' + r.sub if r.sub else ''}" for r in self.requests)
        return {"requests": asked, "writes": len(self.writes()), "tokens": self.tokens}

    # the server

    def _call(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _accept(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 22, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _settle(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next round
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if self.latency:
                    await asyncio.sleep(self.latency)
                await self._answer(request, writer)
        except (_Cut, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        fault = next((fault for fault in self.faults if fault.hits(request)), None)
        try:
            await _suffer(fault)
            if request.query.get("watch"):
                await self._watch(request, writer)
                return
            status, body = self._do(request)
        except Refused as refused:
            status, body = refused.status, encode(refused.body)
        if fault and fault.outcome == "lost":
            raise _Cut
        request.status = status
        head = f"HTTP/1.1 {status} {_REASONS.get(status, 'X')}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    def _do(self, request: Request) -> tuple[int, bytes]:
        if request.path == "/_fake/stats":
            return 200, encode(self.stats())
        if request.path in self.pages:
            return self.pages[request.path]
        if not request.kind:
            raise Refused(404, "NotFound")
        with self.objects.lock:
            return _METHODS[request.method](self, request)

    def _get(self, r: Request) -> tuple[int, bytes]:
        if r.name:
            return 200, encode(self.objects.find(r.kind, r.namespace, r.name))
        found = [each for each in self.objects.all(r.kind, r.namespace) if _selected(r, each)]
        start, limit = int(r.query.get("continue") or 0), int(r.query.get("limit") or 0) or len(found) + 1
        more = str(start + limit) if start + limit < len(found) else ""
        meta = {"resourceVersion": str(self.objects.version)} | ({"continue": more} if more else {})
        items = [_seen(r, item) for item in found[start : start + limit]]
        return 200, encode({"kind": "List", "apiVersion": "v1", "metadata": meta, "items": items})

    def _post(self, r: Request) -> tuple[int, bytes]:
        body = json.loads(r.body)
        if r.sub == "token":
            return 201, encode({"kind": "TokenRequest", "status": self._token(r, body["spec"])})
        return 201, encode(self.objects.create(r.kind, r.namespace, body, r.manager))

    def _put(self, r: Request) -> tuple[int, bytes]:
        return 200, encode(self.objects.replace(r.kind, r.namespace, r.name, json.loads(r.body), r.manager, sub=r.sub))

    def _patch(self, r: Request) -> tuple[int, bytes]:
        body = json.loads(r.body)
        if r.headers["content-type"] == "application/apply-patch+yaml":
            force = r.query.get("force") == "true"
            return 200, encode(self.objects.apply(r.kind, r.namespace, r.name, body, r.manager, force=force))
        return 200, encode(self.objects.merge(r.kind, r.namespace, r.name, body, r.manager, sub=r.sub))

    def _delete(self, r: Request) -> tuple[int, bytes]:
        return 200, encode(self.objects.delete(r.kind, r.namespace, r.name))

    def _token(self, r: Request, spec: Json) -> Json:
        account = self.objects.find(r.kind, r.namespace, r.name)
        self.tokens += 1
        now = int(time.time())
        claims = {
            "iss": "https://kubernetes.default.svc",
            "sub": f"system:serviceaccount:{r.namespace}:{r.name}",
            "aud": spec["audiences"],
            "exp": now + spec["expirationSeconds"],
            "iat": now,
            "jti": str(self.tokens),
            "kubernetes.io": {
                "namespace": r.namespace,
                "serviceaccount": {"name": r.name, "uid": account["metadata"]["uid"]},
            },
        }
        parts = [base64.urlsafe_b64encode(encode(part)).rstrip(b"=").decode() for part in ({"alg": "none"}, claims)]
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claims["exp"]))
        return {"token": ".".join([*parts, "c2ln"]), "expirationTimestamp": expires}

    # watches

    def _spread(self, kind: str, event: Event) -> None:
        for watch in list(self._watches):
            if watch.wants(kind, event):
                self._loop.call_soon_threadsafe(watch.lines.put_nowait, event)

    async def _watch(self, request: Request, writer: asyncio.StreamWriter) -> None:
        watch = _Watch(request)
        with self.objects.lock:
            try:
                past = self.objects.since(request.kind, int(request.query.get("resourceVersion") or 0))
            except Refused as refused:
                if self.gone_by_status:
                    raise
                past = [(0, "ERROR", refused.body)]
            for event in past:
                if event[1] == "ERROR" or watch.wants(request.kind, event):
                    watch.lines.put_nowait(event)
            self._watches.add(watch)
        request.status = 200
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            await self._stream(watch, writer)
        finally:
            self._watches.discard(watch)

    async def _stream(self, watch: "_Watch", writer: asyncio.StreamWriter) -> None:
        end = self._loop.time() + int(watch.request.query.get("timeoutSeconds") or 3600)
        while (left := end - self._loop.time()) > 0:
            try:
                event = await asyncio.wait_for(watch.lines.get(), min(left, self.bookmarks))
            except TimeoutError:
                event = self._bookmark(watch)
            if event is None:
                raise _Cut
            if not watch.stalled:
                line = encode({"type": event[1], "object": _seen(watch.request, event[2])}) + b"\n"
                writer.write(b"%x\r\n%s\r\n" % (len(line), line))
                await writer.drain()
        writer.write(b"0\r\n\r\n")

    def _bookmark(self, watch: "_Watch") -> Event:
        with self.objects.lock:  # whatever is on its way to this watch comes first
            version = self.objects.version if watch.lines.empty() else 0
        return version, "BOOKMARK", {"kind": "X", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}}


class _Watch:
    """One stream."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.lines: asyncio.Queue[Event | None] = asyncio.Queue()
        self.stalled = False

    def wants(self, kind: str, event: Event) -> bool:
        namespace = self.request.namespace
        if not _selected(self.request, event[2]):
            return False
        return kind == self.request.kind and namespace in ("", event[2]["metadata"].get("namespace"))


_METHODS: dict[str, Callable[[FakeApi, Request], tuple[int, bytes]]] = {
    "GET": FakeApi._get,
    "POST": FakeApi._post,
    "PUT": FakeApi._put,
    "PATCH": FakeApi._patch,
    "DELETE": FakeApi._delete,
}


async def _suffer(fault: Fault | None) -> None:
    if fault is None or fault.outcome == "lost":
        return
    if fault.outcome == "hang":
        await asyncio.sleep(3600)
    if isinstance(fault.outcome, int):
        raise Refused(fault.outcome, "Injected", message="SECRET-TEXT")
    raise _Cut


def _seen(request: Request, found: Json) -> Json:
    """Return an object, or only its metadata if that was asked for."""
    if "as=PartialObjectMetadata" not in request.headers.get("accept", "") or found.get("kind") == "Status":
        return found
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": found["metadata"]}


def _selected(request: Request, found: Json) -> bool:
    field, _, value = request.query.get("fieldSelector", "").partition("=")
    fields = {"metadata.name": found["metadata"].get("name"), "reason": found.get("reason")}
    return not field or fields[field] == value


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    path, _, query = target.partition("?")
    request = Request(method, path, dict(parse_qsl(query)), headers, body)
    if match := _PATH.fullmatch(path):
        request.kind = f"{match['base']}/{match['plural']}"
        request.namespace = unquote(match["ns"] or "")
        request.name = unquote(match["name"] or "")
        request.sub = match["sub"] or ""
    return request


def collection(plural: str) -> str:
    """Return the collection of a plural that keyferry knows."""
    bases = {
        "externalsecrets": "/apis/kubernetes-client.io/v1",
        "secretproviderclasses": "/apis/secrets-store.csi.x-k8s.io/v1",
        "leases": "/apis/coordination.k8s.io/v1",
        "deployments": "/apis/apps/v1",
        "statefulsets": "/apis/apps/v1",
        "daemonsets": "/apis/apps/v1",
        "csidrivers": "/apis/storage.k8s.io/v1",
        "customresourcedefinitions": "/apis/apiextensions.k8s.io/v1",
        "clusterroles": "/apis/rbac.authorization.k8s.io/v1",
        "secretproviderclasspodstatuses": "/apis/secrets-store.csi.x-k8s.io/v1",
    }
    return f"{bases.get(plural, '/api/v1')}/{plural}"


def kind_of(body: Json) -> str:
    """Return the collection of an object."""
    name = str(body["kind"]).lower()
    return collection(name + ("es" if name.endswith("s") else "s"))


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    with FakeApi(options.port, latency=options.latency, bookmarks=10.0) as api:
        print(api.url, flush=True)  # noqa: T201 - whoever started it reads the address here
        threading.Event().wait()


if __name__ == "__main__":
    main()
