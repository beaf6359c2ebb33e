"""Every example of deploy/examples is one that a newcomer can apply."""

import io
from pathlib import Path

import pytest
import yaml

from driver.cli import lint, source
from driver.spc import objects

FOLDER = Path(__file__).parents[3] / "deploy" / "examples"
EXAMPLES = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "externalsecret.yaml")
every_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 7


@every_example
def test_an_example_has_neither_problems_nor_warnings(path: Path) -> None:
    out = io.StringIO()
    assert (lint.run([str(path)], output="text", out=out), out.getvalue()) == (0, "")


@every_example
def test_an_example_has_one_class_and_names_its_region(path: Path) -> None:
    plan = objects.parse(source.choose(str(path), "").parameters, region="")
    assert plan.region


@every_example
def test_the_documents_of_an_example_belong_together(path: Path) -> None:
    """One namespace; a Deployment uses the service account and the class that are there."""
    documents = {found["kind"]: found for found in yaml.safe_load_all(path.read_text()) if found}
    assert {found["metadata"]["namespace"] for found in documents.values()} == {"shop"}
    pod = documents.get("Deployment", {}).get("spec", {}).get("template", {}).get("spec")
    if pod:
        assert pod["serviceAccountName"] == documents["ServiceAccount"]["metadata"]["name"]
        assert pod["volumes"][0]["csi"]["driver"] == "secrets-store.csi.k8s.io"
        name = pod["volumes"][0]["csi"]["volumeAttributes"]["secretProviderClass"]
        assert name == documents["SecretProviderClass"]["metadata"]["name"]


@every_example
def test_an_example_explains_itself(path: Path) -> None:
    assert path.read_text().startswith("# ")
    assert max(map(len, path.read_text().splitlines())) <= 120
