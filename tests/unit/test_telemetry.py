"""Logs and audit lines: how they look, and that they never hold anything up (scenario 40)."""

import ast
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import driver
from driver.errors import NotFound
from driver.telemetry import KEYS, Sink, log_to, trace

log = logging.getLogger("driver.test")


class Pipe:
    """A pipe, a sink into it, and the lines that were dropped."""

    def __init__(self, capacity: int = 1 << 20) -> None:
        self.reader, self.writer = os.pipe()
        self.dropped = 0
        self.sink = Sink(self.writer, dropped=self._drop, capacity=capacity, linger=0.001)

    def _drop(self, lines: int) -> None:
        self.dropped += lines

    def read(self) -> bytes:
        """Return all that was written, once the sink is closed."""
        assert self.sink.close()
        os.close(self.writer)
        with os.fdopen(self.reader, "rb") as reader:
            return reader.read()


def test_lines_arrive_in_order_and_whole() -> None:
    pipe = Pipe()
    for number in range(1_000):
        assert pipe.sink.write(b"%d\n" % number)
    assert pipe.read() == b"".join(b"%d\n" % number for number in range(1_000))
    assert pipe.dropped == 0


def test_40_a_stuck_reader_costs_lines_that_are_counted_and_no_time() -> None:
    """100 % of 100,000 lines are accounted for: delivered or dropped."""
    pipe = Pipe(capacity=100_000)
    began = time.monotonic()
    taken = sum(pipe.sink.write(b"x" * 99 + b"\n") for _ in range(100_000))
    assert time.monotonic() - began < 5
    assert pipe.dropped == 100_000 - taken > 0
    with os.fdopen(pipe.reader, "rb") as reader:
        assert len([reader.readline() for _ in range(taken)]) == taken
    assert pipe.sink.close()


def test_40_a_reader_that_stays_stuck_does_not_hold_up_the_end() -> None:
    pipe = Pipe()
    pipe.sink.write(b"x" * 200_000 + b"\n")
    began = time.monotonic()
    assert not pipe.sink.close(timeout=0.2)
    assert time.monotonic() - began < 1
    with os.fdopen(pipe.reader, "rb") as reader:
        assert len(reader.readline()) == 200_001
    assert pipe.sink.close()


@pytest.mark.parametrize("path", ["/dev/full", "closed pipe"])
def test_40_a_full_disk_or_a_broken_pipe_is_counted(path: str) -> None:
    dropped: list[int] = []
    if path == "/dev/full":
        writer = os.open(path, os.O_WRONLY)
    else:
        reader, writer = os.pipe()
        os.close(reader)
    sink = Sink(writer, dropped=dropped.append, linger=0)
    for _ in range(10):
        assert sink.write(b"a\nb\n")
    assert sink.close()
    assert sum(dropped) == 20


def test_a_descriptor_that_does_not_block_is_waited_for() -> None:
    pipe = Pipe()
    os.set_blocking(pipe.writer, False)
    pipe.sink.write(b"x" * 200_000 + b"\n")
    with os.fdopen(pipe.reader, "rb") as reader:
        assert len(reader.readline()) == 200_001
    assert pipe.dropped == 0
    assert pipe.sink.close()


@contextmanager
def logging_to(form: str, level: str = "info") -> Iterator[list[str]]:
    """Log through a pipe; the lines are in the list after the block."""
    pipe, lines = Pipe(), list[str]()
    undo = log_to(pipe.sink, level=level, form=form)
    try:
        yield lines
    finally:
        undo()
        lines.extend(pipe.read().decode().splitlines())


def test_json_lines_have_fixed_keys() -> None:
    with logging_to("json") as lines:
        log.warning("Mount refused", extra={"pod": "a", "code": "NOT_FOUND"})
    found = json.loads(lines[0])
    assert found.pop("time").endswith("+00:00")
    assert found == {
        "level": "WARNING",
        "logger": "driver.test",
        "message": "Mount refused",
        "pod": "a",
        "code": "NOT_FOUND",
    }


def test_text_lines_are_for_people() -> None:
    with logging_to("text") as lines:
        log.info("drained", extra={"connections_cut": 2})
    assert lines[0][9:] == "INFO    drained connections_cut=2"


@pytest.mark.parametrize("form", ["json", "text"])
def test_03_a_traceback_has_frames_and_types_but_no_foreign_text(form: str) -> None:
    with logging_to(form) as lines:
        try:
            try:
                int("s3cret" + "-value")
            except ValueError as error:
                raise RuntimeError("t0ken") from error
        except RuntimeError:
            log.exception("a Mount failed")
    text = "\n".join(lines)
    assert "builtins.ValueError" in text
    assert "builtins.RuntimeError" in text
    assert "s3cret-value" not in text
    assert "builtins.RuntimeError: t0ken" not in text


def test_our_own_errors_keep_their_text_in_a_traceback() -> None:
    assert trace(NotFound("db", "why", "what")) == "driver.errors.NotFound: db: why: what"


def test_one_line_stays_one_line() -> None:
    with logging_to("json") as lines:
        log.warning("a\nb", extra={"status": "c\nd"})
    assert len(lines) == 1


def test_libraries_never_speak_below_warning() -> None:
    """At DEBUG botocore prints requests with tokens in them."""
    with logging_to("json", "debug") as lines:
        logging.getLogger("botocore.endpoint").debug("token")
        logging.getLogger("urllib3").info("token")
        log.debug("ours")
    assert [json.loads(line)["message"] for line in lines] == ["ours"]


def test_a_line_that_cannot_be_formatted_is_reported_and_harms_nobody() -> None:
    with logging_to("json") as lines:
        log.warning("%d", "not a number")
    assert json.loads(lines[0])["message"] == "a log line could not be written"


def test_undo_puts_everything_back() -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    with logging_to("json"):
        assert root.handlers != before[0]
    assert (root.handlers, root.level) == before


def keys_of_lines() -> Iterator[str]:
    """Yield the keys that log calls of the package give beside their message."""
    for path in Path(driver.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.keyword) and call.arg == "extra":
                yield from (key.value for key in literal_keys(call.value) if isinstance(key.value, str))


def literal_keys(node: ast.AST) -> Iterator[ast.Constant]:
    for each in ast.walk(node):
        if isinstance(each, ast.Dict):
            yield from (key for key in each.keys if isinstance(key, ast.Constant))


def test_every_key_of_a_log_line_has_its_meaning() -> None:
    found = set(keys_of_lines())
    assert found
    assert found - KEYS.keys() == set()
