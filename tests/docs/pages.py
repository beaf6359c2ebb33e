"""The Markdown pages, taken apart: blocks, manifests and the commands of shell blocks."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from tests.generated_docs import PAGES, ROOT

TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in (*PAGES, ROOT / "CHANGELOG.md")}
every_page = pytest.mark.parametrize("page", TEXTS)
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"# ([\w.-]+\.(?:ya?ml|json))\b")
_PIPES = {"|", "||", "&&", ";"}


@dataclass(frozen=True)
class Block:
    """A fenced block. A file's block begins with a comment that is its name: ``# shop.yaml``."""

    language: str
    body: str

    @property
    def name(self) -> str:
        match = _NAME.match(self.body) if self.language == "yaml" else None
        return match[1] if match else ""


@dataclass(frozen=True)
class Command:
    """One call of a program in a shell line; ``writes`` is the file that its output goes to, ``line`` the whole."""

    words: tuple[str, ...]
    line: str
    writes: str = ""


def prose(page: str) -> str:
    """Return a page without its blocks."""
    return _FENCE.sub("", TEXTS[page])


def blocks(page: str) -> list[Block]:
    return [Block(language, textwrap.dedent(body)) for _, language, body in _FENCE.findall(TEXTS[page])]


def documents(page: str) -> Iterator[dict[str, Any]]:
    """Yield the YAML documents of a page, Helm values too."""
    for block in blocks(page):
        if block.language == "yaml":
            yield from (document for document in yaml.safe_load_all(block.body) if document is not None)


def manifests(page: str) -> Iterator[dict[str, Any]]:
    yield from (document for document in documents(page) if "kind" in document)


def files(page: str) -> dict[str, str]:
    """Return the files that a page shows, by name."""
    return {block.name: block.body for block in blocks(page) if block.name}


def shell_lines(block: Block) -> Iterator[str]:
    """Yield the lines that a person would type, continued ones joined; of a session those behind ``$``."""
    lines = block.body.replace("\\\n", " ").splitlines()
    if block.language == "console":
        yield from (line.removeprefix("$ ") for line in lines if line.startswith("$ "))
    elif block.language in {"sh", "bash"}:
        yield from (line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))


def commands(line: str) -> Iterator[Command]:
    """Yield the programs of a shell line, and that inside ``NAME=$(…)``; a plain assignment is none."""
    made = re.fullmatch(r"(?:export )?\w+=(?:\$\((.*)\)|\S*)", line)
    if made:
        yield from commands(made[1]) if made[1] else ()
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in _PIPES:
            yield from [_command(words, line)] if words else []
            words = []
        else:
            words.append(word)


def _command(words: list[str], line: str) -> Command:
    writes = ""
    if ">" in words:
        at = words.index(">")
        words, writes = words[:at], words[at + 1]
    while re.match(r"\w+=", words[0]):
        words = words[1:]
    return Command(tuple(words), line, writes)


def all_commands(page: str) -> list[Command]:
    return [made for block in blocks(page) for line in shell_lines(block) for made in commands(line)]
