"""Classes and ExternalSecrets of a cluster get the findings of ``keyferry lint``."""

import io
from pathlib import Path

import yaml

from driver.cli import lint
from tests.clusterside import Site, external_secret, klass

OBJECTS = "- objectName: 1.10\n- objectName: shop/db\n  objectTyp: secretsmanager\n"


def test_all_problems_of_a_class_are_told_with_their_line(site: Site) -> None:
    site.put(klass(objects=OBJECTS, usePodIdentity="maybe"))
    told = [line for line in site.told() if " SecretProviderClass shop/db: " in line]
    assert [line.partition(":")[0] for line in told].count("problem") == 3
    assert any("(line 3 of objects)" in line for line in told)


def test_a_class_of_another_provider_is_not_read(site: Site) -> None:
    site.put(klass("other", objects="[", provider="vault"))
    assert site.told() == []


def test_an_external_secret_is_read_as_the_controller_reads_it(site: Site) -> None:
    site.put(external_secret(backendType="vault", data=[{"key": "a", "name": "b", "nam": "c"}]))
    told = [line for line in site.told() if "ExternalSecret shop/api: spec." in line]
    assert [line.partition(":")[0] for line in told] == ["problem", "warning"]


def test_a_class_that_asks_to_be_synced_is_read_by_both_parsers(site: Site) -> None:
    site.put(klass(synced="app"))
    assert any("spec.secretObjects: there are none" in line for line in site.told())


def test_the_findings_are_those_of_the_linter(site: Site, tmp_path: Path) -> None:
    """But for lines: the cluster has no file."""
    bad = klass(objects=OBJECTS, synced="App", secret="DB")
    site.put(bad)
    (tmp_path / "f.yaml").write_text(yaml.safe_dump(bad))
    out = io.StringIO()
    lint.run([str(tmp_path / "f.yaml")], output="text", out=out)
    told = [row for row in site.rows() if row.subject == "SecretProviderClass shop/db" and row.area == "manifests"]
    for row in told:
        assert row.found.partition(" (line")[0] in out.getvalue()
    assert len(told) == len(out.getvalue().splitlines())
