#!/usr/bin/env python3
"""Make the folder that the image consists of: ``build.py PREFIX``.

PREFIX becomes a virtual environment of the Python that runs this script, with keyferry and its hashed lock in it, no
tool to install anything, AWS data of the services used alone, and byte-code for every module. It cannot be moved
afterwards. Needs the venv module with pip, and the package index; a failing step ends it with that step's exit code.
"""

import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
OURS = ("driver", "pyproject.toml", "README.md", "LICENSE")
SERVICES = {
    "secretsmanager": "secretsmanager",  # what keyferry calls
    "ssm": "ssm",
    "sts": "sts",
    "sso": "portal.sso",  # what boto3 calls for a profile of a person who is logged in
    "sso-oidc": "oidc",
    "signin": "signin",
}
"""The services whose AWS data stays: botocore's name of each and its name in ``endpoints.json``."""

EPOCH = 315_532_800
"""1980-01-01, the oldest time that every archive format can hold."""


def main() -> int:
    """Make the tree; return 2 if it cannot be begun."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        return _refuse("usage: build.py PREFIX")
    prefix = Path(sys.argv[1]).absolute()
    if prefix.exists() and (not prefix.is_dir() or any(prefix.iterdir())):
        return _refuse(f"{prefix} is not empty: choose another folder, or remove it")
    os.umask(0o022)  # the image's user is not the one who builds
    try:
        build(prefix)
    except subprocess.CalledProcessError as error:
        return _refuse(f"failed: {' '.join(map(str, error.cmd))}", error.returncode)
    return 0


def _refuse(text: str, code: int = 2) -> int:
    sys.stderr.write(f"{text}\n")
    return code


def build(prefix: Path) -> None:
    """Make the tree in an empty or missing folder. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory(prefix="keyferry-image-") as name:
        work = Path(name)
        tools = _tools(work)
        wheels = _wheel(work, tools)
        _run(sys.executable, "-m", "venv", "--without-pip", prefix)
        _install(tools, prefix, wheels)
    (packages,) = prefix.glob("lib/python3.*/site-packages")
    before = _bytes(prefix)
    trim(prefix, packages)
    for record in packages.glob("*.dist-info/RECORD"):
        _correct(record, packages)
    after = _bytes(prefix)
    # Nothing in the image ever changes, so the sources need not be looked at when a module is imported. They stay for
    # the lines of a traceback. A hash in place of a time also makes the same byte-code on every machine.
    mode = ("--invalidation-mode", "unchecked-hash")
    _run(prefix / "bin/python", "-m", "compileall", "-q", "-j", "0", *mode, packages)
    _settle(prefix)
    files = sum(1 for _ in _files(prefix))
    sys.stdout.write(f"{prefix}: {_bytes(prefix):.1f} MB in {files} files; {before:.1f} MB untrimmed, ")
    sys.stdout.write(f"{after:.1f} MB trimmed, the rest is byte-code\n")


def _tools(work: Path) -> Path:
    """Return a Python with pip, and setuptools of the lock: it builds, and is thrown away."""
    _run(sys.executable, "-m", "venv", work / "tools")
    entries = (SOURCE / "requirements/dev.txt").read_text().replace("\\\n", " ").splitlines()
    lock = work / "setuptools.txt"
    lock.write_text("\n".join(entry for entry in entries if entry.startswith("setuptools==")))
    python = work / "tools/bin/python"
    _run(python, *_pip("install"), "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", lock)
    return python


def _wheel(work: Path, tools: Path) -> Path:
    """Return the folder with keyferry's wheel. Made from a copy: setuptools leaves its traces in a checkout."""
    copy = work / "source"
    copy.mkdir()
    for name in OURS:
        path = SOURCE / name
        ignore = shutil.ignore_patterns("__pycache__")
        if path.is_dir():
            shutil.copytree(path, copy / name, ignore=ignore)
        else:
            shutil.copy(path, copy)
    _run(tools, *_pip("wheel"), "--no-deps", "--no-build-isolation", "--wheel-dir", work / "wheels", copy)
    return work / "wheels"


def _install(tools: Path, prefix: Path, wheels: Path) -> None:
    """Install what the lock names and our wheel, and nothing that only some wheel asks for."""
    pip = ("--python", prefix / "bin/python")
    into = (tools, *_pip(*pip, "install"), "--no-compile", "--no-deps", "--only-binary", ":all:")
    _run(*into, "--require-hashes", "-r", SOURCE / "requirements/runtime.txt")
    _run(*into, "--no-index", "--find-links", wheels, "keyferry")
    _run(tools, *_pip(*pip, "check"))


def _pip(*arguments: str | Path) -> tuple[str | Path, ...]:
    return ("-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def _run(*command: str | Path) -> None:
    epoch = {"SOURCE_DATE_EPOCH": str(_epoch())}
    subprocess.run(command, check=True, env={**os.environ, **epoch}, stdin=subprocess.DEVNULL)  # noqa: S603 - our own steps


def _epoch() -> int:
    return int(os.environ.get("SOURCE_DATE_EPOCH") or EPOCH)


def trim(prefix: Path, packages: Path) -> None:
    """Remove what keyferry never reads: the data of other AWS services, boto3's resources, scripts of dependencies."""
    data = packages / "botocore/data"
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in SERVICES:
            shutil.rmtree(folder)
    _trim_endpoints(data / "endpoints.json")
    for name in ("data", "examples"):
        shutil.rmtree(packages / "boto3" / name)
    for script in (prefix / "bin").iterdir():
        if script.name != "keyferry" and not script.name.startswith("python"):
            script.unlink()


def _trim_endpoints(path: Path) -> None:
    """Keep the used services in every partition: boto3 holds the whole file in memory once it makes a client."""
    endpoints = json.loads(path.read_text())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in SERVICES.values() if name in services}
    path.write_text(json.dumps(endpoints, separators=(",", ":")))


def _correct(record: Path, packages: Path) -> None:
    """Make a package's list of files true again: scanners and ``pip check`` compare it with what is there."""
    with record.open(newline="") as file:
        rows = list(csv.reader(file))
    there = [row for row in rows if (packages / row[0]).is_file()]
    with record.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            _entry(packages / name, name) if hashed else (name, "", "") for name, hashed, _ in there
        )


def _entry(path: Path, name: str) -> tuple[str, str, str]:
    content = path.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return name, f"sha256={digest}", str(len(content))


def _settle(prefix: Path) -> None:
    """Give every file the same time, so that two builds of one commit are the same bytes in a layer."""
    for path in (*prefix.rglob("*"), prefix):
        os.utime(path, (_epoch(), _epoch()), follow_symlinks=False)


def _files(prefix: Path) -> Iterator[Path]:
    return (path for path in prefix.rglob("*") if path.is_file() and not path.is_symlink())


def _bytes(prefix: Path) -> float:
    """Return the size of a tree's files in MB."""
    return sum(path.stat().st_size for path in _files(prefix)) / 1e6


if __name__ == "__main__":
    sys.exit(main())
