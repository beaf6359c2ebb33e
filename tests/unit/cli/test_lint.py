import argparse
import io
import json
from pathlib import Path

import pytest

from driver.cli import lint

HEAD = """\
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: shop
spec:
  provider: aws
"""
GOOD = (
    HEAD
    + """\
  parameters:
    region: eu-west-1
    objects: |
      - objectName: shop/db
        objectType: secretsmanager
        objectAlias: db
        jmesPath:
          - path: password
            objectAlias: db-password
  secretObjects:
    - secretName: db
      type: Opaque
      data:
        - objectName: db-password
          key: password
"""
)
OTHERS = """\
kind: Deployment
---
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
spec:
  provider: vault
  parameters:
    objects: "["
---
"""


def parameters(text: str) -> str:
    return HEAD + "  parameters:\n" + "".join(f"    {line}\n" for line in text.splitlines())


def listed(objects: str, more: str = "") -> str:
    return parameters("objects: |\n" + "".join(f"  {line}\n" for line in objects.splitlines()) + more)


def run(tmp_path: Path, text: str) -> tuple[int, list[str]]:
    path = tmp_path / "spc.yaml"
    path.write_text(text, encoding="utf-8")
    out = io.StringIO()
    code = lint.run([str(path)], output="text", out=out)
    return code, [line.removeprefix(f"{path}:") for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD, id="class"),
        pytest.param(GOOD.replace("    region: eu-west-1\n", ""), id="no region"),
        pytest.param(GOOD.replace("provider: aws", "provider: keyferry"), id="our own name"),
        pytest.param(OTHERS + GOOD, id="after documents that are not ours"),
        pytest.param(OTHERS, id="nothing of ours"),
        pytest.param("", id="empty file"),
        pytest.param("- a\n- b\n", id="not a mapping"),
        pytest.param(GOOD.replace("- path: password\n            objectAlias: db-password", "- path: '*'"), id="star"),
        pytest.param(GOOD.replace("secretObjects:", "secretObjects: ~\n  other:"), id="null secretObjects"),
    ],
)
def test_a_clean_file_gives_no_line(tmp_path: Path, text: str) -> None:
    assert run(tmp_path, text) == (0, [])


def test_every_problem_is_told_with_its_line_in_the_file(tmp_path: Path) -> None:
    objects = "- objectName: a\n  objectType: ssm\n  filePermission: '888'\n-\n"
    code, lines = run(tmp_path, OTHERS + listed(objects, "usePodIdentity: 'yes'\n"))
    assert code == 1
    assert [line.split(": ")[:3] for line in lines] == [
        ["19", "a", "Invalid objectType"],
        ["20", "a", "Invalid File Permission"],
        ["21", "objects[1]", "Empty descriptor entry in SecretProviderClass"],
        ["22", "usePodIdentity", "failed to parse usePodIdentity value 'yes'"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD, "1: shop: spec.parameters are not set"),
        (parameters("region: eu-west-1"), "1: objects: no objects: list at least one"),
        (
            parameters("objects:\n  - objectName: a"),
            "8: objects: not a text, which parameters must be: write 'objects: |'",
        ),
        (parameters("objects: |\n  array:\n    - a"), "8: objects: the 'array:' form"),
        (parameters("objects: '- {}'"), "8: objects[0]: Object name must be specified"),
        (parameters("objects: '[]'\nusePodIdentity: true"), "9: usePodIdentity: a number or truth value"),
        (parameters("objects: '[]'\nroleArn: |\n  [a"), "roleArn: not valid YAML"),
        (parameters("objects: '[]'\nendpointUrl: x"), "9: endpointUrl: not a parameter"),
        (listed("- objectName: a\n\tb: c"), "10: objects: not valid YAML: a tab in the indentation"),
        (listed("- {objectName: region, objectType: x}", "region: a\n"), "9: region: Invalid objectType"),
        ("a: [", "file: not valid YAML: check indentation"),
        ("{{- if .Values.x }}\na: b\n", "file: not valid YAML"),
        ("a: \x01", "0: file: not valid YAML"),
    ],
    ids=lambda text: text[-40:],
)
def test_a_problem_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    code, lines = run(tmp_path, text)
    assert code == 1
    assert any(message in line for line in lines), lines
    assert not any("\t" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GOOD.replace("region:", "Region:"),
            "8: warning: parameters: unknown parameter 'Region' is ignored: did you mean region?",
        ),
        (GOOD.replace("region:", "zzz:"), "unknown parameter 'zzz' is ignored: remove it"),
        (
            GOOD.replace("objectAlias: db\n", "objectAlais: db\n"),
            "shop/db: unknown field 'objectAlais' is ignored: did you mean objectAlias?",
        ),
        (
            GOOD.replace("- path: password", "- path: password\n            mode: x"),
            "15: warning: shop/db: unknown field 'mode'",
        ),
        (
            GOOD.replace("objectAlias: db\n", "objectAlias: 0123\n"),
            "12: warning: shop/db: the AWS provider reads objectAlias '0123' as '83': put it in quotes",
        ),
        (GOOD.replace("objectAlias: db\n", "failoverObject: {x: y}\n"), "shop/db: unknown field 'x'"),
    ],
    ids=lambda text: text[-40:],
)
def test_what_is_ignored_or_read_otherwise_is_a_warning(tmp_path: Path, text: str, message: str) -> None:
    code, lines = run(tmp_path, text)
    assert code == 0
    assert any(message in line for line in lines), lines


ITEM = "        - objectName: db-password\n          key: password\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("secretName: db", "x: y", "17: secretObjects[0]: secretName is missing"),
        ("type: Opaque", "x: y", "secretObjects[0]: type is missing: write type: Opaque"),
        ("      data:\n" + ITEM, "", "secretObjects[0]: data is missing"),
        ("objectName: db-password", "x: y", "secretObjects[0].data[0]: objectName is missing"),
        ("key: password", "key: ' '", "secretObjects[0].data[0]: key is missing"),
        (
            "objectName: db-password",
            "objectName: db-pasword",
            "objectName 'db-pasword' is no file of this class: did you mean 'db-password'?",
        ),
        ("objectName: db-password", "objectName: zzz", "objectName 'zzz' is no file of this class: name a file"),
        (ITEM, ITEM + ITEM, "secretObjects[0].data[1]: the key 'password' is there twice"),
        ("type: Opaque", "type: kubernetes.io/tls", "has the keys tls.crt and tls.key, and no other"),
        ("  secretObjects:\n", "  secretObjects: {}\n  x:\n", "secretObjects: not a list"),
    ],
)
def test_secret_objects_are_checked_against_the_files(tmp_path: Path, old: str, new: str, message: str) -> None:
    code, lines = run(tmp_path, GOOD.replace(old, new))
    assert code == 1
    assert any(message in line for line in lines), lines


def test_items_of_a_list_are_classes_too(tmp_path: Path) -> None:
    indented = "".join(f"    {line}\n" for line in HEAD.splitlines())
    code, lines = run(tmp_path, "kind: List\nitems:\n  -\n" + indented)
    assert (code, lines) == (1, ["4: shop: spec.parameters are not set: add objects below it"])


def test_a_file_that_refers_to_itself_ends(tmp_path: Path) -> None:
    assert run(tmp_path, "&a {kind: List, items: [*a]}") == (0, [])
    assert run(tmp_path, "&a {kind: List, items: [{kind: List, items: [*a]}]}") == (0, [])


def test_json_output_is_a_list_of_findings(tmp_path: Path) -> None:
    path = tmp_path / "spc.yaml"
    path.write_text(parameters("objects: '- {}'"), encoding="utf-8")
    out = io.StringIO()
    assert lint.run([str(path)], output="json", out=out) == 1
    assert json.loads(out.getvalue()) == [
        {
            "file": str(path),
            "line": 8,
            "severity": "error",
            "object": "objects[0]",
            "cause": "Object name must be specified",
            "remedy": "add objectName: the secret's or parameter's name or ARN",
        }
    ]


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_checked(tmp_path: Path) -> None:
    bad, latin = tmp_path / "spc.yaml", tmp_path / "latin.yaml"
    bad.write_text(HEAD, encoding="utf-8")
    latin.write_bytes(b"\xff\xfe\xfa")
    out = io.StringIO()
    assert lint.run([str(tmp_path / "none"), str(latin), str(bad)], output="text", out=out) == 2
    lines = out.getvalue().splitlines()
    assert ["cannot be read" in line for line in lines] == [True, True, False]


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(HEAD))
    out = io.StringIO()
    assert lint.run(["-"], output="text", out=out) == 1
    assert out.getvalue().startswith("<stdin>:1: shop: ")


def test_the_command_takes_files_and_an_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "spc.yaml"
    path.write_text(GOOD, encoding="utf-8")
    parser = argparse.ArgumentParser()
    lint.add_arguments(parser)
    assert lint.main(parser.parse_args([str(path), "--output", "json"])) == 0
    assert json.loads(capsys.readouterr().out) == []


# --- ExternalSecrets

EXTERNAL = """\
apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata:
  name: app
spec:
  backendType: secretsManager
  data:
    - key: shop/db
      name: password
      property: password
"""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(EXTERNAL, id="object"),
        pytest.param(OTHERS + EXTERNAL, id="after others"),
        pytest.param(EXTERNAL.replace("kubernetes-client.io/v1", "external-secrets.io/v1"), id="another operator's"),
        pytest.param(
            f"kind: List\nitems:\n  - {EXTERNAL.replace(chr(10), chr(10) + '    ').strip()}\n", id="in a list"
        ),
    ],
)
def test_a_clean_external_secret_gives_no_line(tmp_path: Path, text: str) -> None:
    assert run(tmp_path, text) == (0, [])


def test_every_problem_of_an_external_secret_is_told_with_its_line(tmp_path: Path) -> None:
    text = EXTERNAL.replace("name: password", "name: pass word") + "      versionId: 3\n    - key: a\n  roleArn: x\n"
    code, lines = run(tmp_path, OTHERS + text)
    assert code == 1
    assert [line.split(": ")[:2] for line in lines] == [
        ["18", "spec.data[0].name"],
        ["20", "spec.data[0].versionId"],
        ["21", "spec.data[1].name"],
        ["22", "spec.roleArn"],
    ]


UNKNOWN = [
    pytest.param("  regoin: x\n", "spec.regoin", "did you mean region?", id="spec"),
    pytest.param("      versionID: x\n", "spec.data[0].versionID", "did you mean versionId?", id="entry"),
    pytest.param(
        "  template:\n    stringdata: {}\n", "spec.template.stringdata", "did you mean stringData?", id="template"
    ),
    pytest.param("  vaultRole: x\n", "spec.vaultRole", "remove it; known are ", id="another backend's"),
]


@pytest.mark.parametrize("problem", ["", "  controllerId: 3\n"], ids=["alone", "beside a problem"])
@pytest.mark.parametrize(("field", "path", "said"), UNKNOWN)
def test_an_unknown_field_is_a_warning(tmp_path: Path, field: str, path: str, said: str, problem: str) -> None:
    code, lines = run(tmp_path, EXTERNAL + field + problem)
    assert code == bool(problem)
    (warning,) = [line for line in lines if "warning: " in line]
    assert warning.startswith(f"{11 + field.startswith('  template')}: warning: {path}: the field ")
    assert said in warning


def test_yaml_is_read_as_kubernetes_reads_it(tmp_path: Path) -> None:
    """A date is a text, a number and yes are none, an anchor is what it stands for."""
    entry = "    - {<<: *one, name: %s}\n"
    text = EXTERNAL.replace("- key: shop/db", "- &one\n      key: shop/db")
    assert run(tmp_path, text + entry % "2026-01-01") == (0, [])
    assert run(tmp_path, text + entry % "yes")[0] == 1
    assert run(tmp_path, text + entry % "1.5")[0] == 1


def test_scenario_19_an_alias_that_explodes_is_told(tmp_path: Path) -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]\n" for n in range(1, 8))
    code, lines = run(tmp_path, f"a0: &a0 [x]\n{levels}")
    assert code == 1
    assert lines[0].startswith("0: file: more than 1,000,000 values")


def test_a_version_that_there_is_not_is_told(tmp_path: Path) -> None:
    code, lines = run(tmp_path, EXTERNAL.replace("client.io/v1", "client.io/v2"))
    assert (code, lines[0].split(": ")[:2]) == (1, ["1", "apiVersion"])
