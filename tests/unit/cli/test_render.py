"""The Secrets that sync would write, read from a fake AWS over HTTP with the caller's own credentials."""

import argparse
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from driver import cli
from driver.app import room
from driver.app.room import no_role
from driver.aws.ambient import Ambient
from driver.aws.auth import Authenticator
from driver.aws.session import Sdk
from driver.aws.transport import Transport
from driver.cli import render
from driver.resolve import Lifetimes, Resolver
from tests.fakeaws import FakeAws
from tests.fakeaws_world import World

Capture = pytest.CaptureFixture[str]
Run = Callable[..., tuple[int, str, list[str]]]

CLIENT = """\
apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata: {name: my-external-secret}
spec:
  backendType: secretsManager
  data: [{key: my-secret, name: my-external-secret-data}]
"""
CLASS = """\
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: shop, namespace: web}
spec:
  provider: aws
  parameters:
    objects: |
      - objectName: my-secret
        objectType: secretsmanager
        jmesPath: [{path: password, objectAlias: pw}]
  secretObjects:
    - secretName: db
      type: Opaque
      labels: {team: a}
      data: [{objectName: pw, key: password}]
"""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with FakeAws() as fake:
        variables = {
            "AWS_ENDPOINT_URL": fake.url,
            "AWS_ACCESS_KEY_ID": "AKIATEST",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-west-1",
            "NO_PROXY": "*",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        fake.world.put("my-secret", '{"username":"u","password":"hunter2"}')
        yield fake.world


@pytest.fixture
def resolver(world: World) -> Iterator[Resolver]:
    """A resolver as the command has it, whose connections end with the test."""
    transport = Transport(Sdk.from_environment(os.environ))
    auth = Authenticator(transport, no_role, ambient=Ambient(time.monotonic))
    yield room.resolver(transport, auth, Lifetimes(), weight=1 << 20)
    transport.close()


@pytest.fixture
def run(resolver: Resolver, tmp_path: Path, capsys: Capture) -> Run:
    def start(text: str, *arguments: str) -> tuple[int, str, list[str]]:
        path = tmp_path / "objects.yaml"
        path.write_text(text)
        parser = argparse.ArgumentParser()
        render.add_arguments(parser)
        args = parser.parse_args(["-f", str(path), *arguments])
        code = render.show(render.chosen(args), resolver, args)
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return start


def secrets(out: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in yaml.safe_load_all(out) if one}


def external(spec: dict[str, Any], name: str = "app") -> str:
    head = {"apiVersion": "kubernetes-client.io/v1", "kind": "ExternalSecret", "metadata": {"name": name}}
    return yaml.safe_dump({**head, "spec": {"backendType": "secretsManager", **spec}})


def test_the_secrets_of_an_external_secret_are_shown_masked(run: Run) -> None:
    code, out, said = run(CLIENT, "--namespace", "web")
    assert (code, said) == (0, [])
    found = secrets(out)
    assert found["my-external-secret"] == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "my-external-secret", "namespace": "web"},
        "type": "Opaque",
        "data": {"my-external-secret-data": "<37 bytes>"},
    }
    assert found["my-external-secret-data"]["data"] == {"password": "<7 bytes>", "username": "<1 byte>"}
    assert "filled only where an empty Opaque Secret of this name exists" in out
    assert "hunter2" not in out
    assert "aHVudGVy" not in out


def test_values_are_shown_on_demand(run: Run) -> None:
    _, out, _ = run(CLIENT, "--show-values")
    assert base64.b64decode(secrets(out)["my-external-secret-data"]["data"]["password"]) == b"hunter2"


def test_an_entry_can_be_just_a_key(run: Run) -> None:
    _, out, _ = run(CLIENT, "--named-secrets", "key")
    assert list(secrets(out)) == ["my-external-secret"]


def test_a_class_with_secret_objects_gives_its_secrets(run: Run) -> None:
    """With or without the annotations that the controller wants."""
    code, out, _ = run(CLASS, "--show-values")
    assert code == 0
    assert secrets(out)["db"]["metadata"] == {"name": "db", "namespace": "web", "labels": {"team": "a"}}
    assert base64.b64decode(secrets(out)["db"]["data"]["password"]) == b"hunter2"


def test_what_a_template_makes_of_values_is_masked_too(run: Run) -> None:
    metadata = {"labels": {"team": "a"}, "annotations": {"who": "<%= data.u %>"}}
    data = [{"key": "my-secret", "property": "username", "name": "u"}]
    text = external({"data": data, "template": {"metadata": metadata}})
    _, out, _ = run(text)
    found = secrets(out)["app"]["metadata"]
    assert (found["labels"], found["annotations"]) == ({"team": "a"}, {"who": "<1 byte>"})
    _, out, _ = run(text, "--show-values")
    assert secrets(out)["app"]["metadata"]["annotations"] == {"who": "u"}


def test_a_role_is_assumed(run: Run, world: World) -> None:
    code, _, _ = run(external({"dataFrom": ["my-secret"], "roleArn": "arn:aws:iam::111122223333:role/app"}))
    assert code == 0
    assert [(seen.operation, "role/app" in seen.who) for seen in world.calls][-1][1]


def test_every_item_that_fails_is_told_and_its_secret_withheld(run: Run) -> None:
    bad = external({"dataFrom": ["my-secret", "nope"], "data": [{"key": "gone", "name": "x", "property": "p"}]})
    code, out, said = run(f"{bad}---\n{CLIENT}", "--named-secrets", "key")
    assert code == 1
    assert list(secrets(out)) == ["my-external-secret"]
    assert [line.split(": ")[1] for line in said[:-1]] == ["ExternalSecret default/app"] * 2
    assert {"gone", "nope"} == {name for name in ("gone", "nope", "my-secret") if name in " ".join(said[:-1])}
    assert said[-1].startswith("hint: compare name, region and account")


def test_a_wrong_object_is_told_field_by_field(run: Run) -> None:
    code, out, said = run(external({"data": [{"name": "x"}, {"key": "k"}]}))
    assert (code, secrets(out)) == (1, {})
    assert [line.split(": ")[2] for line in said[:-1]] == ["spec.data[0].key", "spec.data[1].name"]
    assert said[-1].startswith("hint: keyferry lint ")


def test_machines_get_json(run: Run) -> None:
    bad = external({"dataFrom": ["nope"]}, name="bad")
    code, out, said = run(f"{bad}---\n{CLIENT}", "--output", "json")
    document = json.loads(out)
    assert (code, said, document["ok"]) == (1, [], False)
    assert [one["object"] for one in document["problems"]] == ["ExternalSecret default/bad"]
    assert [(one["secret"]["metadata"]["name"], one["onlyFills"]) for one in document["secrets"]] == [
        ("my-external-secret", False),
        ("my-external-secret-data", True),
    ]
    assert [one["ok"] for one in document["items"]] == [False, True]


def test_one_object_can_be_chosen(run: Run) -> None:
    _, out, _ = run(f"{CLASS}---\n{CLIENT}", "--name", "shop")
    assert list(secrets(out)) == ["db"]


def test_the_command_reads_stdin(world: World) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "driver", "render", "-f", "-"], input=CLIENT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "my-external-secret" in secrets(done.stdout)


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        pytest.param("kind: Pod\n", (), "there is neither an ExternalSecret nor", id="nothing"),
        pytest.param("a: [", (), "not valid YAML", id="no YAML"),
        pytest.param(CLIENT, ("--name", "other"), "choose one of: my-external-secret", id="another name"),
    ],
)
def test_without_an_object_nothing_is_started(
    tmp_path: Path, capsys: Capture, text: str, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "objects.yaml").write_text(text)
    assert cli.main(["render", "-f", str(tmp_path / "objects.yaml"), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
