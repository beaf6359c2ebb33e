"""What the demo puts in place of a cluster and of AWS: tokens, a kubeconfig, values, and the processes that it starts.

Stand-ins for the demo alone: no token here is signed, and nothing leaves the loopback interface.
"""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import urllib3
import yaml

from driver.errors import Unusable
from driver.model import Pod, Token

_START = 15.0
"""Seconds that a process has to serve, and later to end."""

_NO_PROXY = {"NO_PROXY": "*", "no_proxy": "*"}


def expect(true: bool, otherwise: str) -> None:
    """Raise Unusable, and so end the demo, when a step is not as the demo says."""
    if not true:
        raise Unusable("demo", otherwise, "please report it, with the log below")


def token(pod: Pod, account: str, audience: str) -> Token:
    """Return a token as the kubelet mounts it, but without a signature."""
    now = int(time.time())
    claims = {
        "aud": [audience],
        "exp": now + 3600,
        "iat": now,
        "iss": "https://demo.invalid",
        "kubernetes.io": {
            "namespace": pod.namespace,
            "pod": {"name": pod.name, "uid": pod.uid},
            "serviceaccount": {"name": account, "uid": "00000000-0000-4000-8000-000000000001"},
        },
        "sub": f"system:serviceaccount:{pod.namespace}:{account}",
    }
    parts = (json.dumps({"alg": "RS256"}).encode(), json.dumps(claims).encode(), b"no signature")
    return Token(".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts))


def write_kubeconfig(path: Path, url: str) -> None:
    """Write a kubeconfig whose current context is the server at ``url``."""
    document = {
        "clusters": [{"name": "demo", "cluster": {"server": url}}],
        "contexts": [{"name": "demo", "context": {"cluster": "demo"}}],
        "current-context": "demo",
    }
    path.write_text(yaml.safe_dump(document))


class Cloud:
    """The AWS stand-in from outside: puts values into its stores. It checks no signature, so none is made."""

    def __init__(self, url: str, account: str, region: str) -> None:
        self.url = url
        self._account = account
        self.region = region

    def call(self, service: str, operation: str, body: Mapping[str, object]) -> None:
        """Make a call of an AWS JSON API. Raises Unusable when it fails."""
        targets = {"secretsmanager": "secretsmanager", "ssm": "AmazonSSM"}
        scope = f"demo/20260101/{self.region}/{service}/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=demo",
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{targets[service]}.{operation}",
            "X-Moto-Account-Id": self._account,
        }
        answer = urllib3.request("POST", self.url, headers=headers, body=json.dumps(body), retries=False, timeout=20)
        if answer.status != 200:
            raise Unusable("demo", f"the AWS stand-in answered {operation} with {answer.status}", "update moto")


class _Running:
    """A keyferry of the demo's own, told by flags and variables alone; its log goes to ``log``."""

    name = ""

    def __init__(self, folder: Path, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        self.log = folder / f"{self.name}.log"
        self._audit = folder / f"{self.name}.audit.jsonl"
        command = [sys.executable, "-m", "driver", self.name, *arguments]
        command += ["--metrics-address", "", "--log-format", "text"]
        clean = {k: v for k, v in os.environ.items() if not k.upper().startswith(("AWS_", "KEYFERRY_"))}
        with self.log.open("wb") as log, self._audit.open("wb") as audit:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command, env={**clean, **variables}, stdout=audit, stderr=log, stdin=subprocess.DEVNULL
            )
        self.pid = self._process.pid

    def wait_until_served(self) -> None:
        """Return once it is at work. Raises Unusable when it does not come to that."""
        end = time.monotonic() + _START
        while not self._serves():
            if self._process.poll() is not None or time.monotonic() > end:
                raise Unusable("demo", f"keyferry {self.name} did not start", "its log below says why")
            time.sleep(0.01)

    def _serves(self) -> bool:
        raise NotImplementedError

    def stop(self) -> int:
        """Send SIGTERM and return the exit code; a process that does not obey is killed."""
        self._process.terminate()
        try:
            return self._process.wait(_START)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class Process(_Running):
    """A running ``keyferry provider``, started as on a node."""

    name = "provider"

    def __init__(self, folder: Path, url: str, kubeconfig: Path, freshness: str) -> None:
        self.socket = folder / "aws.sock"
        arguments = ["--provider-volume", str(folder), "--provider-name", "aws"]
        arguments += ["--kubeconfig", str(kubeconfig), "--freshness", freshness]
        super().__init__(folder, arguments, {"AWS_ENDPOINT_URL": url, **_NO_PROXY})

    def _serves(self) -> bool:
        return self.socket.is_socket()

    def audit(self, pod: str, at_least: int) -> list[dict[str, str]]:
        """Return the audit records of a pod. They are written beside the answer, so a moment is given to them."""
        end = time.monotonic() + 2
        while True:
            records = [json.loads(line) for line in self._audit.read_text().splitlines(keepends=True) if "\n" in line]
            found = [record for record in records if record["pod"] == pod]
            if len(found) >= at_least or time.monotonic() > end:
                return found
            time.sleep(0.01)


class SyncProcess(_Running):
    """A running ``keyferry sync`` for one namespace: the only replica, so it needs no Lease."""

    name = "sync"

    def __init__(self, folder: Path, cloud: Cloud, kubeconfig: Path, namespace: str, interval: float) -> None:
        arguments = ["--kubeconfig", str(kubeconfig), "--namespace", namespace, "--no-leader-elect"]
        arguments += ["--poll-interval", f"{interval:g}s", "--region", cloud.region]
        variables = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_ENDPOINT_URL": cloud.url}
        super().__init__(folder, arguments, variables | _NO_PROXY)

    def _serves(self) -> bool:
        return " syncing" in self.log.read_text()
