"""Secrets that several want: two manifests, the driver and the sync door, or another controller. Pure.

Only metadata of Secrets are read: annotations, labels, owners, names of field managers.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from driver.cli.checkup.facts import Facts
from driver.cli.checkup.kinds import Titled
from driver.cli.checkup.programs import several
from driver.cli.checkup.row import Level, Row
from driver.cli.checkup.survey import Manifest, Survey, targets
from driver.sync.plan import FIELD_MANAGER, SOURCE
from driver.sync.standing import DRIVER_LABEL

AREA = "secrets"
_CONTROLLERS = {
    "external-secrets": "the External Secrets Operator",
    "reconcile.external-secrets.io": "the External Secrets Operator",
    "sealed-secrets": "Sealed Secrets",
    "bitnami.com/sealed-secrets": "Sealed Secrets",
    "reflector.v1.k8s.emberstack.com": "Reflector",
    "secrets-store-sync-controller": "the Secrets Store Sync Controller",
    "secrets-store.sync.x-k8s.io": "the Secrets Store Sync Controller",
    "helm": "Helm",
    "meta.helm.sh": "Helm",
    "argocd": "Argo CD",
    "kustomize-controller": "Flux",
    "kustomize.toolkit.fluxcd.io": "Flux",
    "cert-manager": "cert-manager",
    "cert-manager.io": "cert-manager",
}
"""Beginnings of field managers, labels and annotations by which others are known. Nobody's list is complete."""


def check(facts: Facts, survey: Survey) -> Iterator[Row]:
    """Yield the Secrets that have more than one controller."""
    claims = _claims(facts, survey)
    for place, claimants in sorted(claims.items()):
        if len(claimants) > 1:
            who = several(sorted(one.claim for one in claimants))
            remedy = "let each have a Secret of its own; the one that was first keeps it"
            yield Row(Level.PROBLEM, AREA, f"Secret {'/'.join(place)}", f"{who} all want to fill it", remedy)
    yield from _twice_written(facts, survey)
    if facts.secrets is None:
        return
    live = {(one.metadata.namespace, one.metadata.name): one for one in facts.secrets}
    for place, claimants in sorted(claims.items()):
        if place in live and len(claimants) == 1:
            yield _standing(live[place], claimants[0])


def _claims(facts: Facts, survey: Survey) -> Mapping[tuple[str, str], list[Manifest]]:
    claims: dict[tuple[str, str], list[Manifest]] = defaultdict(list)
    for one in (*survey.classes.values(), *survey.external_secrets):
        for name in dict.fromkeys(targets(one, driver=bool(facts.sync_roles))):
            claims[one.namespace, name].append(one)
    return claims


def _twice_written(facts: Facts, survey: Survey) -> Iterator[Row]:
    """Yield classes with two writers: the driver's sync knows no opt-in and writes for whatever a pod mounts."""
    mounted = {
        (pod.metadata.namespace, name) for pod in facts.users or () if not pod.done for name in pod.class_names()
    }
    for place, one in survey.classes.items():
        if facts.sync_roles and one.opted_in and one.driver_secrets and place in mounted:
            cause = "pods mount it while the driver's sync is on, so driver and keyferry sync both write its Secrets"
            remedy = "put secretObjects into a class of their own that no pod mounts, or set syncSecret.enabled: false"
            yield Row(Level.PROBLEM, AREA, f"{one.kind} {one.place}", cause, remedy)


def _standing(secret: Titled, claimant: Manifest) -> Row:
    for look in (_of_driver, _of_record, _of_others, _of_nobody):
        row = look(secret, claimant)
        if row:
            return row
    return Row(Level.OK, AREA, f"Secret {secret.place}", "has one controller", sums="Secrets: one controller each")


def _of_driver(secret: Titled, claimant: Manifest) -> Row | None:
    if secret.metadata.labels.get(DRIVER_LABEL) != "true" or not claimant.opted_in:
        return None
    cause = f"{claimant.claim} wants to fill it, and it is the driver's"
    remedy = "choose another name, or delete it when no pod needs it"
    return Row(Level.PROBLEM, AREA, f"Secret {secret.place}", cause, remedy)


def _of_record(secret: Titled, claimant: Manifest) -> Row | None:
    record = secret.metadata.annotations.get(SOURCE, claimant.claim)
    if record == claimant.claim:
        return None
    cause = f"{claimant.claim} wants to fill it, and {record} does"
    remedy = f"choose another name, or set its annotation {SOURCE} anew"
    return Row(Level.PROBLEM, AREA, f"Secret {secret.place}", cause, remedy)


def _of_others(secret: Titled, claimant: Manifest) -> Row | None:
    foreign = sorted(set(_others(secret, claimant)))
    if not foreign:
        return None
    level = Level.WARNING if SOURCE in secret.metadata.annotations else Level.PROBLEM
    cause = f"{claimant.claim} wants to fill it, and it is also claimed by {several(foreign)}"
    remedy = "let one of them fill it; give the other a Secret of another name"
    return Row(level, AREA, f"Secret {secret.place}", cause, remedy)


def _of_nobody(secret: Titled, claimant: Manifest) -> Row | None:
    meta = secret.metadata
    known = SOURCE in meta.annotations or any(owner.uid == _uid(claimant) for owner in meta.owner_references)
    if known or not claimant.opted_in:
        return None
    cause = f"{claimant.claim} wants to fill it, and it was there before: it is filled only while it is empty"
    remedy = f"choose another name, or give it up with the annotation {SOURCE}: {claimant.claim}"
    return Row(Level.WARNING, AREA, f"Secret {secret.place}", cause, remedy)


def _others(secret: Titled, claimant: Manifest) -> Iterator[str]:
    """Yield other masters. The driver's Secrets are owned by pods' controllers: of them no owner tells anything."""
    meta = secret.metadata
    for owner in meta.owner_references if claimant.opted_in else ():
        if owner.uid != _uid(claimant):
            yield f"{owner.kind}/{owner.name}"
    words = [*meta.labels, *meta.annotations]
    words += [one.manager for one in meta.managed_fields if one.manager != FIELD_MANAGER]
    words.append(meta.labels.get("app.kubernetes.io/managed-by", ""))
    for word in words:
        yield from (name for start, name in _CONTROLLERS.items() if word.lower().startswith(start))


def _uid(claimant: Manifest) -> str:
    metadata = claimant.value.get("metadata") or {}
    return str(metadata.get("uid") or "")
