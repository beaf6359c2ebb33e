"""The driver, providers and controllers of a cluster, recognised by what their workloads run. Pure.

By container image, name and arguments, then by the labels that their charts and manifests set: names of workloads are
the installer's choice (``csi-secrets-store``, ``<release>-secrets-store-csi-driver``, ``keyferry-provider``, …).
"""

import posixpath
import re
from collections.abc import Sequence

from driver.cli.checkup.facts import Facts
from driver.cli.checkup.kinds import Container, Pod, PodSpec, Workload

SOCKETS = "/var/run/secrets-store-csi-providers"
"""Where driver and providers meet unless they are told otherwise."""

_DRIVER_FLAGS = (
    "--nodeid",
    "--enable-secret-rotation",
    "--rotation-poll-interval",
    "--additional-provider-volume-paths",
)
_AWS_IMAGE = "secrets-store-csi-driver-provider-aws"
_KES_IMAGE = "kubernetes-external-secrets"
_VERSION = re.compile(r":v?(\d+)\.(\d+)(?:\.(\d+))?")
Version = tuple[int, int, int]


def driver_of(spec: PodSpec) -> Container | None:
    """Return the container of the Secrets Store CSI driver; None in a pod that is something else."""
    for one in spec.containers:
        image = re.split(r"[:@]", one.image.rpartition("/")[2])[0]
        named = image == "driver" and "secrets-store" in one.image
        flagged = any(word.startswith(_DRIVER_FLAGS) for word in (*one.command, *one.args))
        if named or (flagged and one.name == "secrets-store"):
            return one
    return None


def provider_of(spec: PodSpec) -> Container | None:
    """Return the container of keyferry's or the AWS provider; None in a pod that is something else."""
    return next((one for one in spec.containers if is_keyferry(one, "provider") or is_aws(one)), None)


def is_keyferry(container: Container, door: str) -> bool:
    """Tell whether a container runs ``keyferry provider`` or ``keyferry sync``."""
    words = [*container.command, *container.args]
    first = next((word for word in words if not word.startswith("-") and not word.endswith("keyferry")), "")
    ours = "keyferry" in container.image or any(word.endswith("keyferry") for word in container.command)
    ours = ours or (container.name == door and _KES_IMAGE not in container.image)  # an image may be called anything
    return first == door and ours


def is_aws(container: Container) -> bool:
    """Tell whether a container is the AWS provider."""
    return _AWS_IMAGE in container.image or container.name == "provider-aws-installer"


def controller_of(spec: PodSpec) -> Container | None:
    """Return the container of ``keyferry sync``; None in a pod that is something else."""
    return next((one for one in spec.containers if is_keyferry(one, "sync")), None)


def is_kes(spec: PodSpec) -> bool:
    """Tell whether a pod runs kubernetes-external-secrets."""
    return any(_KES_IMAGE in one.image for one in spec.containers)


def is_daemon(workload: Workload) -> bool:
    """Tell whether a DaemonSet is the driver's or a provider's, on Linux."""
    spec = workload.spec.template.spec
    windows = spec.node_selector.get("kubernetes.io/os") == "windows"
    return not windows and (driver_of(spec) or provider_of(spec)) is not None


def is_controller(workload: Workload) -> bool:
    """Tell whether a Deployment serves ExternalSecrets of kubernetes-client.io."""
    spec = workload.spec.template.spec
    return controller_of(spec) is not None or is_kes(spec)


def drivers(facts: Facts) -> list[Workload]:
    """Return the DaemonSets of the driver."""
    return [one for one in facts.daemonsets or () if driver_of(one.spec.template.spec)]


def providers(facts: Facts) -> list[Workload]:
    """Return the DaemonSets of providers."""
    return [one for one in facts.daemonsets or () if provider_of(one.spec.template.spec)]


def container(workload: Workload) -> Container:
    """Return the container that a workload is recognised by."""
    spec = workload.spec.template.spec
    return driver_of(spec) or provider_of(spec) or controller_of(spec) or Container()


def crew(facts: Facts, workload: Workload) -> list[Pod]:
    """Return the running pods of a DaemonSet."""
    uid = workload.metadata.uid
    return [
        pod
        for pod in facts.crews or ()
        if not pod.done and any(owner.uid == uid for owner in pod.metadata.owner_references)
    ]


def provider_name(one: Container) -> str:
    """Return the name that classes write as ``provider``: that of the socket."""
    return option(one, "provider-name", "aws") if is_keyferry(one, "provider") else "aws"


def option(one: Container, name: str, default: str = "") -> str:
    """Return the value of a flag, or of keyferry's variable for it."""
    words = [*one.command, *one.args]
    for index, word in enumerate(words):
        flag, equals, value = word.lstrip("-").partition("=")
        if flag == name and word.startswith("-"):
            following = words[index + 1] if index + 1 < len(words) else "-"
            return value if equals else "true" if following.startswith("-") else following
    variable = "KEYFERRY_" + name.replace("-", "_").upper()
    return next((each.value for each in one.env if each.name == variable and each.value), default)


def version(image: str) -> Version | None:
    """Return the version that an image's tag tells."""
    match = _VERSION.search(image.partition("@")[0].rpartition("/")[2])
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def folder(workload: Workload) -> str:
    """Return the node's folder in which a driver or provider has its sockets; empty when it is none of the node's."""
    one = container(workload)
    return _on_node(workload.spec.template.spec, one, option(one, "provider-volume", SOCKETS))


def folders(workload: Workload) -> list[str]:
    """Return all of the node's folders in which a driver looks for sockets."""
    one = container(workload)
    more = option(one, "additional-provider-volume-paths")
    found = [_on_node(workload.spec.template.spec, one, path) for path in filter(None, more.split(","))]
    return [path for path in (folder(workload), *found) if path]


def _on_node(spec: PodSpec, one: Container, path: str) -> str:
    paths = {volume.name: volume.host_path.path for volume in spec.volumes if volume.host_path}
    mounts: Sequence[tuple[str, str]] = [(each.mount_path.rstrip("/"), each.name) for each in one.volume_mounts]
    for inside, name in sorted(mounts, reverse=True):
        if name in paths and (path.rstrip("/") + "/").startswith(f"{inside}/"):
            return _plain(paths[name] + path.rstrip("/").removeprefix(inside))
    return ""


def _plain(path: str) -> str:
    """Return a path of a node as its other spellings have it too: /var/run is a link to /run."""
    tidy = posixpath.normpath(path)
    return tidy.removeprefix("/var") if tidy.startswith("/var/run/") else tidy


def several(names: Sequence[str], most: int = 3) -> str:
    """Return some names and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
