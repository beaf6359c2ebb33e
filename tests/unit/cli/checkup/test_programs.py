"""Workloads are recognised by what they run."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from driver.cli.checkup import programs
from driver.cli.checkup.kinds import Container, PodSpec, Workload

DEPLOY = Path(__file__).parents[4] / "deploy"
REGISTRY = "602401143452.dkr.ecr.eu-west-1.amazonaws.com"


def pod(**container: Any) -> PodSpec:
    return msgspec.convert({"containers": [{"name": "x"}, container]}, PodSpec)


def rendered(file: str, kind: str) -> Workload:
    documents = yaml.safe_load_all((DEPLOY / file).read_text())
    return msgspec.convert(next(one for one in documents if one and one["kind"] == kind), Workload)


@pytest.mark.parametrize(
    "container",
    [
        {"name": "secrets-store", "image": "registry.k8s.io/csi-secrets-store/driver:v1.6.0"},
        {"name": "secrets-store", "image": "mirror.example.com:5000/x/csi-secrets-store/driver@sha256:abc"},
        {"name": "secrets-store", "image": f"{REGISTRY}/eks/own:1", "args": ["--nodeid=$(KUBE_NODE_NAME)"]},
    ],
    ids=["official", "mirror, by digest", "own image"],
)
def test_the_driver_is_recognised(container: dict[str, Any]) -> None:
    assert programs.driver_of(pod(**container))
    assert programs.provider_of(pod(**container)) is None


@pytest.mark.parametrize(
    "container",
    [
        {"image": "public.ecr.aws/aws-secrets-manager/secrets-store-csi-driver-provider-aws:3.1.1"},
        {"name": "provider-aws-installer", "image": f"{REGISTRY}/own:1", "args": ["--provider-volume=/x"]},
        {"image": "reg/keyferry:0.1.0", "args": ["provider"]},
        {"image": "reg/tool@sha256:abc", "command": ["/opt/keyferry/bin/keyferry", "provider"]},
        {"name": "provider", "image": "reg/tool:1", "args": ["provider"]},
    ],
    ids=["AWS", "AWS, own image", "keyferry", "keyferry, own image", "keyferry, own image by the chart"],
)
def test_providers_are_recognised(container: dict[str, Any]) -> None:
    assert programs.provider_of(pod(**container))
    assert programs.driver_of(pod(**container)) is None


def test_what_the_chart_makes_is_recognised() -> None:
    provider = rendered("keyferry-provider.yaml", "DaemonSet")
    assert programs.is_daemon(provider)
    assert programs.provider_name(programs.container(provider)) == "aws"
    assert programs.folder(provider) == "/run/secrets-store-csi-providers"
    assert programs.is_controller(rendered("keyferry-sync.yaml", "Deployment"))


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry.k8s.io/csi-secrets-store/driver:v1.6.0", (1, 6, 0)),
        ("reg:5000/driver:1.5", (1, 5, 0)),
        ("reg/driver:v1.4.8-eksbuild.1", (1, 4, 8)),
        ("reg:5000/driver", None),
        ("reg/driver:latest", None),
        ("reg/driver@sha256:1.2", None),
    ],
)
def test_a_version_is_read_from_an_images_tag(image: str, version: programs.Version | None) -> None:
    assert programs.version(image) == version


@pytest.mark.parametrize(
    "container",
    [
        {"args": ["provider", "--provider-name=own"]},
        {"args": ["provider", "--provider-name", "own"]},
        {"args": ["provider"], "env": [{"name": "KEYFERRY_PROVIDER_NAME", "value": "own"}]},
    ],
    ids=["=", "apart", "variable"],
)
def test_a_setting_is_read_however_it_is_given(container: dict[str, Any]) -> None:
    one = msgspec.convert(container | {"image": "keyferry"}, Container)
    assert programs.provider_name(one) == "own"
