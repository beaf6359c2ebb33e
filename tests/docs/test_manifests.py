"""Every manifest of the pages is one that keyferry takes, without a warning."""

import io
from pathlib import Path

import pytest
import yaml

from driver.cli import lint
from driver.sync import externalsecret, secretproviderclass
from tests.deploy.test_server import applied, with_server
from tests.docs.pages import blocks, documents, every_page, manifests


@every_page
def test_every_block_is_of_a_language_that_is_checked(page: str) -> None:
    """Blocks without a language show outputs; ``yml`` is of other programs (``test_monitoring.py``)."""
    allowed = {"", "text", "sh", "console", "yaml", "json"} | ({"yml"} if page == "docs/monitoring.md" else set())
    assert {block.language for block in blocks(page)} <= allowed


@every_page
def test_every_yaml_block_is_a_mapping(page: str) -> None:
    assert all(isinstance(document, dict) for document in documents(page))


@every_page
def test_every_secret_provider_class_passes_the_linter(page: str, tmp_path: Path) -> None:
    classes = [document for document in manifests(page) if document["kind"] == "SecretProviderClass"]
    file = tmp_path / "classes.yaml"
    file.write_text(yaml.safe_dump_all(classes))
    told = io.StringIO()
    assert not classes or (lint.run([str(file)], output="text", out=told), told.getvalue()) == (0, "")


@every_page
def test_every_external_secret_is_one_that_the_controller_takes(page: str) -> None:
    """Problems are raised; nothing in an example is without effect."""
    for document in manifests(page):
        if document["kind"] == externalsecret.KIND and document["apiVersion"] == externalsecret.API_VERSION:
            assert externalsecret.parse(document, region="eu-west-1").notes == ()


@every_page
def test_every_class_that_asks_to_be_synced_is_one_that_the_controller_takes(page: str) -> None:
    for document in manifests(page):
        if secretproviderclass.opted_in(document):
            assert secretproviderclass.parse(document, region="eu-west-1").targets


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
@every_page
def test_a_workload_selects_its_own_pods(page: str, kind: str) -> None:
    """As the API server wants it."""
    for document in manifests(page):
        if document["kind"] == kind:
            labels = document["spec"]["template"]["metadata"]["labels"]
            assert document["spec"]["selector"]["matchLabels"].items() <= labels.items()


@pytest.mark.slow
@with_server
@every_page
def test_a_real_api_server_takes_every_manifest(page: str) -> None:
    """By dry run, in a namespace that there is; objects of the External Secrets Operator have no CRD there."""
    found = [one for one in manifests(page) if one["kind"] != "Namespace" and "external-secrets.io" not in str(one)]
    for one in found:
        one["metadata"]["namespace"] = "default"
        if one["kind"] == "Pod":  # admission looks its account up
            one["spec"]["serviceAccountName"] = "default"
    done = applied(yaml.safe_dump_all(found)) if found else None
    assert done is None or done.returncode == 0, done.stderr
