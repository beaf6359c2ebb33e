"""The threat table names tests that there are, and the CVEs of the family."""

import re

import pytest

from tests.docs.pages import TEXTS
from tests.generated_docs import ROOT

PAGE = TEXTS["docs/security.md"]
THREATS = [line for line in PAGE.partition("\n## Threats\n")[2].splitlines() if line.startswith("| ")][2:]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)


@pytest.mark.parametrize("row", THREATS, ids=[row.split(" | ")[0].removeprefix("| ")[:60] for row in THREATS])
def test_every_threat_has_an_answer_and_a_test(row: str) -> None:
    _, threat, _, answer, test, _ = [cell.strip() for cell in row.split("|")]
    assert threat
    assert answer
    assert re.search(r"`tests/[\w/]+\.py::test_\w+`", test)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_named_test_exists(path: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / path).read_text()


def test_a_cve_is_written_as_one() -> None:
    told = re.findall(r"CVE-[\w-]+", PAGE)
    assert len(told) >= 30
    assert all(re.fullmatch(r"CVE-20[12]\d-\d{4,7}", cve) for cve in told)
