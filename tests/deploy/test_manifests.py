"""The checked-in manifests: hardened, probed and bounded as they must be, with arguments that keyferry takes."""

import argparse
import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import driver
from driver.config import PROVIDER_OPTIONS, SYNC_OPTIONS, provider_settings, sync_settings
from driver.health import parse_address
from driver.options import size
from driver.sync.leader import LEASE_NAME
from tests.rendered_manifests import RENDERED

ROOT = Path(__file__).parents[2]
OBJECTS: dict[str, list[dict[str, Any]]] = {
    name: [found for found in yaml.safe_load_all((ROOT / name).read_text()) if found] for name in RENDERED
}
PEAK = {"provider": 82, "sync": 59}
"""Megabytes that ``make bench`` and ``make bench-sync`` saw at most."""


@dataclass(frozen=True)
class Door:
    name: str
    workload: dict[str, Any]

    @property
    def pod(self) -> dict[str, Any]:
        return self.workload["spec"]["template"]["spec"]  # type: ignore[no-any-return] # of a manifest

    @property
    def container(self) -> dict[str, Any]:
        (only,) = self.pod["containers"]
        return only  # type: ignore[no-any-return] # of a manifest

    @property
    def security(self) -> dict[str, Any]:
        return {**self.pod["securityContext"], **self.container["securityContext"]}

    def environ(self, **injected: str) -> dict[str, str]:
        return {e["name"]: e.get("value") or injected[e["name"]] for e in self.container["env"]}


def workloads() -> list[Door]:
    kinds = {"DaemonSet": "provider", "Deployment": "sync"}
    return [Door(kinds[found["kind"]], found) for some in OBJECTS.values() for found in some if found["kind"] in kinds]


DOORS = workloads()
PROVIDER, SYNC = DOORS[:2]
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
every_file = pytest.mark.parametrize("objects", OBJECTS.values(), ids=OBJECTS)


def flags(door: Door) -> dict[str, object]:
    """Return what the real command makes of the container's arguments."""
    command, *arguments = door.container["args"]
    assert command == door.name
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    importlib.import_module(f"driver.cli.{command}").add_arguments(parser)
    return vars(parser.parse_args(arguments))


def of(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [found for found in objects if found["kind"] == kind]


def test_doors() -> None:
    assert [door.name for door in DOORS] == ["provider", "sync", "provider", "sync", "sync"]


@every_door
def test_a_container_can_gain_no_rights_and_change_no_file(door: Door) -> None:
    assert door.security["allowPrivilegeEscalation"] is False
    assert door.security["readOnlyRootFilesystem"] is True
    assert door.security["capabilities"] == {"drop": ["ALL"]}
    assert door.security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"privileged", "procMount"} & door.security.keys()
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "initContainers"} & door.pod.keys()


def against_restricted(door: Door) -> set[str]:
    """Return what Pod Security's level ``restricted`` has against a pod, beyond the test above."""
    volumes = [kind for volume in door.pod.get("volumes", ()) for kind in volume if kind != "name"]
    allowed = {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
    found = {f"volume {kind}" for kind in volumes if kind not in allowed}
    if not door.security.get("runAsNonRoot") or not door.security["runAsUser"]:
        found.add("root")
    return found | {"host port" for port in door.container["ports"] if "hostPort" in port}


def test_sync_meets_pod_securitys_strictest_level() -> None:
    assert against_restricted(SYNC) == set()


def test_the_provider_falls_short_of_it_only_by_the_sockets_folder_and_root_who_owns_it() -> None:
    assert against_restricted(PROVIDER) == {"volume hostPath", "root"}
    writable = [m["mountPath"] for m in PROVIDER.container["volumeMounts"] if not m.get("readOnly")]
    assert writable == ["/var/run/secrets-store-csi-providers"]


def test_the_namespace_of_sync_asks_for_that_level() -> None:
    (namespace,) = of(OBJECTS["deploy/keyferry-sync.yaml"], "Namespace")
    assert namespace["metadata"]["name"] == SYNC.workload["metadata"]["namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_sync_runs_as_the_images_user() -> None:
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user
    assert (SYNC.security["runAsUser"], SYNC.security["runAsGroup"]) == (int(user[1]), int(user[2]))


def test_the_provider_takes_its_settings() -> None:
    settings = provider_settings(flags(PROVIDER), PROVIDER.environ(NODE_NAME="node-1"))
    assert (settings.provider_name, settings.node_name, settings.region) == ("aws", "node-1", "")
    mounted = {m["mountPath"]: m["name"] for m in PROVIDER.container["volumeMounts"]}
    host = {v["name"]: v["hostPath"]["path"] for v in PROVIDER.pod["volumes"]}
    assert host[mounted[str(settings.provider_volume)]] == str(settings.provider_volume)


def test_the_provider_sees_the_folder_that_the_driver_looks_into_first() -> None:
    seen = {m["mountPath"] for m in PROVIDER.container["volumeMounts"] if m.get("readOnly")}
    assert seen == {str(found) for found in importlib.import_module("driver.cli.provider").OTHER_DIRECTORIES}


def test_sync_takes_its_settings_and_keeps_its_lease_beside_it() -> None:
    settings = sync_settings(flags(SYNC), SYNC.environ(POD_NAMESPACE="keyferry"))
    assert (settings.region, settings.leader_elect, settings.lease_namespace) == ("eu-west-1", True, "keyferry")


@every_door
def test_variables_are_read_by_keyferry(door: Door) -> None:
    options = (*PROVIDER_OPTIONS, *SYNC_OPTIONS)
    assert {e["name"] for e in door.container["env"]} <= {name for o in options for name in (o.variable, o.also)}


@every_door
def test_no_variable_comes_from_the_name_of_a_service(door: Door) -> None:
    assert door.pod["enableServiceLinks"] is False


@every_door
def test_probes_ask_pages_that_there_are(door: Door) -> None:
    (port,) = door.container["ports"]
    address = str(flags(door)["metrics_address"])
    assert parse_address(address) == ("", port["containerPort"])  # every address: of IPv4 and of IPv6 clusters
    pages = {kind: door.container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: page["path"] for kind, page in pages.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {page["port"] for page in pages.values()} == {port["name"]}


@every_door
def test_memory_is_limited_with_reserve_and_cpu_is_not(door: Door) -> None:
    limits, requests = door.container["resources"]["limits"], door.container["resources"]["requests"]
    assert limits.keys() == {"memory"}
    assert size(limits["memory"]) >= 1.5 * (PEAK[door.name] << 20)
    assert requests.keys() == {"cpu", "memory"}
    assert size(requests["memory"]) <= size(limits["memory"])


def test_calls_in_flight_have_their_time_before_the_kubelet_kills() -> None:
    grace = provider_settings(flags(PROVIDER), {}).grace
    assert PROVIDER.pod["terminationGracePeriodSeconds"] >= grace + 10


def test_two_providers_never_overlap_on_a_node() -> None:
    strategy = PROVIDER.workload["spec"]["updateStrategy"]
    assert strategy["type"] == "RollingUpdate"
    assert strategy["rollingUpdate"]["maxSurge"] == 0
    assert strategy["rollingUpdate"]["maxUnavailable"] not in (0, "0%")


def test_the_provider_is_wherever_linux_pods_may_be() -> None:
    assert PROVIDER.pod["tolerations"] == [{"operator": "Exists"}]
    assert PROVIDER.pod["priorityClassName"] == "system-node-critical"
    assert PROVIDER.pod["nodeSelector"] == SYNC.pod["nodeSelector"] == {"kubernetes.io/os": "linux"}


def test_of_two_replicas_of_sync_one_stays() -> None:
    (budget,) = of(OBJECTS["deploy/keyferry-sync.yaml"], "PodDisruptionBudget")
    assert (SYNC.workload["spec"]["replicas"], budget["spec"]["maxUnavailable"]) == (2, 1)
    assert budget["spec"]["selector"] == SYNC.workload["spec"]["selector"]
    assert {each["labelSelector"]["matchLabels"].get("app.kubernetes.io/component") for each in spread()} == {"sync"}
    assert [each["topologyKey"] for each in spread()] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def spread() -> list[dict[str, Any]]:
    return SYNC.pod["topologySpreadConstraints"]  # type: ignore[no-any-return] # of a manifest


@every_door
def test_a_workload_selects_its_own_pods(door: Door) -> None:
    selector = door.workload["spec"]["selector"]["matchLabels"]
    labels = door.workload["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()
    assert selector["app.kubernetes.io/component"] == door.name


@every_door
def test_the_image_is_of_this_version(door: Door) -> None:
    assert door.container["image"] == f"registry.example.com/keyferry:{driver.__version__}"


@every_file
def test_objects_are_labelled_and_none_says_that_helm_manages_it(objects: list[dict[str, Any]]) -> None:
    for found in objects:
        labels = found["metadata"].get("labels", {})
        assert found["kind"] == "Namespace" or labels["app.kubernetes.io/name"] == "keyferry"
        assert "helm" not in yaml.safe_dump(found["metadata"]).lower()


@every_file
def test_accounts_are_bound_to_the_roles_that_are_there(objects: list[dict[str, Any]]) -> None:
    accounts = {(f["metadata"]["name"], f["metadata"]["namespace"]) for f in of(objects, "ServiceAccount")}
    roles = {f["metadata"]["name"] for f in [*of(objects, "ClusterRole"), *of(objects, "Role")]}
    bindings = [*of(objects, "ClusterRoleBinding"), *of(objects, "RoleBinding")]
    assert {(s["name"], s["namespace"]) for f in bindings for s in f["subjects"]} == accounts
    assert {f["roleRef"]["name"] for f in bindings} == roles


def test_the_lease_that_may_be_changed_is_the_one_that_is_used() -> None:
    (role,) = of(OBJECTS["deploy/keyferry-sync.yaml"], "Role")
    assert [rule.get("resourceNames") for rule in role["rules"]] == [None, [LEASE_NAME]]


def test_the_second_door_brings_the_crd() -> None:
    (brought,) = of(OBJECTS["deploy/keyferry-sync.yaml"], "CustomResourceDefinition")
    source = yaml.safe_load((ROOT / "deploy/chart/crd/externalsecrets.yaml").read_text())
    assert brought["spec"] == source["spec"]


def test_kustomize_takes_the_first_door_and_names_the_second() -> None:
    text = (ROOT / "deploy/kustomization.yaml").read_text()
    found = yaml.safe_load(text)
    assert found["resources"] == ["keyferry-provider.yaml"]
    assert "# - keyferry-sync.yaml" in text
    assert found["images"][0]["newTag"] == driver.__version__
    assert f"{found['images'][0]['name']}:{driver.__version__}" == PROVIDER.container["image"]
