"""What fails right now."""

import pytest

from tests.clusterside import Change, Site, external_secret, failed_mount, thing, user

MESSAGE = (
    'MountVolume.SetUp failed for volume "s" : rpc error: code = NotFound desc = failed to mount secrets store objects '
    "for pod shop/app-1, err: rpc error: code = NotFound desc = keyferry: shop/db: it does not exist: create it"
)
RECORD = "secrets-store.csi.x-k8s.io/v1"

BROKEN: dict[str, tuple[Change, str]] = {
    "an ExternalSecret fails": (
        lambda s: s.put(external_secret(status="ERROR, data[0] (shop/api): it does not exist: create it")),
        "problem: ExternalSecret shop/api: data[0] (shop/api): it does not exist: create it",
    ),
    "nobody looked at it": (
        lambda s: s.put(external_secret("new", status="")),
        "warning: ExternalSecret shop/new: it has",
    ),
    "a pod waits": (
        lambda s: s.put(user(phase="Pending"), failed_mount("app-1", MESSAGE)),
        "problem: pod shop/app-1: waits for its volume: keyferry: shop/db: it does not exist: create it",
    ),
    "no such class": (
        lambda s: s.put(user("p", mounts="gone")),
        "problem: SecretProviderClass shop/gone: it does not exist, and is mounted by p",
    ),
    "left over": (
        lambda s: s.put(
            thing(
                "SecretProviderClassPodStatus",
                "old-shop-db",
                "shop",
                version=RECORD,
                status={"podName": "old", "secretProviderClassName": "db"},
            )
        ),
        "warning: 1 SecretProviderClassPodStatus: of pods that are gone: shop/old-shop-db",
    ),
}


@pytest.mark.parametrize(("change", "found"), BROKEN.values(), ids=BROKEN.keys())
def test_what_fails_is_told(site: Site, change: Change, found: str) -> None:
    change(site)
    assert [line for line in site.told() if line.startswith(found)], site.told()


FINE: dict[str, Change] = {
    "a pod that waits for something else": lambda s: s.put(user(phase="Pending")),
    "a failure that is over": lambda s: s.put(failed_mount("app-1", MESSAGE)),
    "a pod that has ended": lambda s: s.put(user("job", mounts="gone", phase="Succeeded")),
}


@pytest.mark.parametrize("change", FINE.values(), ids=FINE.keys())
def test_what_does_not_fail_is_not(site: Site, change: Change) -> None:
    change(site)
    assert site.told() == []


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        (MESSAGE, "docs/troubleshooting.md knows the text"),
        ('desc = error connecting to provider "aws": provider not found: provider "aws"', "no provider of the class's"),
        ("driver name secrets-store.csi.k8s.io not found in the list of registered CSI drivers", "the driver is not"),
        ("desc = CSI token error: serviceAccount.tokens not provided", "set tokenRequests"),
        ("something else", "kubectl describe pod -n shop app-1"),
    ],
    ids=["ours", "no provider", "no driver", "no tokens", "unknown"],
)
def test_the_remedy_follows_the_event(site: Site, message: str, remedy: str) -> None:
    site.put(user(phase="Pending"), failed_mount("app-1", message))
    (row,) = [row for row in site.rows() if row.subject == "pod shop/app-1"]
    assert row.remedy.startswith(remedy)


def test_events_are_read_only_while_a_pod_waits(site: Site) -> None:
    site.rows()
    assert [one for one in site.api.requests if one.kind == "/api/v1/events"] == []
