"""A small API server for the demo: get, list, watch, create, patch, over HTTP on the loopback interface.

It keeps what it is given and checks nothing but resourceVersions; server-side apply is a merge, since in the demo no
two managers apply the same field. kubernetes.io, "Kubernetes API Concepts".
"""

import base64
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """What a path is about: ``kind`` is ``/api/v1/secrets``; of a collection ``name`` is empty."""

    kind: str
    namespace: str
    name: str
    sub: str

    @classmethod
    def of(cls, path: str) -> "Resource":
        """Read a path; it is one that a client of the Kubernetes API makes."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        depth = 2 if parts[0] == "api" else 3
        base, rest = parts[:depth], parts[depth:]
        namespace = ""
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name, sub = [*rest, "", "", ""][:3]
        return cls("/" + "/".join([*base, plural]), namespace, name, sub)

    def has(self, other: "Resource") -> bool:
        """Tell whether a collection has an object."""
        return self.kind == other.kind and self.namespace in {"", other.namespace}


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason}


class Objects:
    """What the server keeps, and every change of it. Safe for many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._kept: dict[Resource, Json] = {}
        self._history: list[tuple[str, Resource, Json]] = []
        self._ended = False

    def get(self, asked: Resource) -> Json:
        """Return an object, or the list of a collection. Raises Refused."""
        with self._changed:
            if asked.name:
                return self._live(asked)
            items = [found for at, found in self._kept.items() if asked.has(at)]
            metadata = {"resourceVersion": str(len(self._history))}
        return {"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}

    def create(self, asked: Resource, body: Json) -> Json:
        """Add an object. Raises Refused."""
        at = Resource(asked.kind, asked.namespace, body["metadata"]["name"], "")
        with self._changed:
            if at in self._kept:
                raise Refused(409, "AlreadyExists")
            return self._keep(at, None, body)

    def patch(self, asked: Resource, body: Json, *, make: bool, keep: bool) -> Json:
        """Merge ``body`` into an object; ``make``: also one that is not there; not ``keep``: only say what would be.

        Raises Refused.
        """
        at = Resource(asked.kind, asked.namespace, asked.name, "")
        with self._changed:
            live = None if make and at not in self._kept else self._live(at)
            has = live["metadata"]["resourceVersion"] if live else None
            if body.get("metadata", {}).get("resourceVersion", has) != has:
                raise Refused(409, "Conflict")
            new: Json = _merged(live or {}, body)
            return self._keep(at, live, new) if keep else new

    def delete(self, asked: Resource) -> Json:
        """Remove an object, and with a namespace all that is in it. Raises Refused."""
        with self._changed:
            gone = self._live(asked)
            inside = asked.name if asked.kind == "/api/v1/namespaces" else None
            for at in [at for at in self._kept if at == asked or at.namespace == inside]:
                self._tell("DELETED", at, self._kept.pop(at))
        return gone

    def changes(self, asked: Resource, after: int, until: float) -> Iterator[tuple[str, Json]]:
        """Yield the changes of a collection after a version, until a moment of the monotonic clock."""
        while True:
            with self._changed:
                while len(self._history) == after and not self._ended and until > time.monotonic():
                    self._changed.wait(until - time.monotonic())
                found, after = self._history[after:], len(self._history)
            if not found:
                return
            yield from ((what, new) for what, at, new in found if asked.has(at))

    def end(self) -> None:
        """End all watches."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _live(self, asked: Resource) -> Json:
        found = self._kept.get(Resource(asked.kind, asked.namespace, asked.name, ""))
        if found is None:
            raise Refused(404, "NotFound")
        return found

    def _keep(self, at: Resource, live: Json | None, new: Json) -> Json:
        texts = new.pop("stringData", {}) if new.get("kind") == "Secret" else {}
        if texts:
            data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
            new = _merged(new, {"data": data})
        if new == live:
            return new
        moved = live is None or live.get("spec") != new.get("spec")
        before: Json = live["metadata"] if live else {"uid": str(uuid.uuid4()), "generation": 0}
        metadata = {
            **new["metadata"],
            "name": at.name,
            **({"namespace": at.namespace} if at.namespace else {}),
            "uid": before["uid"],
            "generation": before["generation"] + int(moved),
        }
        self._kept[at] = self._tell("MODIFIED" if live else "ADDED", at, {**new, "metadata": metadata})
        return self._kept[at]

    def _tell(self, what: str, at: Resource, found: Json) -> Json:
        """Give an object the next version, and let watches see it."""
        versioned = {**found, "metadata": {**found["metadata"], "resourceVersion": str(len(self._history) + 1)}}
        self._history.append((what, at, versioned))
        self._changed.notify_all()
        return versioned


def _merged(before: Any, patch: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return RFC 7386's merge; ``before`` stays as it is."""
    if not isinstance(patch, dict):
        return patch
    both = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            both.pop(name, None)
        else:
            both[name] = _merged(both.get(name), value)
    return both


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    objects: Objects

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        if query.get("watch"):
            self._watch(Resource.of(parts.path), query)
        else:
            self._answer(lambda: self.objects.get(Resource.of(parts.path)))

    def do_POST(self) -> None:
        body = self._body()
        self._answer(lambda: self.objects.create(Resource.of(urlsplit(self.path).path), body), 201)

    def do_PATCH(self) -> None:
        body = self._body()
        parts = urlsplit(self.path)
        apply = self.headers.get("Content-Type") == "application/apply-patch+yaml"
        keep = "dryRun" not in dict(parse_qsl(parts.query))
        self._answer(lambda: self.objects.patch(Resource.of(parts.path), body, make=apply, keep=keep))

    def do_DELETE(self) -> None:
        self._answer(lambda: self.objects.delete(Resource.of(urlsplit(self.path).path)))

    def _body(self) -> Json:
        found: Json = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _answer(self, act: Callable[[], Json], status: int = 200) -> None:
        try:
            found = act()
        except Refused as refused:
            status, found = refused.status, refused.body
        body = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, asked: Resource, query: Mapping[str, str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        until = time.monotonic() + float(query.get("timeoutSeconds", 60))
        for what, found in self.objects.changes(asked, int(query["resourceVersion"]), until):
            self._chunk(json.dumps({"type": what, "object": found}).encode() + b"\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in the base class
        if not isinstance(sys.exception(), ConnectionError):  # a client may go at any time
            super().handle_error(request, client_address)


@contextmanager
def serve(*manifests: Mapping[str, Any]) -> Iterator[str]:
    """Serve on a free port, with some objects to begin with, and yield the server's URL."""
    objects = Objects()
    for manifest in manifests:
        plural = f"{manifest['kind'].lower()}s"
        objects.create(Resource(f"/api/v1/{plural}", manifest["metadata"].get("namespace", ""), "", ""), dict(manifest))
    handler = type("Handler", (_Handler,), {"objects": objects})
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            objects.end()
            server.shutdown()
