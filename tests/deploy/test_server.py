"""A real API server takes every object that the chart makes, and its CRD holds. All by dry run: nothing is changed.

Runs when KEYFERRY_TEST_KUBECONFIG names a kubeconfig that may do all, and kubectl is on PATH; the CRD must be there.
"""

import json
import os
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.rendered_manifests import RENDERED, ROOT
from tests.unit.sync.material import external_secret
from tests.unit.sync.test_crd import ACCEPTED

KUBECONFIG = os.environ.get("KEYFERRY_TEST_KUBECONFIG", "")
KUBECTL = shutil.which("kubectl")


with_server = pytest.mark.skipif(
    not (KUBECONFIG and KUBECTL), reason="no kubectl, or KEYFERRY_TEST_KUBECONFIG names no API server"
)


def applied(text: str) -> subprocess.CompletedProcess[str]:
    """Let the API server say what it would do with these objects."""
    assert KUBECTL
    command = [KUBECTL, "--kubeconfig", KUBECONFIG, "apply", "--server-side", "--force-conflicts", "--dry-run=server"]
    return subprocess.run([*command, "-f", "-"], input=text, capture_output=True, text=True, check=False)


@pytest.mark.slow
@with_server
@pytest.mark.parametrize("name", RENDERED)
def test_the_api_server_takes_every_object(name: str) -> None:
    done = applied(known(name))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def one(spec: dict[str, Any]) -> str:
    """Return an ExternalSecret."""
    found = external_secret({"backendType": "secretsManager", **spec})
    return json.dumps({**found, "metadata": {"name": "keyferry-test", "namespace": "default"}})


@pytest.mark.slow
@with_server
@pytest.mark.parametrize("spec", ACCEPTED)
def test_the_crd_accepts_what_kes_accepted(spec: dict[str, Any]) -> None:
    done = applied(one(spec))
    assert done.returncode == 0, done.stderr


REFUSED = [
    pytest.param({"backendType": "parameterStore", "data": []}, "backendType", id="an unknown backend"),
    pytest.param({}, "none of data, dataFrom and dataFromWithOptions is there", id="nothing to read"),
    pytest.param({"data": [{"key": "k"}]}, "either key and name, or path", id="an item without a name"),
    pytest.param({"data": [{"key": "k", "name": "n", "path": "/p"}]}, "either key and name, or path", id="both"),
    pytest.param({"dataFromWithOptions": [{"isBinary": True}]}, "key: Required value", id="options without a key"),
    pytest.param({"dataForm": ["k"], "data": []}, "dataForm: field not declared", id="a misspelt field"),
]


@pytest.mark.slow
@with_server
@pytest.mark.parametrize(("spec", "message"), REFUSED)
def test_the_crd_says_what_is_wrong(spec: dict[str, Any], message: str) -> None:
    done = applied(one(spec))
    assert done.returncode == 1
    assert message in done.stderr


def known(name: str) -> str:
    """Return a file's objects in a namespace that there is, without those of the Prometheus operator."""
    text = (ROOT / name).read_text().replace("namespace: keyferry\n", "namespace: kube-system\n")
    objects = [found for found in yaml.safe_load_all(text) if found]
    items = [found for found in objects if "monitoring.coreos.com" not in found["apiVersion"]]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})  # JSON: kubectl takes YAML's n for false


@pytest.mark.skipif(not KUBECTL, reason="no kubectl on PATH")
def test_kustomize_builds_the_first_door() -> None:
    assert KUBECTL
    done = subprocess.run([KUBECTL, "kustomize", str(ROOT / "deploy")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = {(found["kind"], found["metadata"]["name"]) for found in yaml.safe_load_all(done.stdout)}
    text = (ROOT / "deploy/keyferry-provider.yaml").read_text()
    assert built == {(f["kind"], f["metadata"]["name"]) for f in yaml.safe_load_all(text) if f}
