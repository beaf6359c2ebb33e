"""The drawn picture can be shown anywhere, and its marks are the steps of the page beside it."""

import re
import xml.etree.ElementTree as ET

from tests.docs.pages import TEXTS
from tests.generated_docs import ROOT

PATH = ROOT / "docs" / "architecture.svg"
PAGE = TEXTS["docs/architecture.md"]
SVG = "{http://www.w3.org/2000/svg}"


def tree() -> ET.Element:
    return ET.fromstring(PATH.read_text())


def test_it_says_what_it_shows_to_those_who_do_not_see_it() -> None:
    assert tree().findtext(f"{SVG}title")
    assert tree().findtext(f"{SVG}desc")
    assert re.search(r"!\[\w.+\]\(architecture\.svg\)", PAGE)


def test_it_loads_nothing_and_runs_nothing() -> None:
    """GitHub and browsers show it then as an image."""
    text = PATH.read_text()
    assert not re.search(r"<(script|image|foreignObject)|href=|@import|url\((?!#head\))", text)


def test_it_has_its_own_ground_for_light_and_for_dark() -> None:
    assert tree().find(f"{SVG}rect[@class='paper']") is not None
    assert "prefers-color-scheme: dark" in PATH.read_text()


def test_every_mark_is_a_step_of_the_page() -> None:
    marks = {mark.text for mark in tree().iter(f"{SVG}text") if mark.get("class") == "mark"}
    steps = set(re.findall(r"^(\d)\. ", PAGE, re.MULTILINE)) | set(re.findall(r"^- ([a-e])\. ", PAGE, re.MULTILINE))
    assert marks == steps


def test_texts_are_inside_the_picture() -> None:
    width, height = 1000, 620
    for text in tree().iter(f"{SVG}text"):
        assert 0 < float(text.attrib["x"]) < width
        assert 0 < float(text.attrib["y"]) < height
