"""Rows as people and machines get them."""

import json

from driver.cli.checkup import report
from driver.cli.checkup.row import Level, Row

LONG = "a finding of many words that goes on and on " * 6
PROBLEM = Row(
    Level.PROBLEM, "pods", "pod a-name-with-many-hyphens/" + "x" * 60, LONG, "kubectl get --this-and-that " * 5
)


def ok(name: str) -> Row:
    return Row(Level.OK, "pods", f"pod {name}", "runs", sums="pods: run")


def test_no_line_is_wider_than_a_window() -> None:
    text = report.text([PROBLEM, ok("a")])
    assert max(map(len, text.splitlines())) <= report.WIDTH
    assert "--this-and-that" in text


def test_the_worst_comes_first_and_what_is_well_is_summed_up() -> None:
    text = report.text(
        [
            ok("a"),
            ok("b"),
            Row(Level.WARNING, "pods", "w", "doubtful", "do"),
            Row(Level.PROBLEM, "pods", "p", "bad", "do"),
        ]
    )
    assert text == (
        "pods\n  problem  p       bad\n                   -> do\n"
        "  warning  w       doubtful\n                   -> do\n"
        "  ok       2 pods  run\n\n1 problem, 1 warning; 2 ok\n"
    )


def test_of_many_the_first_are_shown() -> None:
    text = report.text([Row(Level.PROBLEM, "pods", f"pod {n}", "bad", "do") for n in range(report.MOST + 7)])
    assert "7 more" in text
    assert f"pod {report.MOST}" not in text
    assert f"{report.MOST + 7} problems; 0 ok" in text


def test_machines_get_every_row() -> None:
    found = json.loads(report.as_json([ok("a"), ok("b"), PROBLEM]))
    assert found["summary"] == {"problem": 1, "warning": 0, "unknown": 0, "note": 0, "ok": 2}
    assert [row["level"] for row in found["rows"]] == ["problem", "ok", "ok"]
    assert set(found["rows"][0]) == {"level", "area", "subject", "found", "remedy"}


def test_nothing_reaches_a_terminal_that_it_would_obey() -> None:
    assert "\x1b" not in report.text([Row(Level.PROBLEM, "pods", "p\x1b[2J", "\x1b]0;x", "\x1b")])
