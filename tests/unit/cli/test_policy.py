import json
from pathlib import Path

import pytest

from driver import cli

EXAMPLE = Path(__file__).parents[3] / "deploy" / "examples" / "secretproviderclass.yaml"
GIVEN = (
    "--account=111122223333",
    "--namespace=shop",
    "--service-account=shop",
    "--oidc-provider=https://oidc.eks.eu-west-1.amazonaws.com/id/ABC",
)
Capture = pytest.CaptureFixture[str]


def run(*more: str, file: Path = EXAMPLE) -> int:
    return cli.main(["policy", "-f", str(file), *more])


def test_a_machine_gets_json(capsys: Capture) -> None:
    assert run("--output", "json", *GIVEN) == 0
    document = json.loads(capsys.readouterr().out)
    (own,) = document["roles"]
    assert own["role"] is None
    assert [one["Sid"] for one in own["permissions"]["Statement"]] == [
        "ReadSecrets",
        "ReadSecretsInBatches",
        "ReadParameters",
    ]
    assert not [hint for hint in document["hints"] if hint.startswith("replace")]


def test_people_get_documents_to_paste_and_hints(capsys: Capture) -> None:
    assert run() == 0
    shown = capsys.readouterr().out
    permissions, trust = shown.partition("hint: ")[0].split("# trust of the pod's role\n")
    assert permissions.startswith("# permissions of the pod's role\n")
    assert json.loads(permissions.partition("\n")[2])["Version"] == "2012-10-17"
    assert "<OIDC_PROVIDER>:sub" in json.loads(trust)["Statement"][0]["Condition"]["StringEquals"]
    hints = [line for line in shown.splitlines() if line.startswith("hint: ")]
    assert sum("replace <" in hint for hint in hints) == 4
    assert any("--kms-key" in hint for hint in hints)


def test_the_same_input_gives_the_same_text(capsys: Capture) -> None:
    run(*GIVEN)
    first = capsys.readouterr().out
    run(*GIVEN)
    assert capsys.readouterr().out == first


def test_an_oidc_provider_may_be_given_by_its_arn(capsys: Capture) -> None:
    run("--oidc-provider", "arn:aws:iam::111122223333:oidc-provider/oidc.test/id/A")
    assert "oidc.test/id/A:aud" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--account=123", "12 digits"),
        ("--oidc-provider=a b", "host and path"),
        ("--kms-key=alias/a", "ARN of a key"),
    ],
)
def test_a_wrong_argument_is_told(capsys: Capture, argument: str, said: str) -> None:
    assert run(argument) == 2
    assert said in capsys.readouterr().err


def test_a_wrong_class_is_refused_with_all_its_problems(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "class.yaml"
    path.write_text(EXAMPLE.read_text().replace("secretsmanager", "secretmanager"))
    assert run(file=path) == 1
    err = capsys.readouterr().err
    assert err.count("Invalid objectType") == 4
    assert err.splitlines()[-1].startswith("hint: keyferry lint ")
