"""``keyferry doctor`` as a command: exit codes, output, what it needs."""

import argparse
import json
import re
import sys
import time
from pathlib import Path

import pytest
import yaml

from driver.cli import doctor, main
from driver.cli.checkup.row import Level, Row
from tests.clusterside import (
    Site,
    aws_provider,
    csi_driver,
    driver,
    external_secret,
    failed_mount,
    klass,
    secret,
    user,
)
from tests.fakeapi import Request
from tests.fakeobjects import Json

PAGE = Path(__file__).parents[3] / "docs/doctor.md"
SECRET_TEXT = "SECRET-VALUE"


@pytest.fixture
def kubeconfig(site: Site, tmp_path: Path) -> str:
    """Write a kubeconfig as ``aws eks update-kubeconfig`` does, with a program in the place of ``aws``."""
    program = tmp_path / "aws"
    program.write_text(f'#!{sys.executable}\nprint(\'{{"status": {{"token": "of-the-plug-in"}}}}\')\n')
    program.chmod(0o755)
    login = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": str(program),
        "args": ["eks", "get-token"],
    }
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": site.api.url}}],
        "users": [{"name": "u", "user": {"exec": login}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(document))
    return str(tmp_path / "config")


def test_a_good_cluster_is_exit_code_0(site: Site, kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--kubeconfig", kubeconfig]) == 0
    assert capsys.readouterr().out.endswith("nothing to do; 16 ok\n")
    assert {request.headers["authorization"] for request in site.api.requests} == {"Bearer of-the-plug-in"}


def test_a_problem_is_exit_code_1(site: Site, kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    site.put(csi_driver(podInfoOnMount=False))
    assert main(["doctor", "--kubeconfig", kubeconfig, "--output", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["summary"]["problem"] == 1
    assert found["rows"][0]["found"].startswith("podInfoOnMount is not true")


@pytest.mark.parametrize(
    ("level", "relaxed", "strict"),
    [
        (Level.PROBLEM, 1, 1),
        (Level.WARNING, 0, 1),
        (Level.UNKNOWN, 0, 1),
        (Level.NOTE, 0, 0),
        (Level.OK, 0, 0),
    ],
)
def test_what_counts_is_a_matter_of_strictness(level: Level, relaxed: int, strict: int) -> None:
    rows = [Row(level, "area", "subject", "found")]
    assert (doctor.exit_code(rows, strict=False), doctor.exit_code(rows, strict=True)) == (relaxed, strict)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--kubeconfig", "/nowhere"], "not a usable kubeconfig"),
        (["--namespace", "Not A Name"], "not a list of namespaces"),
        (["--provider-name", "a/b"], "not 1 to 30 letters"),
    ],
)
def test_what_cannot_start_is_exit_code_2(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_an_api_server_that_is_away_is_one_error(
    site: Site, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.api.refuse()
    assert main(["doctor", "--kubeconfig", kubeconfig]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("keyferry: csidrivers: the Kubernetes API server did not answer")
    assert (said.out, said.err.count("\n")) == ("", 1)
    site.api.accept()


def test_credentials_that_are_not_accepted_are_one_error(
    site: Site, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    site.api.fail("", 401)
    assert main(["doctor", "--kubeconfig", kubeconfig]) == 2
    assert capsys.readouterr().err.startswith("keyferry: kubeconfig: the API server does not accept its credentials")


def test_no_value_of_a_secret_is_ever_told(site: Site, kubeconfig: str, capsys: pytest.CaptureFixture[str]) -> None:
    site.put(secret("api"), secret("db", labels={"secrets-store.csi.k8s.io/managed": "true"}))
    main(["doctor", "--kubeconfig", kubeconfig, "--output", "json"])
    main(["doctor", "--kubeconfig", kubeconfig])
    out = capsys.readouterr().out
    assert "api" in out
    assert "U0VDUkVU" not in out
    assert SECRET_TEXT not in out


def ill(site: Site) -> None:
    """Do to a cluster what the example in the documentation shows."""
    site.put(csi_driver(tokenRequests=[{"audience": "sts.amazonaws.com"}]), driver(args=()), aws_provider())
    site.put(klass("web", usePodIdentity="true"), user("web-1", "web", "Pending", "web"))
    site.put(klass("old", objects="- objectName: shop/old\n  objectTyp: secretsmanager\n"))
    text = "rpc error: code = Unauthenticated desc = keyferry: web: no token for audience pods.eks.amazonaws.com"
    site.put(failed_mount("web-1", f'MountVolume.SetUp failed for volume "s" : {text}: set tokenRequests'))
    site.put(external_secret(status="ERROR, data[0] (shop/api): access denied: allow secretsmanager:GetSecretValue"))
    site.put(secret("api", labels={"app.kubernetes.io/managed-by": "Helm"}))
    site.api.fail("/nodes$", 403, times=9)


def test_the_example_in_the_documentation_is_what_it_prints(
    site: Site, kubeconfig: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ill(site)
    assert main(["doctor", "--kubeconfig", kubeconfig]) == 1
    (shown,) = re.findall(r"```console\n\$ keyferry doctor\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert capsys.readouterr().out == shown


def rights(request: Request) -> tuple[str, str, str]:
    base, _, plural = request.kind.rpartition("/")
    group = base.split("/")[2] if base.startswith("/apis/") else ""
    if "/proxy/" in request.path:
        return "", "pods/proxy", "get"
    return group, plural, "get" if request.name else "list"


def roles() -> list[Json]:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [one for body in blocks for one in yaml.safe_load_all(body) if one["kind"] == "ClusterRole"]


def granted() -> set[tuple[str, str, str]]:
    return {
        (group, resource, verb)
        for role in roles()
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_role_in_the_documentation_is_what_its_calls_need(site: Site) -> None:
    ill(site)
    site.crew(site.get("daemonsets", "keyferry-provider"), ready=False)
    site.rows()
    assert {request.method for request in site.api.requests} == {"GET"}
    assert {rights(request) for request in site.api.requests} == granted()


def test_a_large_cluster_is_looked_at_in_seconds(site: Site) -> None:
    """A thousand classes, ExternalSecrets and pods; 5 s are allowed, on a busy machine too."""
    for number in range(1000):
        site.put(klass(f"c{number}"), external_secret(f"e{number}"), user(f"p{number}", f"c{number}"))
    start = time.perf_counter()
    rows = site.rows()
    assert time.perf_counter() - start < 5
    assert len(rows) > 3000


def test_its_flags_are_those_of_the_documentation() -> None:
    parser = argparse.ArgumentParser()
    doctor.add_arguments(parser)
    flags = {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")} - {"--help"}
    text = PAGE.read_text()
    assert [flag for flag in flags if f"`{flag}" not in text] == []
