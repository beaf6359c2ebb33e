"""What is shipped may be shipped: every dependency's licence is known and allowed, and every one has a reason."""

import re
import tomllib
from email.message import Message
from importlib import metadata

import pytest

from tests.dependencies import Dependency, licence, locked
from tests.generated_docs import ROOT

PERMISSIVE = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0", "PSF-2.0"}
WEAK_COPYLEFT = {"MPL-2.0"}
"""For tools that are not shipped, unchanged."""


def choices(dependency: Dependency) -> set[str]:
    return set(re.split(r" AND | OR ", dependency.licence))


@pytest.mark.parametrize("dependency", [*locked("runtime")], ids=lambda d: d.name)
def test_what_is_in_the_image_has_a_permissive_licence(dependency: Dependency) -> None:
    assert choices(dependency) <= PERMISSIVE


@pytest.mark.parametrize("dependency", [*locked("dev")], ids=lambda d: d.name)
def test_what_develops_it_has_a_licence_that_allows_it(dependency: Dependency) -> None:
    assert choices(dependency) <= PERMISSIVE | WEAK_COPYLEFT


def test_every_direct_dependency_has_its_reason_in_the_docs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["demo"]]
    page = (ROOT / "docs/dependencies.md").read_text().lower()
    names = [re.split(r"[\[>=]", each)[0].lower() for each in (*wanted, *project["dependency-groups"]["dev"])]
    assert [name for name in names if not re.search(rf"^\| .*`{name}`.* \| .+ \|$", page, re.MULTILINE)] == []


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ({"License-Expression": "MIT AND BSD-2-Clause", "License": "x"}, "MIT AND BSD-2-Clause"),
        ({"License": "3-Clause BSD License"}, "BSD-3-Clause"),
        ({"License": "Dual", "Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        ({"License": "All rights reserved"}, "All rights reserved"),
        ({}, ""),
    ],
)
def test_a_licence_is_read_wherever_a_distribution_says_it(said: dict[str, str], understood: str) -> None:
    message = Message()
    for key, value in said.items():
        message[key] = value
    assert licence(metadata._adapters.Message(message)) == understood  # type: ignore[attr-defined] # metadata() reads files only


@pytest.mark.parametrize("name", ["runtime", "dev"])
def test_the_lock_names_hashes_and_no_address(name: str) -> None:
    lock = (ROOT / f"requirements/{name}.txt").read_text()
    assert len(re.findall(r"^[\w.-]+==", lock, re.MULTILINE)) == len(re.findall(r"==.*\\\n +--hash=sha256:", lock))
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", lock)
