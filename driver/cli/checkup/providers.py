"""Providers: one ready pod wherever the driver runs, and nobody else on its socket. Pure.

A pod of keyferry is ready while its /readyz is 200, which it is only while the socket at the driver's path is the
process's own: readiness is how the API server knows whose the socket of a node is. The AWS provider has no probe.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from driver.cli.checkup import programs
from driver.cli.checkup.facts import Facts
from driver.cli.checkup.kinds import Pod, Toleration, Workload
from driver.cli.checkup.programs import several
from driver.cli.checkup.row import Level, Row
from driver.cli.checkup.survey import Survey

AREA = "provider"
_NO_DAEMONS = {"eks.amazonaws.com/compute-type": ("fargate",), "type": ("virtual-kubelet",)}
"""Labels of nodes on which no DaemonSet runs."""


def check(facts: Facts, survey: Survey, provider: str) -> Iterator[Row]:
    """Yield what is to be said of the providers of this name."""
    if facts.daemonsets is None:
        return
    found = programs.providers(facts)
    yield from _elsewhere(found, provider)
    ours = [one for one in found if programs.provider_name(programs.container(one)) == provider]
    if not ours:
        yield from _none(found, survey, provider)
        return
    for workload in ours:
        yield from _daemonset(workload, facts)
    yield from _rivals(ours, facts, provider)
    if facts.crews is not None:
        yield from _coverage(ours, facts)
    yield from _nodes_without_driver(facts)


def _elsewhere(found: Sequence[Workload], provider: str) -> Iterator[Row]:
    for workload in found:
        one = programs.container(workload)
        name = programs.provider_name(one)
        if name != provider and programs.is_keyferry(one, "provider"):
            cause = f"keyferry serves classes of provider {name}, which are not looked at"
            remedy = f"look at them with --provider-name {name}"
            yield Row(Level.NOTE, AREA, f"DaemonSet {workload.place}", cause, remedy)


def _none(found: Sequence[Workload], survey: Survey, provider: str) -> Iterator[Row]:
    names = sorted({programs.provider_name(programs.container(one)) for one in found})
    if names:
        cause = f"there is none of this name, but {', '.join(names)}"
        remedy = f"write provider: {names[0]} in the classes, or run this with --provider-name {names[0]}"
        yield Row(Level.PROBLEM if survey.mountable else Level.NOTE, AREA, f"provider {provider}", cause, remedy)
    elif survey.mountable:
        cause = f"none runs, and these classes wait for one: {several([one.place for one in survey.mountable])}"
        yield Row(
            Level.PROBLEM, AREA, f"provider {provider}", cause, "install keyferry's chart with provider.enabled: true"
        )


def _daemonset(workload: Workload, facts: Facts) -> Iterator[Row]:
    subject = f"DaemonSet {workload.place}"
    if not programs.folder(workload):
        cause = "its socket is in no folder of the node, so the driver cannot see it"
        yield Row(Level.PROBLEM, AREA, subject, cause, "mount the driver's providersDir as a hostPath")
    images = sorted({one.image for pod in programs.crew(facts, workload) if (one := programs.provider_of(pod.spec))})
    if len(images) > 1:
        cause = f"its pods run {len(images)} images: {several(images, 2)}"
        yield Row(Level.WARNING, AREA, subject, cause, f"kubectl rollout status daemonset {workload.metadata.name}")
    elif programs.is_aws(programs.container(workload)):
        yield Row(
            Level.NOTE, AREA, subject, "it is the AWS provider, not keyferry", "docs/migrating-from-aws-provider.md"
        )
    else:
        yield Row(Level.OK, AREA, subject, f"image {programs.container(workload).image}")
    for driver in programs.drivers(facts):
        yield from _tolerations(workload, driver)


def _tolerations(workload: Workload, driver: Workload) -> Iterator[Row]:
    own = workload.spec.template.spec.tolerations
    wide = [one for one in driver.spec.template.spec.tolerations if not any(_covers(mine, one) for mine in own)]
    if wide:
        words = several([one.key or "all taints" for one in wide])
        cause = f"the driver {driver.place} tolerates {words} and this does not: pods there wait without a provider"
        yield Row(Level.WARNING, AREA, f"DaemonSet {workload.place}", cause, "set tolerations: [{operator: Exists}]")


def _covers(wide: Toleration, narrow: Toleration) -> bool:
    if wide.effect not in ("", narrow.effect):
        return False
    if wide.operator == "Exists":
        return wide.key in ("", narrow.key)
    return (wide.key, wide.value, narrow.operator) == (narrow.key, narrow.value, wide.operator)


def _rivals(ours: Sequence[Workload], facts: Facts, provider: str) -> Iterator[Row]:
    if len(ours) < 2 or len({programs.folder(one) for one in ours}) == len(ours):
        return
    where: dict[str, set[str]] = defaultdict(set)
    for workload in ours:
        for pod in programs.crew(facts, workload):
            where[pod.spec.node_name].add(workload.place)
    both = sorted(node for node, places in where.items() if len(places) > 1)
    names = " and ".join(one.place for one in ours)
    cause = f"{names} both want {provider}.sock in {programs.folder(ours[0])}"
    cause += f", on {several(both)}" if both else ", on different nodes so far"
    remedy = "keep one: uninstall the other, or give keyferry another provider.name (say keyferry) to try it beside it"
    yield Row(Level.PROBLEM if both else Level.WARNING, AREA, f"socket {provider}.sock", cause, remedy)


def _coverage(ours: Sequence[Workload], facts: Facts) -> Iterator[Row]:
    needed = {pod.spec.node_name for one in programs.drivers(facts) for pod in programs.crew(facts, one)} - {""}
    pods: dict[str, list[Pod]] = defaultdict(list)
    for workload in ours:
        for pod in programs.crew(facts, workload):
            pods[pod.spec.node_name].append(pod)
    missing = sorted(node for node in needed if node not in pods)
    waiting = sorted(node for node in needed if node in pods and not any(pod.ready for pod in pods[node]))
    if missing:
        cause = f"the driver runs there and no provider: {several(missing)}"
        remedy = "widen tolerations, node selector and affinity to the driver's; see kubectl describe daemonset"
        yield Row(Level.PROBLEM, AREA, _nodes(len(missing)), cause, remedy)
    for node in waiting:
        yield _not_ready(node, pods[node], facts.refusals)
    ready = len(needed) - len(missing) - len(waiting)
    if ready:
        probed = not any(programs.is_aws(programs.container(workload)) for workload in ours)
        found = "a ready provider beside the driver" + (", the socket its own" if probed else "")
        yield Row(Level.OK, AREA, _nodes(ready), found)


def _not_ready(node: str, pods: Sequence[Pod], refusals: Mapping[str, str]) -> Row:
    places = ", ".join(pod.place for pod in pods)
    told = next((refusals[pod.place] for pod in pods if pod.place in refusals), "")
    cause = f"its provider {places} is not ready" + (f": {told}" if told else "")
    remedy = f"kubectl logs -n {pods[0].metadata.namespace} {pods[0].metadata.name}"
    if "socket" in told:
        remedy = "another process took the socket: remove the other provider from this node, then restart this pod"
    return Row(Level.PROBLEM, AREA, f"node {node}", cause, remedy)


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def _nodes_without_driver(facts: Facts) -> Iterator[Row]:
    drivers = programs.drivers(facts)
    if facts.nodes is None or facts.crews is None or not drivers:
        return
    served = {pod.spec.node_name for one in drivers for pod in programs.crew(facts, one)}
    labels = {one.metadata.name: one.metadata.labels for one in facts.nodes}
    bare = sorted(name for name, found in labels.items() if name not in served and _can_have_daemons(found))
    if bare:
        cause = f"no driver runs there: {several(bare)}"
        remedy = "pods with classes cannot start there; look at the driver's tolerations, node selector and affinity"
        yield Row(Level.WARNING, AREA, _nodes(len(bare)), cause, remedy)


def _can_have_daemons(labels: Mapping[str, str]) -> bool:
    linux = labels.get("kubernetes.io/os", "linux") == "linux"
    return linux and all(labels.get(name) not in words for name, words in _NO_DAEMONS.items())
