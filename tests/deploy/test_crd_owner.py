"""Whose CRD is it? Helm asks a cluster; here one that answers just that."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.rendered_manifests import helm, template

HELM = helm()
NAME = "externalsecrets.kubernetes-client.io"
GROUP = "/apis/apiextensions.k8s.io/v1"
DISCOVERY: dict[str, Any] = {
    "/version": {"major": "1", "minor": "31", "gitVersion": "v1.31.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [
            {
                "name": "apiextensions.k8s.io",
                "versions": [{"groupVersion": "apiextensions.k8s.io/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "apiextensions.k8s.io/v1", "version": "v1"},
            }
        ],
    },
    GROUP: {
        "kind": "APIResourceList",
        "groupVersion": "apiextensions.k8s.io/v1",
        "resources": [
            {
                "name": "customresourcedefinitions",
                "kind": "CustomResourceDefinition",
                "namespaced": False,
                "verbs": ["get", "list"],
            }
        ],
    },
}


@contextmanager
def cluster(tmp_path: Path, crd: dict[str, Any] | None) -> Iterator[Path]:
    """Yield the kubeconfig of a cluster that has this CRD, or none."""
    found = {**DISCOVERY, **({f"{GROUP}/customresourcedefinitions/{NAME}": crd} if crd else {})}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = found.get(self.path.partition("?")[0])
            body = json.dumps(
                answer or {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
            ).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()


def kubeconfig(tmp_path: Path, server: str) -> Path:
    named = {
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c", **named}))
    return path


def existing(**marks: str) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME, "annotations": {f"meta.helm.sh/release-{k}": v for k, v in marks.items()}},
    }


@pytest.mark.skipif(HELM is None, reason="no helm on PATH or in KEYFERRY_TEST_HELM")
@pytest.mark.parametrize(
    ("crd", "made"),
    [
        pytest.param(None, True, id="there is none"),
        pytest.param(
            existing(name="keyferry", namespace="apps"), True, id="this release's, perhaps of an earlier life"
        ),
        pytest.param(existing(), False, id="of kubernetes-external-secrets"),
        pytest.param({**existing(), "metadata": {"name": NAME}}, False, id="without any annotation"),
        pytest.param(existing(name="keyferry", namespace="other"), False, id="of another release of the same name"),
    ],
)
def test_the_chart_brings_the_crd_unless_somebody_else_has_it(tmp_path: Path, crd: Any, made: bool) -> None:
    assert HELM
    with cluster(tmp_path, crd) as config:
        values = ("--set", "sync.enabled=true,aws.region=eu-west-1", "--namespace", "apps")
        done = template(HELM, *values, "--kubeconfig", str(config), "--dry-run=server")
    assert done.returncode == 0, done.stderr
    assert ("kind: CustomResourceDefinition" in done.stdout) is made
