"""A reader at night finds every error text by searching the page, and the page has no text that keyferry cannot say."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import driver
from driver import errors
from driver.errors import KeyferryError
from tests.docs import error_texts
from tests.docs.pages import TEXTS

PAGE = TEXTS["docs/troubleshooting.md"]
OWN = ["Token and role", "Region", "Object", "Secrets of `keyferry sync`", "The process does not start"]
SOURCES = [path.read_text() for path in Path(driver.__file__).parent.rglob("*.py")]


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(title: str) -> Iterator[str]:
    """Yield the first cells of a section's tables, without their heads."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    yield from (line.split(" | ")[0] for line in lines if not re.match(r"\| (---|text|line|what)", line))


def texts(title: str) -> list[str]:
    return [text for cell in rows(title) for text in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("text", [text.cause for text in error_texts.all_texts()])
def test_every_text_is_on_the_page(text: str) -> None:
    assert f"`{text}`".replace("|", "\\|") in PAGE


def test_the_texts_are_read_from_all_places_that_raise() -> None:
    """Samples of each way: a call, a variable, a helper function, a parameter, a note to a reader of fields."""
    found = {text.cause for text in error_texts.all_texts()}
    samples = {"it has no IAM role", "it does not exist in … (…)", "… may not do … in … (…)", "no objects"}
    assert samples | {"Object name must be specified", "there is no PEM certificate in it"} <= found
    assert {text.part for text in error_texts.all_texts()} >= {"spc", "mount", "aws", "sync", "kube", "cli", "serving"}


def told(quoted: str) -> bool:
    """Tell whether keyferry can say a text, as an error or in its log; ``…`` stands for anything."""
    pattern = re.compile(re.escape(quoted).replace("…", ".*").replace(r"\ ", r"\s"))
    return any(pattern.search(text.cause) for text in error_texts.all_texts()) or any(map(pattern.search, SOURCES))


@pytest.mark.parametrize("text", [text for title in [*OWN, "Lines of the log"] for text in texts(title)])
def test_the_page_has_no_text_that_keyferry_cannot_say(text: str) -> None:
    assert told(text)


def test_a_text_that_nobody_says_is_found() -> None:
    assert not told("the moon is full")


@pytest.mark.parametrize("text", re.findall(r"\| `([^`]+)`[^|]*\|$", section("Texts of other providers"), re.MULTILINE))
def test_what_stands_in_the_place_of_other_texts_is_said(text: str) -> None:
    assert told(text)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, KeyferryError)],
    ids=lambda kind: kind.__name__,
)
def test_every_kind_of_error_is_on_the_page(kind: type[KeyferryError]) -> None:
    assert kind in {KeyferryError, errors.Failures} or f"| {kind.__name__} | `{kind.code}` |" in PAGE
