"""A whole provider tells no value and no token, whatever goes wrong and at every log level (scenario 3)."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from driver.errors import FORBIDDEN_CODES
from driver.wire import csi_provider_pb2 as wire
from tests import driverside
from tests.canary import CLAIM, SECRET_KEY, SESSION, TOKEN, VALUE, leaks
from tests.driverside import STS, tokens
from tests.leakycloud import FAULTS, Cloud, CloudServer


def cases() -> dict[str, dict[str, str]]:
    """Return the attributes of every Mount: each fault met by each way to read, and requests that are wrong."""
    one = {"objectType": "secretsmanager"}
    ways: dict[str, list[dict[str, object]]] = {
        "secret": [{**one, "objectName": "FAULT"}],
        "batch": [{**one, "objectName": name} for name in ("FAULT", "FAULT-2", "good")],
        "parameter": [{"objectName": "FAULT", "objectType": "ssmparameter"}],
        "path": [{"objectName": "/FAULT", "objectType": "ssmpath"}],
        "chain": [{**one, "objectName": "fine", "roleArn": "arn:aws:iam::111122223333:role/FAULT"}],
    }
    found = {
        f"{way} {fault}": attributes_of(json.dumps(described).replace("FAULT", fault))
        for way, described in ways.items()
        for fault in ("fine", *FAULTS)
    }
    for fault in FAULTS:
        found[f"IRSA {fault}"] = attributes_of(json.dumps(ways["secret"]).replace("FAULT", "fine"), account=fault)
        agent = {"usePodIdentity": "true"}
        found[f"agent {fault}"] = attributes_of(json.dumps(ways["secret"]).replace("FAULT", "fine"), fault, **agent)
    for name, changes in CONTENT.items():
        found[name] = attributes_of(json.dumps([{**one, "objectName": "keys", "objectAlias": "k", **changes}]))
    for name, more in WRONG.items():
        found[name] = {**attributes_of("[{objectName: fine, objectType: secretsmanager}]"), **more}
    return found


CONTENT: dict[str, dict[str, object]] = {
    "not JSON": {"objectName": "fine", "jmesPath": [{"path": "a", "objectAlias": "b"}]},
    "no such key": {"jmesPath": [{"path": "a", "objectAlias": "b"}]},
    "a key that is no file name": {"jmesPath": "*"},
    "not base64": {"decode": "base64"},
    "more than an answer takes": {"objectName": "large"},
    "a bad expression": {"jmesPath": [{"path": "a[", "objectAlias": "b"}]},
    "a bad mode": {"filePermission": "9999"},
}
_TOKENS = "csi.storage.k8s.io/serviceAccount.tokens"
WRONG: dict[str, dict[str, str]] = {
    "another account": {_TOKENS: tokens("shop", "other", jti=CLAIM)},
    "expired": {_TOKENS: tokens("shop", "app", jti=CLAIM, lifetime=-99)},
    "cut short": {_TOKENS: tokens("shop", "app", jti=CLAIM)[:-40]},
    "not a token": {_TOKENS: json.dumps({STS: {"token": VALUE}})},
    "not YAML": {"objects": "- {"},
    "not a list": {"objects": "array: []"},
    "no region": {"region": "", "objects": "[{objectName: fine, objectType: ssmparameter}]"},
    "a mode that is none": {"pathTranslation": "--"},
}


def attributes_of(described: str, account: str = "app", **parameters: str) -> dict[str, str]:
    return {
        **driverside.attributes(described, account=account, **parameters),
        _TOKENS: tokens("shop", account, jti=CLAIM),
    }


@pytest.fixture(scope="module", params=["json", "text"])
def outputs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return all that a provider says in its life, by where: each status, its pages, its log and its audit records."""
    folder = tmp_path_factory.mktemp("canary")
    cloud = CloudServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=cloud.serve_forever, daemon=True).start()
    try:
        yield life(folder, f"http://127.0.0.1:{cloud.server_port}", request.param)
    finally:
        cloud.shutdown()
        cloud.server_close()


def life(folder: Path, url: str, log_format: str) -> dict[str, str]:
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(kube(url)))
    port = free_port()
    flags = {"provider-volume": folder, "kubeconfig": kubeconfig, "pod-identity-endpoint": url, "mount-budget": "3s"}
    flags |= {
        "metrics-address": f"127.0.0.1:{port}",
        "log-level": "debug",
        "log-format": log_format,
        "max-response-bytes": "20000",
    }
    command = [sys.executable, "-m", "driver", "provider", *(f"--{name}={value}" for name, value in flags.items())]
    environ = {**os.environ, "AWS_ENDPOINT_URL": url, "PYTHONTRACEMALLOC": "0", "NO_PROXY": "*"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            await_socket(folder / "aws.sock", process)
            with driverside.channel(folder / "aws.sock") as dialled:
                told = statuses(dialled)
            for page in ("metrics", "healthz", "readyz", "debug"):
                told[page] = fetched(f"http://127.0.0.1:{port}/{page}")
        finally:
            process.terminate()
            told_last = process.communicate(timeout=20)
    return {**told, "audit": told_last[0], "log": told_last[1], "exit": str(process.returncode)}


def await_socket(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def kube(url: str) -> dict[str, object]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
    }


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def statuses(dialled: grpc.Channel) -> dict[str, str]:
    def mounted(given: dict[str, str]) -> str:
        try:
            return f"OK {sorted(driverside.mount(dialled, given, timeout=10))}"
        except grpc.RpcError as error:
            return f"{error.code().name} {error.details()} {error.trailing_metadata()}"

    told: dict[str, str] = {}
    with ThreadPoolExecutor(32) as pool:
        # what should work first, and last what makes keyferry slow down
        for some in sorted_by_phase(cases()):
            told.update(zip(some, pool.map(mounted, some.values()), strict=True))
    for raw in (
        b"\xff" + TOKEN.encode(),
        wire.MountRequest(attributes="{" + TOKEN, target_path="/x").SerializeToString(),
    ):
        try:
            driverside.mount_raw(dialled, raw)
        except grpc.RpcError as error:
            told[f"raw {raw[:1]!r}"] = str(error.details())
    return told


def sorted_by_phase(every: dict[str, dict[str, str]]) -> list[dict[str, dict[str, str]]]:
    phases: list[dict[str, dict[str, str]]] = [{}, {}, {}]
    for name, given in every.items():
        phases[0 if name.endswith(" fine") else 2 if name.endswith(" throttled") else 1][name] = given
    return phases


def fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code) + error.read().decode()


def test_a_provider_tells_no_value_and_no_token(outputs: dict[str, str]) -> None:
    """Whatever AWS, the agent, Kubernetes, a manifest or a request get wrong, at level debug."""
    canaries = (VALUE, SECRET_KEY, SESSION, CLAIM, TOKEN.split(".")[1][:60], TOKEN.split(".")[1][-60:])
    assert {where: found for where, text in outputs.items() if (found := leaks(text, *canaries))} == {}


def test_the_search_had_something_to_search(outputs: dict[str, str]) -> None:
    """All that should work does, all that should fail does, and the log, the records and the metrics have lines."""
    fine = [name for name in outputs if name.endswith(" fine")]
    assert {name: outputs[name] for name in fine if not outputs[name].startswith("OK ")} == {}
    told = [name for name in cases() if name not in fine]
    assert [name for name in told if outputs[name].startswith("OK ") and "bad-base64" not in name] == []
    assert {outputs[name].split()[0] for name in told} & FORBIDDEN_CODES == set()
    assert outputs["exit"] == "0"
    assert all(where in outputs[place] for where, place in {"Mount refused": "log", "request-1": "audit"}.items())
    assert "keyferry_mounts_total" in outputs["metrics"]
