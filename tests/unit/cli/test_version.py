import json

import pytest

from driver import __version__, cli

NAMES = ["keyferry", "driver API", "python", "grpcio", "protobuf", "protobuf implementation", "botocore"]


def test_all_that_a_report_needs_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version", "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(NAMES) <= set(found)
    assert (found["keyferry"], found["driver API"]) == (__version__, "v1alpha1")


def test_people_get_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(any(line.startswith(name) for line in lines) for name in NAMES)
