import io
from pathlib import Path

import pytest

from driver.cli import source
from driver.errors import InvalidInput
from driver.model import AuthMethod

CLASS = """\
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {{name: {name}}}
spec:
  provider: {provider}
  parameters:
    region: eu-west-1
    empty:
    objects: |
      - objectName: a
---
"""


def saved(tmp_path: Path, *classes: tuple[str, str], more: str = "") -> str:
    path = tmp_path / "classes.yaml"
    path.write_text(more + "".join(CLASS.format(name=name, provider=provider) for name, provider in classes))
    return str(path)


def test_the_only_class_needs_no_name(tmp_path: Path) -> None:
    path = saved(tmp_path, ("other", "vault"), ("mine", "aws"), more="kind: Pod\n---\n")
    expected = {"region": "eu-west-1", "empty": "", "objects": "- objectName: a\n"}
    assert source.choose(path, "") == source.Chosen("mine", expected)


def test_one_of_several_is_chosen_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path, ("one", "aws"), ("two", "keyferry"))
    assert source.choose(path, "two").name == "two"
    with pytest.raises(InvalidInput, match=r"2 classes in it: one, two: choose one with --class"):
        source.choose(path, "")
    with pytest.raises(InvalidInput, match=r"no class 'three' in it: choose one of: one, two"):
        source.choose(path, "three")


def test_a_class_comes_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(CLASS.format(name="mine", provider="aws")))
    assert source.choose("-", "").name == "mine"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("kind: Pod\n", "no SecretProviderClass with provider: aws", id="no class"),
        pytest.param("a: [\n", "classes.yaml:2: not valid YAML", id="no YAML"),
        pytest.param(CLASS.format(name="a", provider="aws").replace(" |", ""), "objects is not a text", id="a list"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        source.choose(saved(tmp_path, more=text), "")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        source.choose(str(tmp_path / "none.yaml"), "")


@pytest.mark.parametrize(
    ("word", "method"), [("", AuthMethod.IRSA), ("false", AuthMethod.IRSA), ("true", AuthMethod.POD_IDENTITY)]
)
def test_the_class_says_how_its_pods_prove_who_they_are(word: str, method: AuthMethod) -> None:
    assert source.method_of(source.Chosen("a", {"usePodIdentity": word, "objects": "["})) is method
