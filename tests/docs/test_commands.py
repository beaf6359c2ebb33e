"""Every command line of the pages is one that its program takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from driver.cli import COMMANDS
from tests.deploy.values import defaults, mappings
from tests.docs import programs
from tests.docs.pages import TEXTS, Command, all_commands, commands, documents, every_page, files, manifests, prose


@every_page
def test_every_line_of_a_shell_block_is_one_that_its_program_takes(page: str, tmp_path: Path) -> None:
    """A file that a line names is shown on the page, in the repository, or written by another line of the page."""
    found = all_commands(page)
    known = files(page) | {command.writes: "" for command in found if command.writes}
    wrong = list(complaints(found, known, tmp_path))
    assert wrong == []


def complaints(found: list[Command], known: dict[str, str], folder: Path) -> Iterator[str]:
    for command in found:
        try:
            programs.check(command.words, known, folder)
        except programs.Wrong as error:
            yield f"{command.line}: {error}"


@every_page
def test_every_command_in_the_text_is_one_of_keyferry(page: str) -> None:
    written = re.sub(r"<!-- table: error_texts -->.*?<!-- end -->", "", prose(page), flags=re.DOTALL)
    for line in re.findall(r"`(keyferry [a-z][^`]*)`", written):
        programs.keyferry([word for word in shlex.split(line)[1:] if word not in {"…", "[…]"}])


@every_page
def test_every_make_target_in_the_text_exists(page: str) -> None:
    told = re.findall(r"`make ([a-z-]+)", prose(page))
    assert set(told) <= programs.TARGETS


def container_arguments(manifest: Any) -> Iterator[list[str]]:
    found = [each["args"] for each in mappings(manifest) if isinstance(each.get("args"), list)]
    return (arguments for arguments in found if arguments and arguments[0] in COMMANDS)


@every_page
def test_the_arguments_of_every_container_are_those_of_a_command(page: str) -> None:
    for manifest in manifests(page):
        for arguments in container_arguments(manifest):
            programs.keyferry(arguments)


@every_page
def test_a_yaml_block_without_a_kind_has_values_of_a_chart(page: str) -> None:
    """Of keyferry's own, unless it is a file that a line gives to the driver's."""
    for_driver = [command.words for command in all_commands(page) if "driver" in " ".join(command.words)]
    theirs = [files(page)[word] for words in for_driver for word in words if word in files(page)]
    for values in documents(page):
        if "kind" not in values and not any(key in text for key in values for text in theirs):
            programs.chart_has(values, defaults())


@every_page
def test_every_chart_value_in_the_text_is_one(page: str) -> None:
    parts = "aws|provider|sync|rbac|crds|monitoring|networkPolicy|image"
    named = set(re.findall(rf"`((?:{parts})\.[a-zA-Z.]+)(?:[:=][^`]*)?`", TEXTS[page]))
    others = {"aws.sock", "rbac.install"}  # a socket; a value of the AWS provider's chart
    for path in named - others:
        programs.chart_has(programs.nested(path), defaults())


LINES = {
    "an unknown program": "frobnicate --now",
    "keyferry: an unknown flag": "keyferry lint --fast shop.yaml",
    "keyferry: an unknown command": "keyferry fly",
    "helm: an unknown value": "helm install keyferry deploy/chart --set nonsense.deep=1",
    "helm: an unknown flag": "helm install keyferry deploy/chart --dance",
    "helm: a file that nobody has": "helm install keyferry deploy/chart -f nowhere.yaml",
    "helm: a chart that nobody knows": "helm install keyferry somewhere/else",
    "kubectl: no verb": "kubectl frobnicate pods",
    "kubectl: a file that nobody has": "kubectl apply -f nowhere.yaml",
    "aws: an unknown operation": "aws iam make-role --role-name shop",
    "aws: an unknown parameter": "aws sts get-caller-identity --fast",
    "aws: a parameter is missing": "aws iam get-role",
    "eksctl: an unknown flag": "eksctl create addon --dance",
    "make: an unknown target": "make coffee",
    "docker: an unknown command": "docker frobnicate .",
    "behind a pipe": "kubectl get pods | frobnicate",
    "inside an assignment": "ACCOUNT=$(aws sts frobnicate)",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_a_wrong_line_is_found(line: str, tmp_path: Path) -> None:
    assert list(complaints(list(commands(line)), {}, tmp_path))
