"""Classes and ExternalSecrets through the checks of ``keyferry lint``. Pure."""

from collections.abc import Iterator

from driver.cli.checkup.row import Level, Row
from driver.cli.checkup.survey import Manifest, Survey
from driver.cli.classes import Finding

AREA = "manifests"


def check(survey: Survey) -> Iterator[Row]:
    """Yield every problem and doubt of every manifest."""
    for one in (*survey.classes.values(), *survey.external_secrets):
        yield from (_row(one, found) for found in one.findings)
        if not any(found.severity == "error" for found in one.findings):
            yield Row(Level.OK, AREA, f"{one.kind} {one.place}", "passes", sums=f"{one.kind}{_plural(one.kind)}: pass")


def _row(one: Manifest, found: Finding) -> Row:
    level = Level.PROBLEM if found.severity == "error" else Level.WARNING
    # lines count within the text of ``objects``; line 1 is all else
    line = f" (line {found.line - 1} of objects)" if found.line > 1 else ""
    return Row(level, AREA, f"{one.kind} {one.place}", f"{found.object}: {found.cause}{line}", found.remedy)


def _plural(kind: str) -> str:
    return "es" if kind.endswith("s") else "s"
