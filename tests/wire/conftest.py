"""A provider on a real socket, whose values come from a stand-in."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import grpc
import pytest

from driver.handover import Calls
from driver.metrics import MountMetrics
from driver.model import Access, Deadline, Read, SecretRef, SecretValue, Source, Want
from driver.mount.provider import Limits, Outcome, Provider, Reports
from driver.mount.server import handlers
from driver.serving import ProviderSocket, drain, grpc_server
from tests.driverside import attributes, channel, mount, request

OBJECTS = [{"objectName": "db", "objectType": "secretsmanager"}]
RAW = request(attributes(OBJECTS))


class StubResolver:
    """Answers every want with the same content after ``seconds``; ``fails`` is raised instead, whatever it is."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.content = b"value"
        self.fails: BaseException | None = None
        self.deadlines: list[float] = []
        self.entered = threading.Semaphore(0)

    def resolve(self, access: Access, wants: Sequence[Want], deadline: Deadline) -> Mapping[SecretRef, Read]:
        self.deadlines.append(deadline.remaining())
        self.entered.release()
        time.sleep(self.seconds)
        if self.fails:
            raise self.fails
        return {w.ref: Read(w.ref, SecretValue(self.content, "arn:db", "v1"), Source.AWS, 0.0) for w in wants}


class Up:
    """A provider that serves, and what it reported."""

    def __init__(
        self,
        directory: Path,
        workers: int = 256,
        limits: Limits | None = None,
        audit: Callable[[bytes], object] = lambda _: None,
    ) -> None:
        self.resolver = StubResolver()
        self.metrics = MountMetrics()
        self.outcomes: list[Outcome] = []
        reports = Reports(self.metrics, audit, self.outcomes.append)
        self.provider = Provider(self.resolver, lambda _: "eu-west-1", reports, limits=limits)
        self.calls = Calls()
        self.server = grpc_server(handlers(lambda: self.provider), self.calls, workers=workers)
        self.socket = ProviderSocket(directory, "aws")
        assert self.socket.open(self.server)

    @property
    def path(self) -> Path:
        return self.socket.path

    def drain(self, grace: float = 10.0) -> int:
        return drain(self.server, self.socket, self.calls, grace=grace)

    def mount(self) -> bytes:
        with channel(self.path) as dialled:
            return mount(dialled, attributes(OBJECTS))["db"].contents


Start = Callable[..., Up]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start providers on the same path; all are stopped at the end."""
    started: list[Up] = []

    def one(**options: object) -> Up:
        started.append(Up(tmp_path, **options))  # type: ignore[arg-type]  # the test's own options
        return started[-1]

    yield one
    for up in started:
        up.socket.release()
        up.server.stop(0).wait()


@pytest.fixture
def up(start: Start) -> Up:
    return start()


@pytest.fixture
def dialled(up: Up) -> Iterator[grpc.Channel]:
    with channel(up.path) as open_channel:
        yield open_channel
