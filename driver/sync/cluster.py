"""The Kubernetes calls of the sync door: list, watch, get, apply, patch, TokenRequest, Lease.

Built on the light client's own parts (``driver.kube.Cluster``: where the API server is, token read again at each call)
instead of a client library. The official package cannot be installed beside botocore (dateutil); lightkube costs 15
packages and +10 MB, does not take a 410 at the start of a watch for what it is, and knows no bookmarks. What is left of
a client once watch, list and Lease are one's own is this file. Objects are decoded into the few fields that a caller
names (``form``); all else, ``managedFields`` first, is skipped without being built.

kubernetes.io, "Kubernetes API Concepts": chunked lists, watches, 410 Gone, PartialObjectMetadata, Server-Side Apply.
"""

import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

import msgspec
import urllib3

from driver.errors import Unavailable
from driver.kube import Cluster
from driver.model import Clock, Deadline, Token
from driver.sync.answers import Page, changes, decoded, refusal, silent
from driver.sync.kinds import ACCOUNTS, PODS, Header, Resource
from driver.sync.plan import FIELD_MANAGER

ATTEMPT = 4.0
"""Seconds that a call may take in all: less than lies between the end of our leadership and the start of another's."""

PAGE = 500
"""Objects in one answer of a list."""

T = TypeVar("T")
Json = Mapping[str, Any]


class Api:
    """The calls. Lives as long as the process; safe for many threads.

    Every call raises NotFound, AccessDenied, IdentityRefused, InvalidInput, TooLarge, Conflict, Gone, Throttled or
    Unavailable, and takes at most ``attempt`` seconds but for watches.
    """

    def __init__(
        self, cluster: Cluster, *, attempt: float = ATTEMPT, page: int = PAGE, clock: Clock = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._attempt = attempt
        self._page = page
        self._clock = clock
        self._pool = _pool(cluster.server, cluster.tls)

    def list(
        self, resource: Resource, form: type[T], *, namespace: str = "", fields: str = ""
    ) -> Iterator[tuple[list[T], str]]:
        """Yield the objects of a kind in pages, each with the resourceVersion from which to watch.

        ``fields`` is a field selector (``metadata.name=x``), empty for all.
        """
        decoder = msgspec.json.Decoder(Page[form])  # type: ignore[valid-type]  # a type made at run time
        more = ""
        while True:
            query = {"limit": str(self._page), "continue": more, "fieldSelector": fields}
            path = f"{resource.path(namespace)}?{_query(query)}"
            page = decoded(decoder, self._send("GET", path, resource.plural, accept=_accept(form, "List")), path)
            yield page.items or [], page.metadata.resource_version
            more = page.metadata.continue_
            if not more:
                return

    def watch(
        self,
        resource: Resource,
        form: type[T],
        version: str,
        *,
        seconds: float,
        silence: float,
        namespace: str = "",
        fields: str = "",
    ) -> Iterator[tuple[str, T | None, str]]:
        """Yield the changes after ``version``: type, object and its resourceVersion.

        OPEN, which comes first, and BOOKMARK have no object.
        Ends when the API server ends it (after about ``seconds``). Raises Unavailable when no byte comes for
        ``silence`` seconds or the connection breaks, Gone when the version is too old.
        """
        query = {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(seconds)),
            "fieldSelector": fields,
        }
        path = f"{resource.path(namespace)}?{_query(query)}"
        decoder = msgspec.json.Decoder(form)
        timeout = urllib3.Timeout(connect=self._attempt, read=silence)
        try:
            headers = self._headers(_accept(form, ""))
            response = self._pool.urlopen(
                "GET", path, None, headers, timeout=timeout, redirect=False, preload_content=False
            )
            try:
                if response.status >= 400:
                    raise refusal(response.status, response.read(), resource.plural)
                yield "OPEN", None, version
                yield from changes(response, decoder, resource.plural)
            finally:
                response.close()  # never back into the pool: there may be more to come on it
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise silent(resource.plural, error) from None

    def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """Return an object."""
        return self._json("GET", resource.path(namespace, name), _subject(resource, namespace, name))

    def page(self, namespace: str, pod: str, port: int, name: str) -> tuple[int, str]:
        """Return status and text of a page that a pod serves over HTTP, through the API server (``pods/proxy``).

        Raises AccessDenied when that may not be done, Unavailable when the API server does not answer.
        """
        path = f"{PODS.path(namespace, pod)}:{port}/proxy/{name}"
        try:
            response = self._pool.urlopen(
                "GET", path, None, self._headers("*/*"), timeout=self._attempt, redirect=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise silent(f"pod {namespace}/{pod}", error) from None
        if response.status in (401, 403):
            raise refusal(response.status, response.data, f"pod {namespace}/{pod}")
        return response.status, response.data.decode(errors="replace")

    def apply(self, resource: Resource, namespace: str, name: str, body: Json, *, force: bool = False) -> Json:
        """Create or change the fields in ``body`` (server-side apply) and return the object.

        Fields that keyferry set before and that are not in ``body`` go. Raises Conflict, and changes nothing, when
        another manager owns one of them with another value (unless ``force``), or ``body`` has an old resourceVersion.
        """
        query = urlencode({"fieldManager": FIELD_MANAGER, "force": str(force).lower()})
        path = f"{resource.path(namespace, name)}?{query}"
        return self._json("PATCH", path, _subject(resource, namespace, name), body, "application/apply-patch+yaml")

    def merge(self, resource: Resource, namespace: str, name: str, body: Json, *, sub: str = "") -> Json:
        """Merge ``body`` into an object or into its subresource (``sub``: for example ``status``) and return it."""
        path = f"{resource.path(namespace, name, sub)}?{urlencode({'fieldManager': FIELD_MANAGER})}"
        return self._json("PATCH", path, _subject(resource, namespace, name), body, "application/merge-patch+json")

    def create(self, resource: Resource, namespace: str, body: Json) -> Json:
        """Create an object and return it. Raises Conflict if there is one."""
        path = f"{resource.path(namespace)}?{urlencode({'fieldManager': FIELD_MANAGER})}"
        return self._json("POST", path, f"{resource.plural} of {namespace}", body)

    def replace(self, resource: Resource, namespace: str, name: str, body: Json) -> Json:
        """Replace an object whose resourceVersion is the one in ``body`` and return it; else raise Conflict."""
        path = f"{resource.path(namespace, name)}?{urlencode({'fieldManager': FIELD_MANAGER})}"
        return self._json("PUT", path, _subject(resource, namespace, name), body)

    def create_token(self, namespace: str, account: str, audience: str, seconds: int) -> Token:
        """Return a new token of a service account (TokenRequest, authentication.k8s.io/v1), asked for ``seconds``."""
        subject = f"token of service account {namespace}/{account}"
        body = {"spec": {"audiences": [audience], "expirationSeconds": seconds}}
        answer = self._json("POST", ACCOUNTS.path(namespace, account, "token"), subject, body)
        status = answer.get("status")
        token = status.get("token") if isinstance(status, dict) else None
        if not isinstance(token, str) or not token:
            raise Unavailable(subject, "the API server sent no token", "check the API server")
        return Token(token)

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": FIELD_MANAGER}
        if self._cluster.token is not None:
            headers["Authorization"] = f"Bearer {self._cluster.token()}"
        return headers

    def _json(
        self, method: str, path: str, subject: str, body: Json | None = None, content: str = "application/json"
    ) -> Json:
        payload = msgspec.json.encode(body) if body is not None else None
        answer = self._send(method, path, subject, payload=payload, content=content)
        return cast("Json", decoded(msgspec.json.Decoder(dict[str, Any]), answer, subject))

    def _send(
        self,
        method: str,
        path: str,
        subject: str,
        *,
        payload: bytes | None = None,
        content: str = "",
        accept: str = "application/json",
    ) -> bytes:
        deadline = Deadline(self._attempt, self._clock)
        last: Exception | None = None
        for _ in range(2):  # twice: a kept connection may have been closed at the other end
            try:
                headers = self._headers(accept) | ({"Content-Type": content} if payload is not None else {})
                seconds = max(0.1, deadline.remaining())
                response = self._pool.urlopen(method, path, payload, headers, timeout=seconds, redirect=False)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                last = error
                if deadline.remaining() <= 0:
                    break
                continue
            if response.status >= 400:
                raise refusal(response.status, response.data, subject)
            return response.data
        raise silent(subject, last)


def _query(fields: Mapping[str, str]) -> str:
    return urlencode({name: text for name, text in fields.items() if text})


def _pool(server: str, tls: ssl.SSLContext | None) -> urllib3.HTTPConnectionPool:
    settings: dict[str, Any] = {"retries": False, "maxsize": 32, "block": False}
    if tls is not None:
        settings["ssl_context"] = tls
    return urllib3.connection_from_url(server, **settings)


def _accept(form: type[Any], suffix: str) -> str:
    if getattr(form, "__struct_fields__", ()) != Header.__struct_fields__:
        return "application/json"
    return f"application/json;as=PartialObjectMetadata{suffix};g=meta.k8s.io;v=v1"


def _subject(resource: Resource, namespace: str, name: str) -> str:
    return f"{resource.plural} {namespace}/{name}"
