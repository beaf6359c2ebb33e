"""The newcomer's first sight, as a newcomer starts it: in a process of its own, from another folder."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from driver.cli import demo
from driver.errors import InvalidInput

COMMAND = [sys.executable, "-m", "driver", "demo"]


@pytest.mark.timeout(60)
def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    """Also with AWS settings of the user's own around, which it must not use."""
    mine = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "us-west-1", "HTTP_PROXY": "http://127.0.0.1:1"}
    done = subprocess.run(
        COMMAND, cwd=tmp_path, env=os.environ | mine, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert re.search(r"database-password +0400 +12 +\S+ +old-password", done.stdout)
    assert "old-password → new-password" in done.stdout
    assert "5 of 5 reads from memory" in done.stdout
    assert "keyferry: shop/databse: it does not exist" in done.stdout
    assert "exit code 0" in done.stdout
    took = re.search(r"All was as it should be, in ([0-9.]+) s", done.stdout)
    assert took
    assert float(took[1]) < 15


@pytest.mark.timeout(60)
def test_a_demo_that_is_told_to_end_leaves_nothing_running() -> None:
    running = subprocess.Popen([*COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout
    shown = ""
    while not (found := re.search(r"process (\d+), serves (\S+)", shown)):
        line = running.stdout.readline()
        assert line, running.communicate()[1]
        shown += line
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=30)
    assert running.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(found[1]), 0)
    assert not Path(found[2]).parent.exists()


def test_without_the_example_it_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="run it from a checkout"):
        demo._read(tmp_path / "none.yaml")


def test_another_file_is_not_taken_for_the_example(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(demo._EXAMPLE.read_text().replace("shop/mail", "shop/post"))
    with pytest.raises(InvalidInput, match="not the demo's example"):
        demo._read(tmp_path / "other.yaml")


def test_without_moto_it_says_how_to_install_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['moto.server'] = None; from driver.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == 2
    assert "pip install 'keyferry[demo]'" in done.stderr
