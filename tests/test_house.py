"""The project's own house: what contributors and GitHub are told is true."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import driver
from tests.docs.programs import TARGETS

ROOT = Path(driver.__file__).parents[1]
GITHUB = ROOT / ".github"
PEOPLE = [GITHUB / "CONTRIBUTING.md", GITHUB / "SECURITY.md", GITHUB / "PULL_REQUEST_TEMPLATE.md"]
every_page = pytest.mark.parametrize("page", PEOPLE, ids=lambda page: page.name)


@every_page
def test_every_make_target_that_people_are_told_of_exists(page: Path) -> None:
    told = re.findall(r"`make ([^`]+)`", page.read_text())
    assert {word for line in told for word in re.sub(r" (&&|\|).*", "", line).split()} <= TARGETS


@every_page
def test_every_link_and_every_path_leads_somewhere(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("https://")]
    paths = re.findall(r"`((?:tests|driver|deploy|docs|requirements)/[\w./-]*)`", text)
    assert all((GITHUB / link).exists() for link in links)
    assert all((ROOT / path).exists() for path in paths)


def workflow() -> dict[str, Any]:
    return yaml.safe_load((GITHUB / "workflows/ci.yaml").read_text())  # type: ignore[no-any-return] # a mapping, as below


def test_the_workflow_runs_what_contributors_run() -> None:
    runs = [step["run"] for job in workflow()["jobs"].values() for step in job["steps"] if "run" in step]
    assert ".ci/run" in runs
    assert {run.split()[1] for run in runs if run.startswith("make ")} <= TARGETS


def test_the_workflow_may_only_read() -> None:
    assert workflow()["permissions"] == {"contents": "read"}
    checkouts = [s for job in workflow()["jobs"].values() for s in job["steps"] if "checkout" in s.get("uses", "")]
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


def test_ci_calls_make_test_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".ci/run").read_text().splitlines() if not re.match(r"#|set |cd |$", line)]
    assert lines == ["exec make test"]


def test_make_check_runs_before_the_tests() -> None:
    told = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tools = re.findall(r"\.venv/bin/(ruff check|ruff format|mypy|lint-imports|pytest|python -m [\w.]+)", told)
    assert tools == [
        "ruff check",
        "ruff format",
        "mypy",
        "lint-imports",
        "python -m grpc_tools.protoc",
        "python -m tests.generated_docs",
        "python -m tests.rendered_manifests",
        "pytest",
    ]


def test_the_hooks_before_a_commit_are_tools_of_make_check() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    check = subprocess.run(["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for hook in repo["hooks"]:
        words = [word for word in shlex.split(hook["entry"]) if word != "--force-exclude"]
        assert " ".join(words) in check


@pytest.mark.parametrize("form", sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yaml")), ids=lambda form: form.name)
def test_every_issue_form_is_one_that_github_takes(form: Path) -> None:
    body = yaml.safe_load(form.read_text())
    assert form.name == "config.yaml" or ({"name", "description", "body"} <= body.keys())
    fields = [field["id"] for field in body.get("body", []) if field["type"] != "markdown"]
    assert len(fields) == len(set(fields))


def test_the_version_is_written_once() -> None:
    """Elsewhere it is read from there, or generated and compared."""
    files = [ROOT / "pyproject.toml", *(ROOT / "driver").rglob("*.py")]
    assert [file for file in files if f'"{driver.__version__}"' in file.read_text()] == [ROOT / "driver/__init__.py"]


CHANGES = (ROOT / "CHANGELOG.md").read_text()


def test_the_changelog_is_as_keep_a_changelog_says() -> None:
    releases = re.findall(r"^## (.+)$", CHANGES, re.MULTILINE)
    assert releases[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", release) for release in releases[1:])
    kinds = set(re.findall(r"^### (.+)$", CHANGES, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
