"""What fails right now: ExternalSecrets, pods that wait for their volume, classes that are not there. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from driver.cli.checkup.facts import Facts
from driver.cli.checkup.kinds import Event, Pod
from driver.cli.checkup.programs import several
from driver.cli.checkup.row import Level, Row
from driver.cli.checkup.survey import Manifest, Survey

AREA = "now"
_TEXTS = "docs/troubleshooting.md knows the text"
_REMEDIES = {
    "keyferry: ": _TEXTS,
    "provider not found": "no provider of the class's name is on the pod's node: see the provider's rows",
    "list of registered CSI drivers": "the driver is not, or not yet, on the pod's node: see the driver's rows",
    "serviceAccount.tokens": "set tokenRequests: see the driver's rows",
    "message larger than max": "raise the driver's maxCallRecvMsgSize, or split the class",
    "secretproviderclass": "apply the class in the pod's namespace",
}
"""By words of the event: of keyferry, then of kubelet, driver 1.6.0 and the AWS provider 3.1.1."""
_FRESH = "wait a minute; then see the log of keyferry sync"


def check(facts: Facts, survey: Survey) -> Iterator[Row]:
    """Yield what fails."""
    for one in survey.external_secrets:
        yield from _status(one)
    if facts.users is None:
        return
    running = [pod for pod in facts.users if not pod.done]
    if facts.classes is not None:
        yield from _absent_classes(running, survey)
    yield from _waiting(running, facts, survey)
    if facts.records is not None:
        yield from _leftovers(facts, survey)


def _status(one: Manifest) -> Iterator[Row]:
    found = one.value.get("status")
    status: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    text = str(status.get("status") or "")
    subject = f"{one.kind} {one.place}"
    if text.startswith("ERROR"):
        yield Row(Level.PROBLEM, AREA, subject, text.removeprefix("ERROR, "), _TEXTS)
    elif text:
        yield Row(Level.OK, AREA, subject, "follows AWS", sums="ExternalSecrets: follow AWS")
    elif not any(each.severity == "error" for each in one.findings):
        yield Row(Level.WARNING, AREA, subject, "it has no status: nobody has read it yet", _FRESH)


def _absent_classes(running: list[Pod], survey: Survey) -> Iterator[Row]:
    absent: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pod in running:
        for name in pod.class_names():
            if (pod.metadata.namespace, name) not in survey.names:
                absent[pod.metadata.namespace, name].append(pod.metadata.name)
    for (namespace, name), pods in sorted(absent.items()):
        cause = f"it does not exist, and is mounted by {several(sorted(pods))}"
        remedy = "apply the class in the pods' namespace, or correct secretProviderClass in their volume"
        yield Row(Level.PROBLEM, AREA, f"SecretProviderClass {namespace}/{name}", cause, remedy)


def _waiting(running: list[Pod], facts: Facts, survey: Survey) -> Iterator[Row]:
    last: dict[tuple[str, str], Event] = {}
    for event in sorted(facts.events or (), key=lambda one: one.time):
        last[event.involved_object.namespace, event.involved_object.name] = event
    for pod in running:
        ours = [name for name in pod.class_names() if (pod.metadata.namespace, name) in survey.classes]
        told = last.get((pod.metadata.namespace, pod.metadata.name))
        if not ours or pod.status.phase != "Pending":
            if ours:
                yield Row(Level.OK, AREA, f"pod {pod.place}", "runs", sums="pods with a volume: run")
        elif told is not None:
            cause = f"waits for its volume: {_text(told.message)}"
            yield Row(Level.PROBLEM, AREA, f"pod {pod.place}", cause, _remedy(told.message, pod))


def _remedy(message: str, pod: Pod) -> str:
    known = next((remedy for words, remedy in _REMEDIES.items() if words in message), "")
    return known or f"kubectl describe pod -n {pod.metadata.namespace} {pod.metadata.name}, then the driver's log"


def _text(message: str) -> str:
    """Return an Event's text without what kubelet and driver put before the provider's."""
    text = " ".join(message.rpartition(" desc = ")[2].split())
    return text if len(text) <= 600 else text[:597] + "..."


def _leftovers(facts: Facts, survey: Survey) -> Iterator[Row]:
    pods = {(pod.metadata.namespace, pod.metadata.name) for pod in facts.users or ()}
    stale = [
        one.place
        for one in facts.records or ()
        if (one.metadata.namespace, one.status.pod_name) not in pods
        and (one.metadata.namespace, one.status.secret_provider_class_name) in survey.classes
    ]
    if stale:
        cause = f"of pods that are gone: {several(sorted(stale))}"
        remedy = "kubectl delete them; they keep the Secrets of the driver's sync alive"
        subject = f"{len(stale)} SecretProviderClassPodStatus{'es' if len(stale) > 1 else ''}"
        yield Row(Level.WARNING, AREA, subject, cause, remedy)
