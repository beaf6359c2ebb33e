"""What the demo puts in place of a cluster: an API server that knows one service account, its token, and a process.

Stand-ins for the demo alone: no token here is signed, and nothing leaves the loopback interface.
"""

import base64
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import urllib3
import yaml

from driver.errors import Unusable
from driver.model import Pod, Token

_START = 15.0
"""Seconds that the provider has to serve, and later to end."""


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


@contextmanager
def api_server(account: Mapping[str, Any]) -> Iterator[str]:
    """Serve one ServiceAccount as the Kubernetes API does and yield the server's URL."""
    metadata = account["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{metadata['name']}"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == path
            body = json.dumps(account if found else {"kind": "Status", "code": 404}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


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
        self._region = region

    def call(self, service: str, operation: str, body: Mapping[str, object]) -> None:
        """Make a call of an AWS JSON API. Raises Unusable when it fails."""
        targets = {"secretsmanager": "secretsmanager", "ssm": "AmazonSSM"}
        scope = f"demo/20260101/{self._region}/{service}/aws4_request"
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=demo",
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{targets[service]}.{operation}",
            "X-Moto-Account-Id": self._account,
        }
        answer = urllib3.request("POST", self.url, headers=headers, body=json.dumps(body), retries=False, timeout=20)
        if answer.status != 200:
            raise Unusable("demo", f"the AWS stand-in answered {operation} with {answer.status}", "update moto")


class Process:
    """A running ``keyferry provider``, started as on a node."""

    def __init__(self, folder: Path, url: str, kubeconfig: Path, freshness: str) -> None:
        self.socket = folder / "aws.sock"
        self.log = folder / "provider.log"
        self._audit = folder / "audit.jsonl"
        command = [sys.executable, "-m", "driver", "provider", "--provider-volume", str(folder)]
        command += ["--provider-name", "aws", "--metrics-address", "", "--kubeconfig", str(kubeconfig)]
        command += ["--freshness", freshness, "--log-format", "text"]
        clean = {k: v for k, v in os.environ.items() if not k.upper().startswith(("AWS_", "KEYFERRY_"))}
        with self.log.open("wb") as log, self._audit.open("wb") as audit:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                env={**clean, "AWS_ENDPOINT_URL": url, "NO_PROXY": "*", "no_proxy": "*"},
                stdout=audit,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.pid = self._process.pid

    def wait_until_served(self) -> None:
        """Return once the socket is there. Raises Unusable when it does not come."""
        end = time.monotonic() + _START
        while not self.socket.is_socket():
            if self._process.poll() is not None or time.monotonic() > end:
                raise Unusable("demo", "the provider did not start", "its log below says why")
            time.sleep(0.01)

    def audit(self, pod: str, at_least: int) -> list[dict[str, str]]:
        """Return the audit records of a pod. They are written beside the answer, so a moment is given to them."""
        end = time.monotonic() + 2
        while True:
            records = [json.loads(line) for line in self._audit.read_text().splitlines(keepends=True) if "\n" in line]
            found = [record for record in records if record["pod"] == pod]
            if len(found) >= at_least or time.monotonic() > end:
                return found
            time.sleep(0.01)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code; a process that does not obey is killed."""
        self._process.terminate()
        try:
            return self._process.wait(_START)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
