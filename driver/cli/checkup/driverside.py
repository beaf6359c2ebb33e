"""The Secrets Store CSI driver: its CSIDriver object, its CRDs, its DaemonSet and flags. Pure.

storage.k8s.io/v1, CSIDriver; flags and defaults of driver 1.6.0 (``main.go``, Helm chart).
"""

from collections.abc import Iterator, Sequence

from driver.cli.checkup import programs
from driver.cli.checkup.facts import Facts
from driver.cli.checkup.kinds import DRIVER_NAME, Container, CsiDriver, Workload
from driver.cli.checkup.row import Level, Row
from driver.cli.checkup.survey import Survey
from driver.model import AUDIENCES, AuthMethod
from driver.options import duration, size

AREA = "driver"
TESTED = (1, 6, 0)
"""The version of the driver that keyferry is tested with; since it, the kubelet drives rotation."""

RECEIVE_LIMIT = "4194304"
"""Bytes of an answer that the driver takes, and that keyferry sends, unless told otherwise."""

KUBELET_PATIENCE = 120.0
"""Seconds after which the kubelet gives up a mount."""

_CLASS_CRDS = (
    "secretproviderclasses.secrets-store.csi.x-k8s.io",
    "secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io",
)
_TOKENS = (
    "set the driver's Helm value tokenRequests: [{audience: sts.amazonaws.com}, {audience: pods.eks.amazonaws.com}]"
)


def check(facts: Facts, survey: Survey) -> Iterator[Row]:
    """Yield what is to be said of the driver."""
    drivers = programs.drivers(facts)
    if facts.csi_drivers == [] and not drivers:
        yield _absent(facts, survey)
        return
    if facts.csi_drivers is not None:
        yield from _csi_driver(facts.csi_drivers, survey, drivers)
    for name in _CLASS_CRDS:
        yield from _crd(facts, name)
    if facts.daemonsets is not None and not drivers:
        remedy = "install Secrets Store CSI driver 1.6.0"
        yield Row(Level.PROBLEM, AREA, "DaemonSet of the driver", "there is none, or it is not recognised", remedy)
    for workload in drivers:
        yield from _driver(workload, facts)
        yield from _sync(workload, facts, survey)


def _absent(facts: Facts, survey: Survey) -> Row:
    subject = f"CSIDriver {DRIVER_NAME}"
    if survey.mountable or programs.providers(facts):
        remedy = f"install Secrets Store CSI driver 1.6.0; {_TOKENS}"
        return Row(Level.PROBLEM, AREA, subject, "the driver is not installed: no pod can mount a class", remedy)
    remedy = "nothing to do, unless pods are to mount files"
    return Row(Level.NOTE, AREA, subject, "the driver is not installed, and nothing here needs it", remedy)


def _csi_driver(found: Sequence[CsiDriver], survey: Survey, drivers: Sequence[Workload]) -> Iterator[Row]:
    subject = f"CSIDriver {DRIVER_NAME}"
    if not found:
        yield Row(
            Level.PROBLEM, AREA, subject, "it does not exist: no pod can mount a class", "install it: helm upgrade"
        )
        return
    spec, bad = found[0].spec, []
    if not spec.pod_info_on_mount:
        cause = "podInfoOnMount is not true: the provider is not told which pod mounts"
        bad.append(
            Row(Level.PROBLEM, AREA, subject, cause, "set spec.podInfoOnMount: true, as the driver's chart does")
        )
    if "Ephemeral" not in spec.volume_lifecycle_modes:
        cause = "volumeLifecycleModes does not have Ephemeral: volumes inside of pods are refused"
        bad.append(Row(Level.PROBLEM, AREA, subject, cause, "set spec.volumeLifecycleModes: [Ephemeral]"))
    bad += _tokens(found[0], survey)
    versions = [programs.version(programs.container(one).image) for one in drivers]
    if spec.service_account_token_in_secrets and any(one and one < TESTED for one in versions):
        cause = "serviceAccountTokenInSecrets is true, and a driver older than 1.6.0 passes no such tokens on"
        bad.append(Row(Level.PROBLEM, AREA, subject, cause, "upgrade the driver to 1.6.0, or take the field away"))
    yield from bad or [Row(Level.OK, AREA, subject, "pods' names and tokens for both audiences reach the provider")]


def _tokens(found: CsiDriver, survey: Survey) -> Iterator[Row]:
    audiences = {one.audience for one in found.spec.token_requests}
    users = {
        AuthMethod.IRSA: ("IAM roles for service accounts", ""),
        AuthMethod.POD_IDENTITY: ("EKS Pod Identity", " with usePodIdentity"),
    }
    for method, (what, suffix) in users.items():
        audience = AUDIENCES[method]
        if audience in audiences:
            continue
        count = sum(one.plan is not None and one.plan.method is method for one in survey.classes.values())
        need = f"needed by {count} class{'es' if count != 1 else ''}{suffix}" if count else "no class needs it yet"
        cause = f"tokenRequests lacks the audience {audience}, for {what}; {need}"
        yield Row(Level.PROBLEM if count else Level.WARNING, AREA, f"CSIDriver {DRIVER_NAME}", cause, _TOKENS)


def _crd(facts: Facts, name: str) -> Iterator[Row]:
    found = facts.crds.get(name)
    if found is None:
        return
    served = [one.name for crd in found for one in crd.spec.versions if one.served]
    if "v1" in served:
        yield Row(
            Level.OK, AREA, f"CRD {name}", f"served as {', '.join(served)}", sums="CRDs of the driver: served as v1"
        )
        return
    cause = (
        f"served only as {', '.join(served)}" if served else "it does not exist" if not found else "it is not served"
    )
    yield Row(Level.PROBLEM, AREA, f"CRD {name}", cause, "install the CRDs of driver 1.6.0 (its chart does)")


def _driver(workload: Workload, facts: Facts) -> Iterator[Row]:
    subject = f"DaemonSet {workload.place}"
    one = programs.container(workload)
    version = programs.version(one.image)
    yield _version(subject, version)
    yield _rotation(subject, one, version, facts.csi_drivers)
    yield from _interval(subject, one, version)
    for provider in programs.providers(facts):
        yield from _meeting(workload, provider)
    waiting = sorted(pod.spec.node_name for pod in programs.crew(facts, workload) if not pod.ready)
    if waiting:
        cause = f"its pod is not ready on {programs.several(waiting)}"
        yield Row(
            Level.PROBLEM, AREA, subject, cause, "kubectl describe its pods; until then no volume is mounted there"
        )


def _version(subject: str, version: programs.Version | None) -> Row:
    if version is None:
        remedy = "compare it with 1.6.0, the version that keyferry is tested with"
        return Row(Level.UNKNOWN, AREA, subject, "its image's tag does not tell the driver's version", remedy)
    text = ".".join(map(str, version))
    if version < TESTED:
        cause = (
            f"version {text}, older than the tested 1.6.0: it rotates by a loop of its own, one volume after another, "
            "and requiresRepublish means nothing to it"
        )
        return Row(Level.WARNING, AREA, subject, cause, "upgrade the driver to 1.6.0")
    if version[:2] > TESTED[:2]:
        remedy = "look at its release notes; keyferry is tested with 1.6.0"
        return Row(Level.NOTE, AREA, subject, f"version {text}, newer than the tested 1.6.0", remedy)
    return Row(Level.OK, AREA, subject, f"version {text}")


def _rotation(
    subject: str, one: Container, version: programs.Version | None, csi_drivers: Sequence[CsiDriver] | None
) -> Row:
    on = programs.option(one, "enable-secret-rotation", "false").lower() == "true"
    own_loop = version is not None and version < TESTED
    again = csi_drivers[0].spec.requires_republish is True if csi_drivers else None
    both = "set the driver's Helm value enableSecretRotation: true, which sets the flag and requiresRepublish"
    if not on:
        rest = ", though requiresRepublish is on" if again and not own_loop else ""
        cause = f"rotation is off{rest}: files keep the values of their pod's start"
        return Row(Level.WARNING, AREA, subject, cause, both)
    if again is False and not own_loop:
        cause = "rotation is on, and the CSIDriver's requiresRepublish is not: the kubelet never asks again"
        return Row(Level.PROBLEM, AREA, subject, cause, both)
    return Row(Level.OK, AREA, subject, "rotation is on")


def _interval(subject: str, one: Container, version: programs.Version | None) -> Iterator[Row]:
    """Driver 1.6.0 takes a volume for good until the interval is over, even one whose mount ran into its deadline."""
    text = programs.option(one, "rotation-poll-interval", "2m")
    try:
        seconds = duration(text)
    except ValueError:
        return
    on = programs.option(one, "enable-secret-rotation", "false").lower() == "true"
    if on and seconds > KUBELET_PATIENCE and (version is None or version >= TESTED):
        cause = (
            f"--rotation-poll-interval is {text}: longer than the kubelet waits, so a mount that hangs can end empty"
        )
        yield Row(
            Level.WARNING, AREA, subject, cause, "set rotationPollInterval to 2m or less: calls do not grow by it"
        )


def _meeting(driver: Workload, provider: Workload) -> Iterator[Row]:
    """Yield where driver and provider do not meet: the folder of sockets, the limit of bytes."""
    subject = f"DaemonSet {driver.place}"
    folder, folders = programs.folder(provider), programs.folders(driver)
    if folder and folders and folder not in folders:
        cause = f"it looks for sockets in {', '.join(folders)}, and {provider.place} has its own in {folder}"
        yield Row(Level.PROBLEM, AREA, subject, cause, "give both one folder: linux.providersDir is the driver's value")
    one = programs.container(provider)
    if programs.is_aws(one):
        return
    try:
        takes = size(programs.option(programs.container(driver), "max-call-recv-msg-size", RECEIVE_LIMIT))
        sends = size(programs.option(one, "max-response-bytes", RECEIVE_LIMIT))
    except ValueError:
        return
    if takes < sends:
        cause = f"it takes {takes:,} bytes, and {provider.place} sends up to {sends:,}: such a pod can start empty"
        remedy = f"set maxCallRecvMsgSize: {sends} there, or --max-response-bytes {takes} here"
        yield Row(Level.PROBLEM, AREA, subject, cause, remedy)


def _sync(workload: Workload, facts: Facts, survey: Survey) -> Iterator[Row]:
    unserved = [one.place for one in survey.mountable if one.driver_secrets]
    if unserved and facts.sync_roles == []:
        cause = f"its sync is off, and nothing writes the secretObjects of {programs.several(unserved)}"
        remedy = 'set syncSecret.enabled: true, or give the classes keyferry.dev/sync: "true" for keyferry sync'
        yield Row(Level.WARNING, AREA, f"DaemonSet {workload.place}", cause, remedy)
