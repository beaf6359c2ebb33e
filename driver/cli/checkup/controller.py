"""``keyferry sync``: whether what asks for Secrets is served, by one controller, that is at work. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from driver.cli.checkup import programs
from driver.cli.checkup.facts import Facts
from driver.cli.checkup.kinds import Crd, Workload
from driver.cli.checkup.programs import several
from driver.cli.checkup.row import Level, Row
from driver.cli.checkup.survey import Survey
from driver.sync import externalsecret
from driver.sync.leader import LEASE, LEASE_NAME

AREA = "sync"
CRD = "externalsecrets.kubernetes-client.io"
STALE = 4 * LEASE
"""Seconds since its last renewal after which a Lease counts as nobody's: clocks of nodes differ."""


def check(facts: Facts, survey: Survey, now: float) -> Iterator[Row]:
    """Yield what is to be said of the sync door. ``now``: seconds since 1970."""
    if facts.deployments is None:
        return
    kes = [one for one in facts.deployments if programs.is_kes(one.spec.template.spec) and one.spec.replicas]
    ours = [one for one in facts.deployments if programs.controller_of(one.spec.template.spec)]
    if not ours:
        yield from _unserved(survey, kes)
    for workload in ours:
        yield from _deployment(workload, facts, now)
        yield from _elsewhere(workload, survey)
    if ours and facts.crds.get(CRD) is not None:
        yield _crd(facts.crds[CRD] or ())
    yield from _rivals(ours, kes)


def _unserved(survey: Survey, kes: Sequence[Workload]) -> Iterator[Row]:
    left = [one for one in survey.synced if not kes or one.kind != externalsecret.KIND]
    if kes and len(left) < len(survey.synced):
        cause = "it serves the ExternalSecrets; keyferry sync is not installed"
        yield Row(Level.NOTE, AREA, f"Deployment {kes[0].place}", cause, "docs/migrating-from-kes.md")
    if left:
        cause = f"none runs, and these wait for it: {several([one.place for one in left])}"
        yield Row(Level.PROBLEM, AREA, "keyferry sync", cause, "install keyferry's chart with sync.enabled: true")


def _deployment(workload: Workload, facts: Facts, now: float) -> Iterator[Row]:
    subject = f"Deployment {workload.place}"
    ready, wanted = workload.status.ready_replicas, workload.spec.replicas
    remedy = f"kubectl describe deployment -n {workload.metadata.namespace} {workload.metadata.name}, and its pods' log"
    if not wanted:
        yield Row(Level.PROBLEM, AREA, subject, "it is scaled to 0", "scale it up, or take the chart's sync away")
        return
    if ready < wanted:
        level = Level.WARNING if ready else Level.PROBLEM
        yield Row(level, AREA, subject, f"{ready} of {wanted} replicas are ready", remedy)
    else:
        yield Row(Level.OK, AREA, subject, f"{ready} of {wanted} replicas are ready")
    elects = programs.option(programs.container(workload), "leader-elect", "true") == "true"
    elects = elects and "--no-leader-elect" not in programs.container(workload).args
    if elects and ready and facts.leases is not None:
        yield _lease(workload, facts, now)


def _lease(workload: Workload, facts: Facts, now: float) -> Row:
    place = f"{workload.metadata.namespace}/{LEASE_NAME}"
    found = next((one for one in facts.leases or () if one.place == place), None)
    if found is None or not found.spec.holder_identity:
        remedy = "see its log: the API server is out of reach, or a right on leases is missing"
        return Row(Level.PROBLEM, AREA, f"Lease {place}", "no replica holds it, so none writes", remedy)
    age = now - _seconds(found.spec.renew_time)
    if age > STALE:
        cause = f"{found.spec.holder_identity} renewed it {age:,.0f} seconds ago: nobody writes"
        return Row(Level.PROBLEM, AREA, f"Lease {place}", cause, "see the log of keyferry sync; restart it if it hangs")
    return Row(Level.OK, AREA, f"Lease {place}", f"held by {found.spec.holder_identity}")


def _seconds(text: str | None) -> float:
    try:
        return datetime.fromisoformat(text or "").timestamp()
    except ValueError:
        return 0.0


def _crd(found: Sequence[Crd]) -> Row:
    subject = f"CRD {CRD}"
    apply = "kubectl apply --server-side -f the CRD of keyferry's chart"
    if not any(one.name == "v1" and one.served for crd in found for one in crd.spec.versions):
        return Row(Level.PROBLEM, AREA, subject, "it does not exist, or not as v1: no ExternalSecret is seen", apply)
    columns = {column.name for crd in found for one in crd.spec.versions for column in one.additional_printer_columns}
    if "Ready" not in columns:
        cause = "it is that of kubernetes-external-secrets: wrong objects are not refused, kubectl get shows no Ready"
        return Row(Level.WARNING, AREA, subject, cause, apply)
    return Row(Level.OK, AREA, subject, "keyferry's, served as v1")


def _elsewhere(workload: Workload, survey: Survey) -> Iterator[Row]:
    only = {name for name in programs.option(programs.container(workload), "namespace").split(",") if name}
    left = [one.place for one in survey.synced if only and one.namespace not in only]
    if left:
        cause = f"it serves {', '.join(sorted(only))} only, and not {several(left)}"
        remedy = "add the namespace to sync.namespaces, or take the object away"
        yield Row(Level.WARNING, AREA, f"Deployment {workload.place}", cause, remedy)


def _rivals(ours: Sequence[Workload], kes: Sequence[Workload]) -> Iterator[Row]:
    apart = [programs.option(programs.container(one), "controller-id") for one in ours]
    if kes and ours and not all(apart):
        cause = f"{kes[0].place} and {ours[0].place} serve the same ExternalSecrets and overwrite each other's Secrets"
        remedy = "scale one to 0, or give keyferry a controllerId while you try it (docs/migrating-from-kes.md)"
        yield Row(Level.PROBLEM, AREA, "two controllers", cause, remedy)
    if len(ours) > 1 and len(set(apart)) < len(apart):
        cause = f"{several([one.place for one in ours])} serve the same objects"
        remedy = "keep one Deployment; more replicas are what sync.replicas is for"
        yield Row(Level.WARNING, AREA, "two Deployments of keyferry sync", cause, remedy)
