"""The sync door at work against the API server stand-in, with a scripted AWS behind a real Resolver."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from driver.fanout import Fanout
from driver.kube import Cluster
from driver.model import Store
from driver.resolve import Lifetimes, Resolver
from driver.sync.cluster import Api
from driver.sync.controller import Controller
from driver.sync.leader import Leader
from tests.fakeapi import FakeApi
from tests.fakeobjects import Json
from tests.fakes import FakeAuth, FakeBackend, value
from tests.rights import check

REGION = "eu-west-1"


def until(true: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.005)


def external_secret(name: str, *data: Json, namespace: str = "shop", **spec: Any) -> Json:
    """Return an ExternalSecret; keyword ``annotations`` becomes its annotations."""
    annotations = spec.pop("annotations", {})
    return {
        "apiVersion": "kubernetes-client.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"backendType": "secretsManager", "data": list(data), **spec},
    }


def secret(name: str, *, namespace: str = "shop", **fields: Any) -> Json:
    """Return a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, **fields}


def named(kind: str, name: str, namespace: str = "", **annotations: str) -> Json:
    """Return an object of which only metadata matters."""
    where = {"namespace": namespace} if namespace else {}
    spelled = {key.replace("__", "/").replace("_", "-"): text for key, text in annotations.items()}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **where, "annotations": spelled}}


class Lab:
    """A cluster with the namespace ``shop``, AWS as scripted in ``aws.outcomes``, and controllers."""

    def __init__(self, api: FakeApi, *, fresh: float = 0.1, refused: float = 0.1) -> None:
        self.api = api
        self.auth = FakeAuth(time.monotonic)
        self.aws = FakeBackend()
        backends = dict.fromkeys(Store, self.aws)
        self.fanout = Fanout(8)
        lifetimes = Lifetimes(fresh=fresh, refused=refused, unavailable=refused / 2)
        self.resolver = Resolver(auth=self.auth, backends=backends, fanout=self.fanout, lifetimes=lifetimes)
        self.client = Api(Cluster(api.url))
        api.put(named("Namespace", "shop"))

    def store(self, name: str, content: str | Json, version: str = "v1") -> None:
        """Put a value into AWS."""
        text = content if isinstance(content, str) else json.dumps(content)
        self.aws.outcomes[name] = value(text, version=version, arn=f"arn:{name}")

    def controller(self, *, leader: Leader | None = None, interval: float = 0.3, **settings: Any) -> Controller:
        """Return a controller that is not running."""
        defaults: dict[str, Any] = {"region": REGION, "workers": 2, "fanout": self.fanout}
        return Controller(self.client, self.resolver, leader=leader, interval=interval, **(defaults | settings))

    @contextmanager
    def running(self, **settings: Any) -> Iterator[Controller]:
        """Run a controller."""
        controller = self.controller(**settings)
        stop = threading.Event()
        thread = threading.Thread(target=controller.run, args=(stop,))
        thread.start()
        try:
            yield controller
        finally:
            stop.set()
            thread.join(10)
        assert not thread.is_alive()
        check("keyferry-sync", self.api.requests)

    def reads(self) -> int:
        """Return how many calls AWS got for values, twenty to a call."""
        return sum(-(-len(refs) // 20) for _, refs in self.aws.calls)

    def status(self, name: str, namespace: str = "shop") -> Json:
        """Return an ExternalSecret's status."""
        found: Json = (self.api.get("externalsecrets", namespace, name) or {}).get("status") or {}
        return found

    def events(self) -> list[str]:
        """Return the Events so far, as ``Type Reason: message``."""
        return [f"{e['type']} {e['reason']}: {e['message']}" for e in self.api.all("events")]
