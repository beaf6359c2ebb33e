"""The chart: what it makes of its values, where helm is; its default rendering is what is checked in."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import driver
from tests.deploy.values import CHART
from tests.rendered_manifests import KUBERNETES, RENDERED, current, helm, template

HELM = helm()
with_helm = pytest.mark.skipif(HELM is None, reason="no helm on PATH or in KEYFERRY_TEST_HELM")


def test_the_chart_has_the_products_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (driver.__version__, driver.__version__)
    assert "dependencies" not in chart


@with_helm
def test_helm_finds_nothing_to_complain_of() -> None:
    assert HELM
    command = [HELM, "lint", "--strict", str(CHART), "--kube-version", KUBERNETES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@with_helm
@pytest.mark.parametrize("name", RENDERED)
def test_what_is_checked_in_is_what_the_chart_makes(name: str) -> None:
    """``make manifests`` makes it anew."""
    assert HELM
    assert current(HELM, name)


def made(*settings: str) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the objects of a rendering by kind, namespace and name."""
    assert HELM
    both = ("--set", "sync.enabled=true,aws.region=eu-west-1", "--namespace", "apps")
    done = template(HELM, *both, *(word for setting in settings for word in ("--set", setting)))
    assert done.returncode == 0, done.stderr
    found = [each for each in yaml.safe_load_all(done.stdout) if each]
    keyed = {(f["kind"], f["metadata"].get("namespace", ""), f["metadata"]["name"]): f for f in found}
    assert len(keyed) == len(found)
    return keyed


SWITCHES = [
    pytest.param("provider.enabled=false", -4, id="no provider"),
    pytest.param("sync.replicas=1", -1, id="one replica"),
    pytest.param("sync.serviceAccount.create=false", -1, id="a service account of one's own"),
    pytest.param("rbac.create=false", -6, id="rights of one's own"),
    pytest.param("crds.install=false", -1, id="no CRD"),
    pytest.param("networkPolicy.enabled=true", 2, id="network policies"),
    pytest.param("monitoring.podMonitor.enabled=true", 1, id="a pod monitor"),
    pytest.param("monitoring.prometheusRule.enabled=true", 1, id="alerts"),
    pytest.param("monitoring.dashboard.enabled=true", 1, id="a dashboard"),
    pytest.param("provider.namespaces={shop,web}", 2, id="a provider for two namespaces"),
    pytest.param("sync.namespaces={shop,web}", 4, id="sync in two namespaces"),
    pytest.param("fullnameOverride=kf", 0, id="names of one's own"),
]


@with_helm
@pytest.mark.parametrize(("setting", "more"), SWITCHES)
def test_every_switch_adds_or_takes_away_its_objects(setting: str, more: int) -> None:
    assert len(made(setting)) == len(made()) + more


def pod(found: dict[tuple[str, str, str], dict[str, Any]], kind: str) -> dict[str, Any]:
    (workload,) = (each for (of, _, _), each in found.items() if of == kind)
    return workload["spec"]["template"]["spec"]  # type: ignore[no-any-return] # of a manifest


@with_helm
def test_settings_become_flags() -> None:
    provider = "provider.settings.maxResponseBytes=8388608,provider.settings.staleLimit=0,provider.settings.grace=1m30s"
    found = made(provider, "sync.settings.enforcePermissions=true,sync.settings.pollInterval=5m", "sync.restarts=true")
    arguments = pod(found, "DaemonSet")["containers"][0]["args"]
    assert {"--max-response-bytes=8388608", "--stale-limit=0", "--grace=1m30s"} <= set(arguments)
    assert pod(found, "DaemonSet")["terminationGracePeriodSeconds"] == 100
    arguments = pod(found, "Deployment")["containers"][0]["args"]
    assert arguments[2:] == ["--restarts", "--enforce-permissions", "--poll-interval=5m"]


@with_helm
def test_rights_are_roles_in_the_namespaces_that_are_named() -> None:
    found = made("sync.namespaces={shop,web}", "provider.namespaces={shop}")
    roles = {key: [rule["resources"] for rule in each["rules"]] for key, each in found.items() if "Role" in key[0][-4:]}
    assert roles["Role", "shop", "keyferry-sync"] == roles["Role", "web", "keyferry-sync"]
    assert ["secrets"] in roles["Role", "shop", "keyferry-sync"]
    assert {key: roles[key] for key in roles if key[0] == "ClusterRole"} == {
        ("ClusterRole", "", "keyferry-sync"): [["namespaces"]]
    }
    assert found["ClusterRole", "", "keyferry-sync"]["rules"][0]["resourceNames"] == ["shop", "web"]
    assert "--namespace=shop,web" in pod(found, "Deployment")["containers"][0]["args"]


@with_helm
def test_token_requests_are_held_to_the_accounts_that_are_named() -> None:
    found = made("sync.tokenRequests.enabled=true", "sync.tokenRequests.serviceAccounts={shop}")
    rules = {rule["resources"][0]: rule for rule in found["ClusterRole", "", "keyferry-sync"]["rules"]}
    assert rules["serviceaccounts/token"]["resourceNames"] == rules["serviceaccounts"]["resourceNames"] == ["shop"]


@with_helm
def test_pods_take_what_a_cluster_adds(tmp_path: Path) -> None:
    more = {
        "podLabels": {"team": "platform", "app.kubernetes.io/component": "mine"},
        "podAnnotations": {"note": "1"},
        "extraEnv": [{"name": "AWS_CA_BUNDLE", "value": "/ca/ca.crt"}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca", "readOnly": True}],
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"provider": more, "sync": {"enabled": True, **more}}))
    assert HELM
    done = template(HELM, "-f", str(tmp_path / "values.yaml"), "--set", "aws.region=eu-west-1,aws.useFipsEndpoint=true")
    workloads = [
        each for each in yaml.safe_load_all(done.stdout) if each and each["kind"] in {"DaemonSet", "Deployment"}
    ]
    assert len(workloads) == 2
    for workload in workloads:
        template_ = workload["spec"]["template"]
        assert template_["metadata"]["labels"]["team"] == "platform"
        assert workload["spec"]["selector"]["matchLabels"].items() <= template_["metadata"]["labels"].items()
        assert template_["metadata"]["annotations"] == {"note": "1"}
        names = [variable["name"] for variable in template_["spec"]["containers"][0]["env"]]
        assert names[1:] == ["AWS_REGION", "AWS_USE_FIPS_ENDPOINT", "AWS_CA_BUNDLE"]
        assert template_["spec"]["volumes"][-1]["configMap"] == {"name": "ca"}
        assert template_["spec"]["containers"][0]["volumeMounts"][-1]["mountPath"] == "/ca"


@with_helm
def test_an_image_by_digest() -> None:
    digest = "sha256:" + "0" * 64
    found = made(f"image.digest={digest}", "image.repository=r.example.com/a/keyferry")
    assert pod(found, "Deployment")["containers"][0]["image"] == f"r.example.com/a/keyferry@{digest}"


@with_helm
def test_a_parent_chart_may_share_its_values() -> None:
    assert made("global.x=1", "enabled=true").keys() == made().keys()


@with_helm
def test_names_that_yaml_takes_for_something_else_stay_names() -> None:
    assert HELM
    odd = (
        "sync.enabled=true,aws.region=eu-west-1,nameOverride=on,sync.serviceAccount.name=no",
        "sync.namespaces={1,y}",
    )
    done = template(HELM, "--namespace", "123", "--set", odd[0], "--set-string", odd[1])
    found = [each["metadata"] for each in yaml.safe_load_all(done.stdout) if each]
    assert {meta["namespace"] for meta in found if "namespace" in meta} == {"123", "1", "y"}
    assert {meta["labels"]["app.kubernetes.io/name"] for meta in found} == {
        "on",
        "keyferry",
    }  # the CRD is every release's
    assert "no" in {meta["name"] for meta in found}


@with_helm
def test_alerts_and_dashboard_are_the_files_of_the_chart() -> None:
    found = made("monitoring.prometheusRule.enabled=true", "monitoring.dashboard.enabled=true")
    rule = found["PrometheusRule", "apps", "keyferry"]
    assert rule["spec"] == yaml.safe_load((CHART / "monitoring/alerts.yaml").read_text())
    dashboard = found["ConfigMap", "apps", "keyferry-dashboard"]["data"]["keyferry.json"]
    assert json.loads(dashboard) == json.loads((CHART / "monitoring/dashboard.json").read_text())


@with_helm
def test_the_crd_outlives_the_release() -> None:
    crd = made()["CustomResourceDefinition", "", "externalsecrets.kubernetes-client.io"]
    assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
