"""The documents say what the program does: generated tables, links, manifests and command lines are checked."""

import argparse
import importlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from driver import errors
from driver.cli import COMMANDS, lint
from driver.config import PROVIDER_OPTIONS
from driver.errors import KeyferryError
from driver.metrics import METRICS
from driver.spc.fields import EXTRACT_FIELDS, FAILOVER_FIELDS, OBJECT_FIELDS
from driver.spc.settings import PARAMETERS
from tests.generated_docs import PAGES, ROOT, TABLES, error_meanings, updated

TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in (*PAGES, ROOT / "CHANGELOG.md")}
every_page = pytest.mark.parametrize("page", TEXTS)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str, *languages: str) -> list[str]:
    return [body for language, body in _FENCE.findall(TEXTS[page]) if language in languages]


@every_page
def test_generated_tables_are_up_to_date(page: str) -> None:
    """``make docs`` brings them up to date."""
    assert updated(TEXTS[page]) == TEXTS[page]


def test_every_table_is_somewhere() -> None:
    assert {name for text in TEXTS.values() for name in re.findall(r"<!-- table: (\w+) -->", text)} == set(TABLES)


@pytest.mark.parametrize("name", [option.flag for option in PROVIDER_OPTIONS] + [metric.name for metric in METRICS])
def test_every_setting_and_every_metric_is_in_the_readme(name: str) -> None:
    assert f"`{name}" in TEXTS["README.md"]


def test_every_error_is_in_the_tree_of_its_module() -> None:
    own = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, KeyferryError)}
    assert {kind for kind, _ in error_meanings()} == own - {KeyferryError}


@pytest.mark.parametrize("name", [*PARAMETERS, *OBJECT_FIELDS, *EXTRACT_FIELDS, *FAILOVER_FIELDS])
def test_every_parameter_and_field_is_described(name: str) -> None:
    assert f"`{name}`" in TEXTS["docs/parameters.md"]
    assert f"`{name}`" in TEXTS["README.md"]


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@every_page
def test_every_relative_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", TEXTS[page])):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@every_page
def test_every_file_named_in_a_document_exists(page: str) -> None:
    """A path in backquotes that begins with one of our folders."""
    named = re.findall(r"`((?:tests|driver|deploy|docs|proto|requirements)/[\w./-]+)`", TEXTS[page])
    assert [name for name in named if not (ROOT / name).exists()] == []


def manifests(page: str) -> Iterator[dict[str, Any]]:
    for body in blocks(page, "yaml"):
        yield from (document for document in yaml.safe_load_all(body) if document is not None)


@every_page
def test_every_manifest_parses(page: str) -> None:
    assert all(isinstance(document, dict) for document in manifests(page))


@every_page
def test_every_secret_provider_class_passes_the_linter(page: str, tmp_path: Path) -> None:
    classes = [document for document in manifests(page) if document.get("kind") == "SecretProviderClass"]
    file = tmp_path / "classes.yaml"
    file.write_text(yaml.safe_dump_all(classes))
    told = io.StringIO()
    assert not classes or lint.run([str(file)], output="text", out=told) == 0, told.getvalue()


def command_lines(page: str) -> Iterator[str]:
    """Yield the lines that call keyferry, in blocks (continued lines joined) and in the text."""
    text = TEXTS[page]
    shell = "\n".join(blocks(page, "sh", "console", "bash")).replace("\\\n", " ")
    yield from (line.strip().removeprefix("$ ") for line in shell.splitlines() if re.match(r"\s*(\$ )?keyferry ", line))
    yield from re.findall(r"`(keyferry [a-z][^`]*)`", _FENCE.sub("", text))
    for document in manifests(page):
        yield from (f"keyferry {shlex.join(args)}" for args in container_arguments(document))


def container_arguments(node: Any) -> Iterator[list[str]]:
    if isinstance(node, dict):
        if isinstance(node.get("args"), list) and node["args"][:1] == ["provider"]:
            yield node["args"]
        for child in node.values():
            yield from container_arguments(child)
    elif isinstance(node, list):
        for child in node:
            yield from container_arguments(child)


@every_page
def test_every_command_line_is_one_that_the_command_takes(page: str) -> None:
    for line in command_lines(page):
        words = [word for word in shlex.split(line, comments=True)[1:] if word not in {"…", "|", "[…]"}]
        accepted(words, line)


def accepted(words: list[str], line: str) -> None:
    """Parse as the command does, without running it. In the text a command may stand alone, without its arguments."""
    assert words[0] in COMMANDS, line
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    importlib.import_module(f"driver.cli.{words[0]}").add_arguments(parser)
    if words[1:]:
        try:
            parser.parse_args(words[1:])
        except (SystemExit, argparse.ArgumentError) as error:
            pytest.fail(f"{line}: {error}")


@every_page
def test_lines_are_not_wider_than_a_window(page: str) -> None:
    """Text has at most 120 columns; tables and blocks are as wide as they are."""
    text = _FENCE.sub("", TEXTS[page])
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []
