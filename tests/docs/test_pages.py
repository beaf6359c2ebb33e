"""The pages hold together: generated tables, links, files that they name, an index, and a width."""

import re

import pytest

from tests.docs.pages import TEXTS, every_page, prose
from tests.generated_docs import ROOT, TABLES, updated

INDEX = TEXTS["README.md"]


@every_page
def test_generated_tables_are_up_to_date(page: str) -> None:
    """``make docs`` brings them up to date."""
    assert updated(TEXTS[page]) == TEXTS[page]


def test_every_table_is_somewhere() -> None:
    assert {name for text in TEXTS.values() for name in re.findall(r"<!-- table: (\w+) -->", text)} == set(TABLES)


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@every_page
def test_every_relative_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
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


@pytest.mark.parametrize("page", [page for page in TEXTS if page.startswith("docs/")])
def test_every_page_is_in_the_index(page: str) -> None:
    assert f"]({page})" in INDEX


def test_the_readme_is_short() -> None:
    assert len(INDEX.splitlines()) <= 300


@every_page
def test_lines_are_not_wider_than_a_window(page: str) -> None:
    """Text has at most 120 columns; tables and blocks are as wide as they are."""
    assert [line for line in prose(page).splitlines() if len(line) > 120 and not line.startswith("|")] == []
