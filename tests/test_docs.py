"""The documents say what the program does: generated tables, links, manifests, rights and command lines are checked."""

import argparse
import importlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from driver import errors
from driver.cli import COMMANDS, lint
from driver.config import PROVIDER_OPTIONS, SYNC_OPTIONS
from driver.errors import KeyferryError
from driver.metrics import METRICS, SYNC_METRICS
from driver.spc.fields import EXTRACT_FIELDS, FAILOVER_FIELDS, OBJECT_FIELDS
from driver.spc.settings import PARAMETERS
from driver.sync import externalsecret, secretproviderclass
from driver.sync.leader import Leader
from driver.sync.plan import DELETION_POLICY, NAMED_SECRETS, POLL_INTERVAL, SERVICE_ACCOUNT, SYNC
from driver.sync.restart import ON_CHANGE
from tests.fakeapi import FakeApi, Request
from tests.generated_docs import PAGES, ROOT, TABLES, error_meanings, updated
from tests.syncside import Lab, external_secret, named, until

TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in (*PAGES, ROOT / "CHANGELOG.md")}
every_page = pytest.mark.parametrize("page", TEXTS)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str, *languages: str) -> list[str]:
    return [body for language, body in _FENCE.findall(TEXTS[page]) if language in languages]


@every_page
def test_generated_tables_are_up_to_date(page: str) -> None:
    """``make docs`` brings them up to date."""
    assert updated(TEXTS[page]) == TEXTS[page]


def test_every_table_is_somewhere() -> None:
    assert {name for text in TEXTS.values() for name in re.findall(r"<!-- table: (\w+) -->", text)} == set(TABLES)


@pytest.mark.parametrize(
    "name",
    [option.flag for option in (*PROVIDER_OPTIONS, *SYNC_OPTIONS)]
    + [metric.name for metric in (*METRICS, *SYNC_METRICS)],
)
def test_every_setting_and_every_metric_is_in_the_readme(name: str) -> None:
    assert f"`{name}" in TEXTS["README.md"]


def test_every_error_is_in_the_tree_of_its_module() -> None:
    own = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, KeyferryError)}
    assert {kind for kind, _ in error_meanings()} == own - {KeyferryError}


@pytest.mark.parametrize("name", [*PARAMETERS, *OBJECT_FIELDS, *EXTRACT_FIELDS, *FAILOVER_FIELDS])
def test_every_parameter_and_field_is_described(name: str) -> None:
    assert f"`{name}`" in TEXTS["docs/parameters.md"]
    assert f"`{name}`" in TEXTS["README.md"]


def crd_fields() -> set[str]:
    """Return the fields of ``spec`` and of the entries of its lists."""
    crd = yaml.safe_load((ROOT / "deploy/chart/crds/externalsecrets.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    entries = [field["items"].get("properties", {}) for field in spec.values() if "items" in field]
    return {*spec, *(name for entry in entries for name in entry)}


@pytest.mark.parametrize("name", sorted(crd_fields()))
def test_every_field_of_an_external_secret_is_described(name: str) -> None:
    assert f"`{name}`" in TEXTS["docs/externalsecrets.md"]


@pytest.mark.parametrize("name", [SYNC, SERVICE_ACCOUNT, NAMED_SECRETS, DELETION_POLICY, POLL_INTERVAL, ON_CHANGE])
def test_every_annotation_is_described(name: str) -> None:
    assert f"`{name}`" in TEXTS["docs/externalsecrets.md"]


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@every_page
def test_every_relative_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", TEXTS[page])):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


@every_page
def test_every_file_named_in_a_document_exists(page: str) -> None:
    """A path in backquotes that begins with one of our folders."""
    named = re.findall(r"`((?:tests|driver|deploy|docs|proto|requirements)/[\w./-]+)`", TEXTS[page])
    assert [name for name in named if not (ROOT / name).exists()] == []


def manifests(page: str) -> Iterator[dict[str, Any]]:
    for body in blocks(page, "yaml"):
        yield from (document for document in yaml.safe_load_all(body) if document is not None)


@every_page
def test_every_manifest_parses(page: str) -> None:
    assert all(isinstance(document, dict) for document in manifests(page))


@every_page
def test_every_secret_provider_class_passes_the_linter(page: str, tmp_path: Path) -> None:
    classes = [document for document in manifests(page) if document.get("kind") == "SecretProviderClass"]
    file = tmp_path / "classes.yaml"
    file.write_text(yaml.safe_dump_all(classes))
    told = io.StringIO()
    assert not classes or lint.run([str(file)], output="text", out=told) == 0, told.getvalue()


@every_page
def test_every_external_secret_is_one_that_the_controller_takes(page: str) -> None:
    """Problems are raised; nothing in an example is without effect."""
    for document in manifests(page):
        if document.get("kind") == externalsecret.KIND and document["apiVersion"] == externalsecret.API_VERSION:
            assert externalsecret.parse(document, region="eu-west-1").notes == ()


@every_page
def test_every_class_that_asks_to_be_synced_is_one_that_the_controller_takes(page: str) -> None:
    for document in manifests(page):
        if secretproviderclass.opted_in(document):
            assert secretproviderclass.parse(document, region="eu-west-1").targets


Right = tuple[str, str, str]
"""API group, resource and verb."""

SELDOM = {
    ("", "serviceaccounts", "get"): "the annotation with the role, for a service account's identity",
    ("", "namespaces", "get"): "an object was seen before its namespace",
}


def granted(page: str) -> set[Right]:
    rules = [
        rule for found in manifests(page) if found.get("kind") in {"ClusterRole", "Role"} for rule in found["rules"]
    ]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(request: Request) -> Iterator[Right]:
    """Yield the rights that a request needs; server-side apply of what may not be there needs ``create`` too."""
    found = "watch" if "watch" in request.query else "get" if request.name else "list"
    verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(request.method, found)
    base, _, plural = request.kind.rpartition("/")
    group = base.split("/")[2] if base.startswith("/apis/") else ""
    resource = f"{plural}/{request.sub}" if request.sub else plural
    yield group, resource, verb
    if "force" in request.query:
        yield group, resource, "create"


def test_the_rights_of_the_sync_door_are_those_that_its_calls_need() -> None:
    """One of several replicas makes a Secret, rolls out its users and tells of a failure."""
    with FakeApi() as api:
        needed = {right for request in lived_through(api) for right in used(request)}
    assert needed | SELDOM.keys() == granted("docs/externalsecrets.md")
    assert needed.isdisjoint(SELDOM)


def lived_through(api: FakeApi) -> list[Request]:
    lab = Lab(api)
    lab.store("my-secret", "old")
    account = {"keyferry.dev/service-account": "reader"}
    api.put(named("ServiceAccount", "reader", "shop"))
    api.put(external_secret("e", {"key": "my-secret", "name": "k"}, annotations=account))
    api.put(external_secret("wrong", {"key": "my-secret", "name": "no key!"}))
    workloads = ("Deployment", "StatefulSet", "DaemonSet")
    for kind in workloads:
        meta = {"name": "app", "namespace": "shop", "annotations": {"keyferry.dev/restart-on-change": "e"}}
        api.put({"apiVersion": "apps/v1", "kind": kind, "metadata": meta})
    leader = Leader(lab.client, "keyferry", "keyferry-sync", "one", uniform=lambda least, _: least / 20)

    def rolled() -> bool:
        for kind in workloads:
            controller._roll_one((kind, "shop", "app"))  # without the wait for further changes
        return len([r for r in api.requests if r.method == "PATCH" and "/apps/" in r.kind]) == len(workloads)

    with lab.running(leader=leader, restarts=True, interval=600) as controller:
        until(lambda: api.data("shop", "e"))
        until(rolled)
        until(lambda: len({r.kind for r in api.requests if "watch" in r.query}) == 7)
        until(lambda: api.all("events") and any(r.method == "PUT" for r in api.requests))
    return api.requests


def command_lines(page: str) -> Iterator[str]:
    """Yield the lines that call keyferry, in blocks (continued lines joined) and in the text."""
    text = TEXTS[page]
    shell = "\n".join(blocks(page, "sh", "console", "bash")).replace("\\\n", " ")
    yield from (line.strip().removeprefix("$ ") for line in shell.splitlines() if re.match(r"\s*(\$ )?keyferry ", line))
    yield from re.findall(r"`(keyferry [a-z][^`]*)`", _FENCE.sub("", text))
    for document in manifests(page):
        yield from (f"keyferry {shlex.join(args)}" for args in container_arguments(document))


def container_arguments(node: Any) -> Iterator[list[str]]:
    if isinstance(node, dict):
        if isinstance(node.get("args"), list) and node["args"] and node["args"][0] in COMMANDS:
            yield node["args"]
        for child in node.values():
            yield from container_arguments(child)
    elif isinstance(node, list):
        for child in node:
            yield from container_arguments(child)


@every_page
def test_every_command_line_is_one_that_the_command_takes(page: str) -> None:
    for line in command_lines(page):
        words = [word for word in shlex.split(line, comments=True)[1:] if word not in {"…", "|", "[…]"}]
        accepted(words, line)


def accepted(words: list[str], line: str) -> None:
    """Parse as the command does, without running it. In the text a command may stand alone, without its arguments."""
    assert words[0] in COMMANDS, line
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    importlib.import_module(f"driver.cli.{words[0]}").add_arguments(parser)
    if words[1:]:
        try:
            parser.parse_args(words[1:])
        except (SystemExit, argparse.ArgumentError) as error:
            pytest.fail(f"{line}: {error}")


@every_page
def test_lines_are_not_wider_than_a_window(page: str) -> None:
    """Text has at most 120 columns; tables and blocks are as wide as they are."""
    text = _FENCE.sub("", TEXTS[page])
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")] == []
