"""An API server stand-in in a process of its own, which lines of JSON tell what to do."""

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from tests.fakeapi import FakeApi, collection
from tests.fakeobjects import Json
from tests.syncside import external_secret, named

NAMESPACE = "shop"


class Cluster:
    """The bench's end: every method is a line to the process, and its line in return."""

    def __init__(self, asked: IO[str], told: IO[str]) -> None:
        self._asked = asked
        self._told = told
        self.url = told.readline().strip()

    def _ask(self, *words: object) -> Any:
        print(json.dumps(words), file=self._asked, flush=True)
        return json.loads(self._told.readline())

    def make(self, objects: Iterable[Json]) -> None:
        """Apply objects."""
        self._ask("make", list(objects))

    def remove(self) -> None:
        """Delete all ExternalSecrets, and so the Secrets that they own."""
        self._ask("remove")

    def edit(self, name: str) -> None:
        """Overwrite a Secret's password by hand."""
        self._ask("edit", name)

    def having(self, password: str) -> int:
        """Return how many Secrets have a password."""
        return int(self._ask("having", b64encode(password.encode()).decode()))

    def ready(self) -> int:
        """Return how many ExternalSecrets have a status that says success."""
        return int(self._ask("ready"))

    def refuse(self) -> None:
        """Refuse connections and cut all there are."""
        self._ask("refuse")

    def accept(self) -> None:
        """Take connections again."""
        self._ask("accept")

    def writes(self) -> int:
        """Return the writes so far."""
        return int(self._ask("writes"))

    def requests(self) -> int:
        """Return the requests so far."""
        return int(self._ask("requests"))


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run the stand-in while the context lasts."""
    command = [sys.executable, "-m", "tests.bench.cluster"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield Cluster(process.stdin, process.stdout)
        finally:
            process.terminate()


def of_secret(name: str, key: str) -> Json:
    """Return an ExternalSecret with two items of one AWS secret."""
    return external_secret(name, *({"key": key, "name": one, "property": one} for one in ("username", "password")))


def _make(api: FakeApi, objects: Iterable[Json]) -> None:
    for each in objects:
        api.put(each)


def _remove(api: FakeApi) -> None:
    for each in api.all("externalsecrets"):
        api.delete("externalsecrets", NAMESPACE, each["metadata"]["name"])


def _edit(api: FakeApi, name: str) -> None:
    body = {"data": {"password": b64encode(b"by hand").decode()}}
    api.objects.merge(collection("secrets"), NAMESPACE, name, body, "kubectl")


def _having(api: FakeApi, encoded: str) -> int:
    return sum(each.get("data", {}).get("password") == encoded for each in api.all("secrets"))


def _ready(api: FakeApi) -> int:
    return sum(each.get("status", {}).get("status") == "SUCCESS" for each in api.all("externalsecrets"))


_ACTS: dict[str, Callable[..., object]] = {
    "make": _make,
    "remove": _remove,
    "edit": _edit,
    "having": _having,
    "ready": _ready,
    "refuse": FakeApi.refuse,
    "accept": FakeApi.accept,
    "writes": lambda api: len(api.writes()),
    "requests": lambda api: len(api.requests),
}


def main() -> None:
    """Serve until stdin ends."""
    with FakeApi(bookmarks=10.0) as api:
        api.put(named("Namespace", NAMESPACE))
        print(api.url, flush=True)
        for line in sys.stdin:
            what, *rest = json.loads(line)
            print(json.dumps(_ACTS[what](api, *rest)), flush=True)


if __name__ == "__main__":
    main()
