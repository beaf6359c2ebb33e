"""``keyferry sync`` as a process, between an API server and AWS that are real servers too: the example of deploy/."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from driver.cli import standin, syncdemo
from tests.fakeapi import FakeApi, collection
from tests.fakeaws import FakeAws
from tests.fakeobjects import Json
from tests.rights import check
from tests.syncside import named

EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "externalsecret.yaml"
MANIFESTS = {found["kind"]: found for found in yaml.safe_load_all(EXAMPLE.read_text()) if found}
ORDERS = list(itertools.permutations(MANIFESTS))
KES, NAMED = "my-external-secret", "my-external-secret-data"
INTERVAL = 1.0
OLD = {"username": "admin", "password": "canary-1234"}
NEW = {"username": "admin", "password": "canary-5678"}


class Process:
    """A sync process: the only replica unless the flags say otherwise, all namespaces, a poll a second."""

    def __init__(self, folder: Path, api: FakeApi, aws: FakeAws, *flags: str) -> None:
        standin.write_kubeconfig(folder / "kubeconfig", api.url)
        command = [sys.executable, "-m", "driver", "sync", "--kubeconfig", str(folder / "kubeconfig")]
        command += ["--region", "eu-west-1", "--poll-interval", f"{INTERVAL:g}s", "--metrics-address", ""]
        variables = {"AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret"}
        self.api = api
        self.output = folder / f"output-{time.monotonic_ns()}"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *flags], env=os.environ | variables, stdout=output, stderr=output
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        check("keyferry-sync", self.api.requests)

    def until(self, text: str) -> str:
        """Return the output once it has ``text``."""
        took(lambda: text in self.output.read_text(), 15)
        return self.output.read_text()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


def took(true: Callable[[], Any], seconds: float) -> float:
    """Wait until something is so and return the seconds that it took."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < seconds, f"not within {seconds:g} s"
        time.sleep(0.005)
    return time.monotonic() - start


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws() as running:
        running.world.put("my-secret", json.dumps(OLD))
        yield running


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as running:
        yield running


@pytest.fixture
def sync(tmp_path: Path, api: FakeApi, aws: FakeAws) -> Iterator[Process]:
    with Process(tmp_path, api, aws, "--no-leader-elect") as running:
        running.until("syncing")
        yield running
        assert running.end() == 0
    assert "canary" not in running.output.read_text()


def apply(api: FakeApi, kind: str, namespace: str = "shop") -> None:
    """Apply a manifest of the example."""
    found = MANIFESTS[kind]
    api.put({**found, "metadata": {**found["metadata"], "namespace": namespace}})


def container(api: FakeApi, namespace: str = "shop") -> dict[str, str] | str:
    """Return what a container of the example's Deployment gets, or why it does not start."""
    return syncdemo.variables(MANIFESTS["Deployment"], namespace, lambda name: api.get("secrets", namespace, name))


def has(api: FakeApi, value: dict[str, str], namespace: str = "shop") -> bool:
    return container(api, namespace) == {"MY_USERNAME": value["username"], "MY_PASSWORD": value["password"]}


def applied(api: FakeApi) -> None:
    """Apply the whole example and wait until all has come of it."""
    api.put(named("Namespace", "shop"))
    for kind in MANIFESTS:
        apply(api, kind)
    took(lambda: has(api, OLD) and api.data("shop", KES) == {NAMED: json.dumps(OLD)}, 5)
    took(lambda: condition(api) == "True", 2)


def condition(api: FakeApi) -> str:
    status: Json = (api.get("externalsecrets", "shop", KES) or {}).get("status") or {}
    return next((str(c["status"]) for c in status.get("conditions", ()) if c["type"] == "Ready"), "")


@pytest.mark.parametrize("pause", [0.0, 1.3 * INTERVAL], ids=["at once", "with a poll between"])
def test_in_every_order_of_apply_a_container_gets_its_variables(api: FakeApi, sync: Process, pause: float) -> None:
    """Within two seconds of the last apply, each order in a namespace of its own."""
    for number in range(len(ORDERS)):
        api.put(named("Namespace", f"order-{number}"))
    for kinds in zip(*ORDERS, strict=True):
        time.sleep(pause)
        for number, kind in enumerate(kinds):
            apply(api, kind, f"order-{number}")
    took(lambda: all(has(api, OLD, f"order-{number}") for number in range(len(ORDERS))), 2)


def test_what_is_applied_before_keyferry_starts_is_found(tmp_path: Path, api: FakeApi, aws: FakeAws) -> None:
    api.put(named("Namespace", "shop"))
    for kind in MANIFESTS:
        apply(api, kind)
    with Process(tmp_path, api, aws, "--no-leader-elect") as sync:
        took(lambda: has(api, OLD), 10)
        assert sync.end() == 0


def test_a_value_that_comes_after_all_is_found(api: FakeApi, aws: FakeAws, sync: Process) -> None:
    """Until then the object's status says what is missing, and nothing is filled. A refusal is remembered for 3 s."""
    aws.world.secrets.clear()
    api.put(named("Namespace", "shop"))
    for kind in MANIFESTS:
        apply(api, kind)
    took(lambda: condition(api) == "False", 3)
    assert isinstance(container(api), str)
    aws.world.put("my-secret", json.dumps(OLD))
    took(lambda: has(api, OLD), 3 + INTERVAL + 1)


def test_a_rotation_arrives_within_the_interval(api: FakeApi, aws: FakeAws, sync: Process) -> None:
    applied(api)
    aws.world.put("my-secret", json.dumps(NEW))
    took(lambda: has(api, NEW) and api.data("shop", KES) == {NAMED: json.dumps(NEW)}, INTERVAL + 2)


def test_a_secret_that_keyferry_made_is_made_again_when_it_is_deleted(api: FakeApi, sync: Process) -> None:
    applied(api)
    api.delete("secrets", "shop", KES)
    took(lambda: api.data("shop", KES) == {NAMED: json.dumps(OLD)}, 1)


def test_a_secret_that_somebody_makes_anew_is_filled_again(api: FakeApi, sync: Process) -> None:
    """It was theirs, so it does not come back by itself."""
    applied(api)
    api.delete("secrets", "shop", NAMED)
    time.sleep(0.5)
    assert isinstance(container(api), str)
    apply(api, "Secret")
    took(lambda: has(api, OLD), 1)


@pytest.mark.parametrize(("name", "key"), [(KES, NAMED), (NAMED, "password")])
def test_an_edit_by_hand_is_healed(api: FakeApi, sync: Process, name: str, key: str) -> None:
    """What somebody added stays."""
    applied(api)
    before = api.data("shop", name) or {}
    mine = b64encode(b"by hand").decode()
    api.objects.merge(collection("secrets"), "shop", name, {"data": {key: mine, "note": mine}}, "kubectl")
    took(lambda: api.data("shop", name) == before | {"note": "by hand"}, 1)


def test_in_a_steady_state_nothing_is_written(api: FakeApi, aws: FakeAws, sync: Process) -> None:
    """Over several polls: a read of AWS for each, and no write in Kubernetes."""
    applied(api)
    time.sleep(INTERVAL)
    writes, reads = len(api.writes()), aws.world.count("GetSecretValue")
    time.sleep(4 * INTERVAL)
    assert api.writes()[writes:] == []
    assert 3 <= aws.world.count("GetSecretValue") - reads <= 5


def test_a_restart_writes_nothing(tmp_path: Path, api: FakeApi, aws: FakeAws) -> None:
    with Process(tmp_path, api, aws, "--no-leader-elect") as first:
        applied(api)
        assert first.end() == 0
    writes, reads = len(api.writes()), aws.world.count("GetSecretValue")
    with Process(tmp_path, api, aws, "--no-leader-elect") as second:
        took(lambda: aws.world.count("GetSecretValue") > reads + 1, 10)
        assert second.end() == 0
    assert api.writes()[writes:] == []


def test_an_api_server_that_goes_and_comes_is_taken_up_again(api: FakeApi, aws: FakeAws, sync: Process) -> None:
    applied(api)
    api.refuse()
    aws.world.put("my-secret", json.dumps(NEW))
    time.sleep(2)
    api.accept()
    took(lambda: has(api, NEW), 5)


def test_of_two_replicas_the_holder_of_the_lease_works_and_gives_it_back(
    tmp_path: Path, api: FakeApi, aws: FakeAws
) -> None:
    with Process(tmp_path, api, aws) as first:
        took(lambda: holder(api), 10)
        with Process(tmp_path, api, aws) as second:
            second.until("syncing")
            applied(api)
            assert first.end() == 0
            took(lambda: holder(api), 10)
            api.delete("secrets", "shop", KES)
            took(lambda: api.data("shop", KES), 3)
            assert second.end() == 0
    assert holder(api) == ""


def holder(api: FakeApi) -> str:
    lease = api.get("leases", "kube-system", "keyferry-sync") or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")


def test_kubelet_and_prometheus_can_look_at_it(tmp_path: Path, api: FakeApi, aws: FakeAws) -> None:
    with Process(tmp_path, api, aws, "--no-leader-elect", "--metrics-address", "127.0.0.1:0") as sync:
        port = re.search(r'"metrics_port": ?(\d+)', sync.until("metrics_port"))
        assert port
        applied(api)
        for page in ("healthz", "readyz", "metrics"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/{page}", timeout=5) as answer:
                text = answer.read().decode()
        assert re.search(r"^keyferry_sync_objects(\{.*\})? 1", text, re.MULTILINE), text
        assert sync.end() == 0


def test_wrong_settings_are_all_told_and_end_it_with_2(tmp_path: Path, api: FakeApi, aws: FakeAws) -> None:
    with Process(tmp_path, api, aws, "--poll-interval", "soon", "--named-secrets", "maybe") as sync:
        assert sync.process.wait(10) == 2
    text = sync.output.read_text()
    assert "--poll-interval: 'soon' is" in text
    assert "--named-secrets: 'maybe' is" in text
    assert "Traceback" not in text
    assert api.requests == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--kubeconfig", "/nowhere"], "not a usable kubeconfig"),
        (["--metrics-address", "nonsense"], "HOST:PORT"),
        (["--region", ""], "no region is set"),
    ],
    ids=["kubeconfig", "metrics address", "region"],
)
def test_what_cannot_work_ends_it_with_2_and_says_so(
    tmp_path: Path, api: FakeApi, aws: FakeAws, flags: list[str], words: str
) -> None:
    with Process(tmp_path, api, aws, *flags) as sync:
        assert sync.process.wait(10) == 2
    assert words in sync.output.read_text()
    assert "Traceback" not in sync.output.read_text()
