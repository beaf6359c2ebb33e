"""The chart's default rendering, checked in: ``python -m tests.rendered_manifests --write`` makes it anew with helm.

Helm is the one on PATH, or ``KEYFERRY_TEST_HELM``. Without one nothing is compared.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy/chart"

KUBERNETES = "1.31.0"
"""Told to helm, which has no cluster to ask; no template depends on it."""

_MADE = "# Made from deploy/chart by `make manifests`: change that one."

PROVIDER = f"""\
{_MADE}
#
# `keyferry provider` with the chart's defaults: files in pods, by the Secrets Store CSI driver. Set the image; then
#
#   kubectl apply -f deploy/keyferry-provider.yaml
"""

SYNC = f"""\
{_MADE}
#
# `keyferry sync` with the chart's defaults: Kubernetes Secrets. Set the image and AWS_REGION; then
#
#   kubectl apply --server-side -f deploy/keyferry-sync.yaml
---
# What runs here may read the Secrets of the cluster: guard it as you would kube-system.
apiVersion: v1
kind: Namespace
metadata:
  name: keyferry
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
"""

EVERYTHING = f"""\
{_MADE}
#
# Every switch that gives a right or adds an object; monitoring/ is tested as it is.
"""

NAMESPACES = f"""\
{_MADE}
#
# The sync door for two namespaces.
"""

RENDERED: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "deploy/keyferry-provider.yaml": (PROVIDER, "kube-system", ()),
    "deploy/keyferry-sync.yaml": (
        SYNC,
        "keyferry",
        ("provider.enabled=false", "sync.enabled=true", "aws.region=eu-west-1"),
    ),
    "tests/golden/chart-everything.yaml": (
        EVERYTHING,
        "kube-system",
        (
            "sync.enabled=true",
            # not aws.region, which spares the right to nodes
            "sync.extraEnv[0].name=AWS_REGION,sync.extraEnv[0].value=eu-west-1",
            "sync.tokenRequests.enabled=true",
            "sync.restarts=true",
            "networkPolicy.enabled=true",
            "monitoring.podMonitor.enabled=true",
        ),
    ),
    "tests/golden/chart-namespaces.yaml": (
        NAMESPACES,
        "kube-system",
        (
            "provider.enabled=false",
            "sync.enabled=true",
            "crds.install=false",
            "aws.region=eu-west-1",
            "sync.namespaces={shop,web}",
        ),
    ),
}
"""File: what stands before the rendering, the namespace, the values that are not the default."""


def helm() -> str | None:
    """Return the helm to use."""
    return os.environ.get("KEYFERRY_TEST_HELM") or shutil.which("helm")


def template(program: str, *arguments: str, release: str = "keyferry") -> subprocess.CompletedProcess[str]:
    """Run ``helm template`` on the chart."""
    command = [program, "template", release, str(CHART), "--kube-version", KUBERNETES, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rendered(program: str, name: str) -> str:
    """Return what a checked-in file should be. Raises RuntimeError with what helm says."""
    head, namespace, values = RENDERED[name]
    made = template(program, "--namespace", namespace, *(word for value in values for word in ("--set", value)))
    if made.returncode:
        raise RuntimeError(made.stderr)
    return head + without_helm(made.stdout)


def without_helm(text: str) -> str:
    """Return a rendering without what says that helm has installed it."""
    text = re.sub(r"^# Source: .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ +app\.kubernetes\.io/managed-by: Helm\n", "", text, flags=re.MULTILINE)
    return re.sub(r"^  annotations:\n    helm\.sh/resource-policy: keep\n", "", text, flags=re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Tell which files differ from the chart; with ``--write`` make them anew."""
    program = helm()
    if program is None:
        print("manifests not compared: there is no helm")  # noqa: T201 - a command
        return 1 if "--write" in arguments else 0
    stale = [name for name in RENDERED if not current(program, name)]
    for name in stale:
        if "--write" in arguments:
            (ROOT / name).write_text(rendered(program, name))
        print(f"{'updated' if '--write' in arguments else 'out of date'}: {name}")  # noqa: T201 - a command
    return 1 if stale and "--write" not in arguments else 0


def current(program: str, name: str) -> bool:
    """Tell whether a checked-in file is as the chart makes it."""
    file = ROOT / name
    return file.exists() and file.read_text() == rendered(program, name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
