"""What the Dockerfile says; that its build steps work is in test_image."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from driver import __version__
from driver.config import PROVIDER_OPTIONS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy/image/build.py"
TREE = "/opt/keyferry"


def stages() -> list[list[tuple[str, str]]]:
    """Return the stages: instructions with their text. What stands before the first FROM is stage 0."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[list[tuple[str, str]]] = [[]]
    for line in text.splitlines():
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            found.append([])
        if name:
            found[-1].append((name, " ".join(rest.split())))
    return found


ARGUMENTS, BUILD, FINAL = stages()
"""There are two stages, as unpacking this shows."""


def said(stage: list[tuple[str, str]], name: str) -> list[str]:
    return [rest for word, rest in stage if word == name]


def test_both_stages_stand_on_one_debian_slim_that_a_release_can_pin() -> None:
    assert ARGUMENTS == [("ARG", "DEBIAN=debian:trixie-slim")]
    assert said(BUILD, "FROM") == ["${DEBIAN} AS build"]
    assert said(FINAL, "FROM") == ["${DEBIAN}"]


def test_the_script_is_the_only_step_that_makes_something() -> None:
    system, script = said(BUILD, "RUN")
    assert system == "apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv"
    assert json.loads(script) == ["python3", "/src/deploy/image/build.py", TREE]


def test_the_image_is_debian_with_python_and_the_tree() -> None:
    (run,) = said(FINAL, "RUN")
    assert re.findall(r"apt-get install --yes --no-install-recommends ([^&]+?) &&", run) == ["python3"]
    assert said(FINAL, "COPY") == [f"--from=build {TREE} {TREE}"]
    assert not said(FINAL, "ADD") + said(FINAL, "VOLUME") + said(FINAL, "HEALTHCHECK")


def test_it_starts_keyferry_without_a_shell_as_nobody_in_particular() -> None:
    assert json.loads(said(FINAL, "ENTRYPOINT")[0]) == [f"{TREE}/bin/keyferry"]
    assert json.loads(said(FINAL, "CMD")[0]) == ["--help"]
    assert said(FINAL, "USER") == ["65532:65532"]
    assert said(FINAL, "STOPSIGNAL") == ["SIGTERM"]


def test_its_environment_is_the_measured_one() -> None:
    assert dict(re.findall(r"(\w+)=(\S+)", said(FINAL, "ENV")[0])) == {
        "MALLOC_ARENA_MAX": "2",
        "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
        "PATH": f"{TREE}/bin:/usr/local/bin:/usr/bin:/bin",
    }


def test_the_port_is_that_of_the_metrics() -> None:
    (default,) = {option.default for option in PROVIDER_OPTIONS if option.name == "metrics-address"}
    assert [str(default).rpartition(":")[2]] == said(FINAL, "EXPOSE")


def test_its_labels_say_what_it_is() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', said(FINAL, "LABEL")[0]))
    project = (ROOT / "pyproject.toml").read_text()
    assert labels.keys() == {"title", "description", "licenses", "base.name", "version", "revision", "source"}
    assert all(f'{key} = "{labels[of]}"' in project for key, of in (("description",) * 2, ("license", "licenses")))
    assert {name for value in labels.values() for name in re.findall(r"\$\{(\w+)\}", value)} <= {
        text.partition("=")[0] for text in said(FINAL, "ARG")
    }


def kept() -> list[str]:
    """Return what .dockerignore lets through: everything is out, then some is in again, but for these two."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert (lines[0], lines[-2:]) == ("*", ["**/__pycache__", "**/.*"])
    return [line.removeprefix("!") for line in lines[1:-2]]


def copy_context(folder: Path) -> None:
    """Copy what Docker's builder gets."""
    for name in kept():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / name, folder / name)


def test_the_builder_gets_the_product_and_its_lock_alone() -> None:
    assert set(kept()) == {"LICENSE", "README.md", "pyproject.toml", "requirements", "driver", "deploy/image"}


def test_make_image_names_the_version() -> None:
    told = subprocess.run(["make", "-n", "image"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"--tag keyferry:{__version__} " in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "usage: build.py PREFIX"), (["--help"], "usage: build.py PREFIX"), (["."], "is not empty")],
    ids=["no prefix", "a flag", "a folder in use"],
)
def test_the_script_refuses_what_it_cannot_build_into(arguments: list[str], words: str) -> None:
    told = subprocess.run([sys.executable, SCRIPT, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert words in told.stderr
