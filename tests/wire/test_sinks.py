"""Mounts go on when logs and audit records cannot be written (scenario 40)."""

import os
from collections.abc import Iterator

import pytest

from driver.errors import NotFound
from driver.telemetry import Sink, log_to
from tests.driverside import MOUNT, channel
from tests.wire.conftest import RAW, Start, Up


@pytest.fixture(params=["stuck reader", "full disk", "broken pipe"])
def descriptor(request: pytest.FixtureRequest) -> Iterator[int]:
    reader, writer = os.pipe()
    if request.param == "full disk":
        os.close(writer)
        writer = os.open("/dev/full", os.O_WRONLY)
    if request.param == "broken pipe":
        os.close(reader)
        yield writer
        os.close(writer)
        return
    yield writer
    os.close(reader)
    os.close(writer)


def mounts(up: Up, number: int) -> list[str]:
    with channel(up.path) as dialled:
        call = dialled.unary_unary(MOUNT, request_serializer=bytes, response_deserializer=bytes)
        futures = [call.future(RAW, timeout=20) for _ in range(number)]
        return [future.code().name for future in futures]


def test_40_no_mount_waits_for_a_reader(descriptor: int, start: Start) -> None:
    lost: list[int] = []
    sink = Sink(descriptor, dropped=lost.append, capacity=100_000)
    up = start(audit=sink.write)
    undo = log_to(sink, form="json")
    try:
        assert mounts(up, 500) == ["OK"] * 500
        up.resolver.fails = NotFound("db" * 100, "c", "r")
        assert mounts(up, 1_000) == ["NOT_FOUND"] * 1_000
    finally:
        undo()
        sink.close(timeout=0.2)
    assert sum(lost) > 100
