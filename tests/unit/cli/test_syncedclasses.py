"""``keyferry lint`` reads classes that ask to be synced as ``keyferry sync`` does, and tells nothing twice."""

from pathlib import Path

import pytest

from tests.unit.cli.test_lint import run

HEAD = """\
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata:
  name: shop
  annotations:
    keyferry.dev/sync: "true"
    keyferry.dev/service-account: app
spec:
  provider: aws
  parameters:
    region: eu-west-1
    objects: |
      - objectName: db
        objectType: secretsmanager
"""
GOOD = """\
  secretObjects:
    - secretName: db
      type: Opaque
      data:
        - objectName: db
          key: db
"""


def test_a_class_that_can_be_synced_is_clean(tmp_path: Path) -> None:
    assert run(tmp_path, HEAD + GOOD) == (0, [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEAD, "8: spec.secretObjects: there are none: list the Secrets that are wanted"),
        (
            (HEAD + GOOD).replace("    keyferry.dev/service-account: app\n", ""),
            "5: metadata.annotations.keyferry.dev/service-account: it is missing",
        ),
        (
            (HEAD + GOOD).replace("secretName: db", "secretName: DB"),
            "16: spec.secretObjects[0].secretName: 'DB' is not the name of a Secret: write lower-case letters and -",
        ),
        (
            (HEAD + GOOD).replace(
                "keyferry.dev/service-account", "keyferry.dev/serviceaccount: x\n    keyferry.dev/service-account"
            ),
            "7: metadata.annotations.keyferry.dev/serviceaccount: not an annotation of a source",
        ),
        (
            (HEAD + GOOD).replace("provider: aws", "provider: vault"),
            '9: spec.provider: \'vault\' is another provider: write "aws" or "keyferry"',
        ),
    ],
    ids=["no Secret", "no account", "no name", "typo", "other provider"],
)
def test_what_keeps_a_class_from_being_synced_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    code, (line,) = run(tmp_path, text)
    assert code == 1
    assert line.startswith(told)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("      type: Opaque\n", ""),
        ("    - secretName: db\n      type", "    - type"),
        ("          key: db\n", ""),
        ("        - objectName: db\n          key", "        - key"),
        ("type: Opaque", "type: kubernetes.io/tls"),
        ("objectType: secretsmanager", "objectTyp: secretsmanager"),
    ],
    ids=["type", "name", "key", "objectName", "TLS keys", "parameters"],
)
def test_what_both_checks_know_is_told_once(tmp_path: Path, before: str, after: str) -> None:
    _, told = run(tmp_path, (HEAD + GOOD).replace(before, after))
    assert len([line for line in told if "warning" not in line]) == 1


def test_a_class_that_does_not_ask_is_not_held_to_it(tmp_path: Path) -> None:
    text = (HEAD + GOOD).replace('sync: "true"', 'sync: "false"').replace("secretName: db", "secretName: DB")
    assert run(tmp_path, text) == (0, [])
