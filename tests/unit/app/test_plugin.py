"""Credential plug-ins against real programs."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from driver.app import room
from driver.app.plugin import VERSIONS, Plugin
from driver.errors import IdentityRefused, InvalidInput, KeyferryError
from driver.kube import from_kubeconfig

FAR = "2126-01-01T00:00:00Z"


def program(folder: Path, body: str, name: str = "get-token") -> Path:
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\n{body}\n")
    path.chmod(0o755)
    return path


def answer(token: str = "abc", **status: Any) -> str:
    return f"print({json.dumps(json.dumps({'status': {'token': token, **status}}))})"


def counting(folder: Path, **status: Any) -> str:
    """Return a program's body that answers with how often it has run."""
    file = str(folder / "runs")
    return (
        f"runs = open({file!r}, 'a'); runs.write('x'); runs.close(); n = len(open({file!r}).read())\n"
        f"print(json.dumps({{'status': {{'token': str(n), **{status!r}}}}}))"
    )


def entry(command: str | Path, *args: str, version: str = VERSIONS[0], **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "command": str(command), "args": list(args), **more}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_programs_answer_has_the_token(tmp_path: Path, version: str) -> None:
    assert Plugin(entry(program(tmp_path, answer()), version=version), tmp_path)() == "abc"


def test_the_program_gets_its_arguments_its_variables_and_what_the_protocol_says(tmp_path: Path) -> None:
    body = (
        "info = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "said = [*sys.argv[1:], os.environ['AWS_PROFILE']]\n"
        "said += [info['kind'], info['apiVersion'], info['spec']['interactive']]\n"
        "print(json.dumps({'status': {'token': json.dumps(said)}}))"
    )
    variables = [{"name": "AWS_PROFILE", "value": "shop"}]
    token = Plugin(entry(program(tmp_path, body), "eks", "get-token", env=variables), tmp_path)()
    assert json.loads(token) == ["eks", "get-token", "shop", "ExecCredential", VERSIONS[0], False]


def test_a_path_is_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    program(tmp_path, answer())
    assert Plugin(entry("./get-token"), tmp_path)() == "abc"


def test_a_token_is_kept_until_shortly_before_its_end(tmp_path: Path) -> None:
    now = [0.0]
    body = counting(tmp_path, expirationTimestamp="1970-01-01T00:10:00Z")
    plugin = Plugin(entry(program(tmp_path, body)), tmp_path, wall=lambda: now[0])
    tokens = []
    for now[0] in (0.0, 569.0, 571.0):
        tokens.append(plugin())
    assert tokens == ["1", "1", "2"]


def test_a_token_without_end_is_kept_for_a_minute(tmp_path: Path) -> None:
    now = [0.0]
    plugin = Plugin(entry(program(tmp_path, counting(tmp_path))), tmp_path, wall=lambda: now[0])
    tokens = []
    for now[0] in (0.0, 59.0, 61.0):
        tokens.append(plugin())
    assert tokens == ["1", "1", "2"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("sys.stderr.write('SECRET-TEXT'); sys.exit(1)", IdentityRefused),
        ("print('SECRET-TEXT')", IdentityRefused),
        ("print('{}')", IdentityRefused),
        ("print(json.dumps({'status': {'clientCertificateData': 'SECRET-TEXT'}}))", IdentityRefused),
    ],
    ids=["fails", "no JSON", "no status", "no token"],
)
def test_a_program_that_gives_no_token_is_told_without_quoting_it(
    tmp_path: Path, body: str, kind: type[KeyferryError]
) -> None:
    with pytest.raises(kind, match="credential plug-in get-token") as caught:
        Plugin(entry(program(tmp_path, body), "SECRET-TEXT"), tmp_path)()
    assert "SECRET-TEXT" not in str(caught.value)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="install no-such-aws"):
        Plugin(entry("no-such-aws"), tmp_path)()


def test_an_unknown_version_of_the_protocol_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="unknown version"):
        Plugin(entry("x", version="client.authentication.k8s.io/v1alpha1"), tmp_path)


@pytest.fixture
def eks(tmp_path: Path) -> Path:
    """Write a kubeconfig as ``aws eks update-kubeconfig`` does."""
    program(tmp_path, answer(expirationTimestamp=FAR), "aws")
    document = {
        "current-context": "eks",
        "contexts": [{"name": "eks", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"exec": entry("./aws", "eks", "get-token", version=VERSIONS[1])}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    return tmp_path / "config"


def test_people_and_the_sync_door_use_a_kubeconfig_of_eks(eks: Path) -> None:
    for cluster in (from_kubeconfig(eks, plugin=Plugin), room.cluster(str(eks), {}, Plugin)):
        assert cluster.token
        assert cluster.token() == "abc"


def test_the_provider_runs_no_foreign_program(eks: Path) -> None:
    with pytest.raises(InvalidInput, match="credential plug-ins are not run"):
        room.kube(str(eks), {})
