"""What the doctor says of the providers."""

import pytest

from tests.clusterside import Change, Site, aws_provider, driver, each, klass, provider, thing

NARROW = [{"key": "spot", "operator": "Exists"}]


def old_image(site: Site) -> None:
    pod = site.get("pods", "keyferry-provider-node-a")
    meta = {"ownerReferences": pod["metadata"]["ownerReferences"]}
    containers = [pod["spec"]["containers"][0] | {"image": "keyferry:0.0.9"}]
    spec = pod["spec"] | {"containers": containers}
    site.put(thing("Pod", pod["metadata"]["name"], "kube-system", spec=spec, status=pod["status"], meta=meta))


def without_provider(site: Site) -> None:
    site.api.delete("daemonsets", "kube-system", "keyferry-provider")


BOTH = "kube-system/csi-secrets-store-provider-aws and kube-system/keyferry-provider"
BROKEN: dict[str, tuple[Change, str]] = {
    "none": (without_provider, "problem: provider aws: none runs, and these classes wait for one: shop/db"),
    "another name": (
        lambda s: s.put(provider("--provider-name=keyferry")),
        "problem: provider aws: there is none of this name, but keyferry",
    ),
    "missing on a node": (
        lambda s: s.crew(s.get("daemonsets", "keyferry-provider"), nodes=["node-a"]),
        "problem: 1 node: the driver runs there and no provider: node-b",
    ),
    "not ready": (
        lambda s: s.crew(s.get("daemonsets", "keyferry-provider"), nodes=["node-a", "node-b"], ready=False),
        "problem: node node-b: its provider kube-system/keyferry-provider-node-b is not ready",
    ),
    "both want the socket": (
        lambda s: s.put(aws_provider()),
        f"problem: socket aws.sock: {BOTH} both want aws.sock in /run/secrets-store-csi-providers, on node-a, node-b",
    ),
    "both, but apart": (
        each(
            lambda s: s.put(aws_provider()),
            lambda s: s.crew(s.get("daemonsets", "csi-secrets-store-provider-aws"), nodes=["node-a"]),
            lambda s: s.crew(s.get("daemonsets", "keyferry-provider"), nodes=["node-b"]),
        ),
        f"warning: socket aws.sock: {BOTH} both want aws.sock in /run/secrets-store-csi-providers, on different nodes",
    ),
    "under another name": (
        lambda s: s.put(aws_provider(), provider("--provider-name=keyferry")),
        "note: DaemonSet kube-system/keyferry-provider: keyferry serves classes of provider keyferry, which are not",
    ),
    "two images": (
        old_image,
        "warning: DaemonSet kube-system/keyferry-provider: its pods run 2 images: keyferry:0.0.9,",
    ),
    "narrow": (
        lambda s: s.put(provider(tolerations=[])),
        "warning: DaemonSet kube-system/keyferry-provider: the driver kube-system/csi-secrets-store tolerates all",
    ),
    "in no folder of the node": (
        lambda s: s.put(provider(volumes=[])),
        "problem: DaemonSet kube-system/keyferry-provider: its socket is in no folder of the node",
    ),
    "no driver on a node": (
        lambda s: s.put(thing("Node", "node-c")),
        "warning: 1 node: no driver runs there: node-c",
    ),
}


@pytest.mark.parametrize(("change", "found"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_wrong_with_providers_is_told(site: Site, change: Change, found: str) -> None:
    change(site)
    assert [line for line in site.told() if line.startswith(found)], site.told()


FINE: dict[str, Change] = {
    "beside the AWS provider under another name": lambda s: s.put(
        aws_provider(), provider("--provider-name", "keyferry"), klass("two", provider="keyferry")
    ),
    "a driver as narrow as the provider": lambda s: s.put(driver(tolerations=NARROW), provider(tolerations=NARROW)),
    "Fargate": lambda s: s.put(thing("Node", "f", meta={"labels": {"eks.amazonaws.com/compute-type": "fargate"}})),
    "Windows": lambda s: s.put(thing("Node", "w", meta={"labels": {"kubernetes.io/os": "windows"}})),
}


@pytest.mark.parametrize("change", FINE.values(), ids=FINE.keys())
def test_what_is_well_is_not_told(site: Site, change: Change) -> None:
    change(site)
    assert [line for line in site.told() if not line.startswith("note")] == []


def test_a_provider_that_lost_its_socket_says_so_itself(site: Site) -> None:
    """/readyz of keyferry, through the API server."""
    site.api.pages["/api/v1/namespaces/kube-system/pods/keyferry-provider-node-a:9809/proxy/readyz"] = (
        503,
        b"the socket is not this process's\n",
    )
    site.crew(site.get("daemonsets", "keyferry-provider"), ready=False)
    row = next(row for row in site.rows() if row.subject == "node node-a")
    assert "is not ready: the socket is not this process's" in row.found
    assert row.remedy.startswith("another process took the socket")


def test_without_the_right_to_ask_pods_readiness_still_tells(site: Site) -> None:
    site.api.fail("proxy", 403, times=9)
    site.crew(site.get("daemonsets", "keyferry-provider"), ready=False)
    assert "unknown: get pods/proxy: you may not" in site.told()
    assert [line for line in site.told() if line.startswith("problem: node node-a")]


def test_the_aws_provider_alone_is_noted(site: Site) -> None:
    without_provider(site)
    site.put(aws_provider())
    assert [line for line in site.told() if line.startswith("note")] == [
        "note: DaemonSet kube-system/csi-secrets-store-provider-aws: it is the AWS provider, not keyferry"
    ]
