"""What the doctor says of the driver: one part of a good cluster is broken at a time."""

import pytest

from tests.clusterside import AUDIENCES, Change, Site, aws_provider, csi_driver, driver, klass, provider, thing

STS, PODS = ({"audience": one} for one in AUDIENCES)
ROTATING = "--enable-secret-rotation=true"


def test_a_good_cluster_has_nothing_to_tell(site: Site) -> None:
    assert site.told() == []


BROKEN: dict[str, tuple[Change, str]] = {
    "no pod names": (lambda s: s.put(csi_driver(podInfoOnMount=False)), "problem: * podInfoOnMount is not true"),
    "not inline": (lambda s: s.put(csi_driver(volumeLifecycleModes=["Persistent"])), "problem: * have Ephemeral"),
    "no audience, used": (
        lambda s: s.put(csi_driver(tokenRequests=[PODS])),
        "problem: * lacks the audience sts.amazonaws.com, for IAM roles for service accounts; needed by 1 class",
    ),
    "no audience, unused": (
        lambda s: s.put(csi_driver(tokenRequests=[STS])),
        "warning: * pods.eks.amazonaws.com, for EKS Pod Identity; no class needs it yet",
    ),
    "no audience for pod identity": (
        lambda s: s.put(csi_driver(tokenRequests=[STS]), klass("two", usePodIdentity="true")),
        "problem: * pods.eks.amazonaws.com, for EKS Pod Identity; needed by 1 class with usePodIdentity",
    ),
    "tokens where an old driver does not look": (
        lambda s: s.put(csi_driver(serviceAccountTokenInSecrets=True), driver("v1.5.6")),
        "problem: * serviceAccountTokenInSecrets is true, and a driver older than 1.6.0",
    ),
    "no CSIDriver": (
        lambda s: s.api.delete("csidrivers", "", "secrets-store.csi.k8s.io"),
        "problem: * it does not exist: no pod can mount a class",
    ),
    "no CRD": (
        lambda s: s.api.delete("customresourcedefinitions", "", "secretproviderclasses.secrets-store.csi.x-k8s.io"),
        "problem: CRD secretproviderclasses.* it does not exist",
    ),
    "no DaemonSet": (
        lambda s: s.api.delete("daemonsets", "kube-system", "csi-secrets-store"),
        "problem: * there is none",
    ),
    "old": (lambda s: s.put(driver("v1.4.7")), "warning: * version 1.4.7, older than the tested 1.6.0"),
    "new": (lambda s: s.put(driver("v1.7.1")), "note: * version 1.7.1, newer"),
    "no version": (lambda s: s.put(driver("latest")), "unknown: * does not tell the driver's version"),
    "rotation off": (lambda s: s.put(driver(args=())), "warning: * rotation is off, though requiresRepublish is on"),
    "both off": (
        lambda s: s.put(driver(args=()), csi_driver(requiresRepublish=False)),
        "warning: * rotation is off: files keep",
    ),
    "never asked again": (
        lambda s: s.put(csi_driver(requiresRepublish=False)),
        "problem: * rotation is on, and the CSIDriver's requiresRepublish is not",
    ),
    "long interval": (
        lambda s: s.put(driver(args=(ROTATING, "--rotation-poll-interval=1h"))),
        "warning: * --rotation-poll-interval is 1h: longer than the kubelet waits",
    ),
    "another folder": (
        lambda s: s.put(provider(folder="/etc/kubernetes/providers")),
        "problem: * has its own in /etc/kubernetes/providers",
    ),
    "takes less": (
        lambda s: s.put(driver(args=(ROTATING, "--max-call-recv-msg-size=1048576"))),
        "problem: * takes 1,048,576 bytes, and kube-system/keyferry-provider sends up to 4,194,304",
    ),
    "not ready": (
        lambda s: s.crew(s.get("daemonsets", "csi-secrets-store"), ready=False),
        "problem: * its pod is not ready on node-a, node-b",
    ),
    "nobody writes secretObjects": (
        lambda s: s.put(klass(secret="db")),
        "warning: * its sync is off, and nothing writes the secretObjects of shop/db",
    ),
}


@pytest.mark.parametrize(("change", "found"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_wrong_with_the_driver_is_told(site: Site, change: Change, found: str) -> None:
    change(site)
    start, _, end = found.rpartition("* ")
    assert [line for line in site.told() if line.startswith(start) and end in line], site.told()


FINE: dict[str, Change] = {
    "an old driver rotates by itself": lambda s: s.put(driver("v1.5.6"), csi_driver(requiresRepublish=False)),
    "a link to the same folder": lambda s: s.put(provider(folder="/run/secrets-store-csi-providers")),
    "its second folder": lambda s: s.put(
        driver(
            args=(ROTATING, "--additional-provider-volume-paths=/etc/kubernetes/x"),
            volumes=[
                {"name": n, "hostPath": {"path": p}} for n, p in (("sockets", "/a"), ("more", "/etc/kubernetes/x"))
            ],
        ),
        provider(folder="/a"),
    ),
    "the driver's sync writes them": lambda s: s.put(
        klass(secret="db"),
        thing("ClusterRole", "secretprovidersyncing-role", version="rbac.authorization.k8s.io/v1"),
    ),
    "flag and value apart": lambda s: s.put(driver(args=("--enable-secret-rotation", "true"))),
    "Windows": lambda s: s.put(driver(nodeSelector={"kubernetes.io/os": "windows"}), driver()),
}


@pytest.mark.parametrize("change", FINE.values(), ids=FINE.keys())
def test_what_is_well_is_not_told(site: Site, change: Change) -> None:
    change(site)
    assert [line for line in site.told() if "older than the tested" not in line] == []


def test_a_cluster_without_the_driver_is_fine_when_nothing_mounts(site: Site) -> None:
    for kind, name in (("csidrivers", "secrets-store.csi.k8s.io"), ("secretproviderclasses", "db"), ("pods", "app-1")):
        site.api.delete(kind, {"csidrivers": ""}.get(kind, "shop"), name)
    for name in ("csi-secrets-store", "keyferry-provider"):
        site.api.delete("daemonsets", "kube-system", name)
    assert [line for line in site.told() if not line.startswith("note")] == []
    site.put(klass())
    assert "problem: CSIDriver secrets-store.csi.k8s.io: the driver is not installed: no pod can mount a class" in (
        site.told()
    )


def test_the_aws_provider_has_no_limit_of_bytes_to_compare(site: Site) -> None:
    site.api.delete("daemonsets", "kube-system", "keyferry-provider")
    site.put(aws_provider(), driver(args=(ROTATING, "--max-call-recv-msg-size=1024")))
    assert [line for line in site.told() if "bytes" in line] == []
