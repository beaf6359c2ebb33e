"""``keyferry doctor``: look at a cluster, change nothing, and say what keeps secrets from arriving.

Exit codes: 0 no problem (with ``--strict``: nor warning, nor anything unknown), 1 there is one, 2 could not look.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence

from driver.cli import cluster
from driver.cli.checkup import (
    claims,
    controller,
    driverside,
    gather,
    identities,
    manifests,
    providers,
    report,
    troubles,
)
from driver.cli.checkup.facts import Facts, Gap
from driver.cli.checkup.row import Level, Row
from driver.cli.checkup.survey import Survey, survey
from driver.errors import InvalidInput
from driver.options import namespaces, provider_name
from driver.sync.cluster import Api

ATTEMPT = 20.0
"""Seconds that one call may take: a page of a large cluster's pods is megabytes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("--kubeconfig", default="", metavar="FILE", help="kubeconfig (default: $KUBECONFIG, ~/.kube/config, own pod)")
    add("--context", default="", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    add("--namespace", default="", metavar="NS,…", help="look at classes, ExternalSecrets and pods of these only")
    add("--provider-name", default="aws", metavar="NAME", help="what classes write as provider (default: aws)")
    add("--strict", action="store_true", help="exit 1 for warnings and for what could not be looked at, too")
    add("--output", choices=("text", "json"), default="text", help="for people (default) or machines")


def main(args: argparse.Namespace) -> int:
    """Look at the cluster and print what was found."""
    try:
        only, provider = namespaces(args.namespace), provider_name(args.provider_name)
    except ValueError as error:
        raise InvalidInput("--namespace or --provider-name", f"{error}", "see keyferry doctor --help") from None
    api = Api(cluster.find(args.kubeconfig, args.context, os.environ), attempt=ATTEMPT)
    rows = examine(api, only, provider, now=time.time())
    sys.stdout.write(report.as_json(rows) if args.output == "json" else report.text(rows))
    return exit_code(rows, strict=args.strict)


def examine(api: Api, only: Sequence[str], provider: str, *, now: float) -> list[Row]:
    """Return all rows for a cluster. ``only``: namespaces; ``now``: seconds since 1970. Raises as ``gather``."""
    facts = gather.gather(api, only)
    found = survey(facts, provider)
    if found.wants_secrets:
        gather.add_secrets(api, only, facts)
    return list(diagnose(facts, found, provider, now))


def diagnose(facts: Facts, found: Survey, provider: str, now: float) -> Iterator[Row]:
    """Yield all rows, area by area."""
    yield from driverside.check(facts, found)
    yield from providers.check(facts, found, provider)
    yield from controller.check(facts, found, now)
    yield from manifests.check(found)
    yield from identities.check(facts, found)
    yield from claims.check(facts, found)
    yield from troubles.check(facts, found)
    yield from map(_gap, facts.gaps)


def _gap(gap: Gap) -> Row:
    remedy = f"grant {gap.verb} on {gap.resource} (docs/doctor.md has the role); without it checks are left out"
    return Row(Level.UNKNOWN, "rights", f"{gap.verb} {gap.resource}", gap.cause, remedy)


def exit_code(rows: Sequence[Row], *, strict: bool) -> int:
    """Return 1 when there is a problem, or with ``strict`` anything that is neither well nor a note."""
    bad = {Level.PROBLEM, Level.WARNING, Level.UNKNOWN} if strict else {Level.PROBLEM}
    return int(any(row.level in bad for row in rows))
