"""What is known of the programs in the pages' shell lines: each word of a line is one that the program takes."""

import argparse
import importlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from driver.cli import COMMANDS
from tests.deploy.values import defaults
from tests.docs import awscli
from tests.generated_docs import ROOT
from tests.rendered_manifests import helm, template

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
AUDIT = """\
{"time":"2026-11-25T04:00:00.000+00:00","namespace":"shop","pod":"shop-1","uid":"u","service_account":"shop",\
"secret":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db-AbCdEf","version":"v","source":"aws",\
"request_id":"r"}
keyferry: not a record
"""
"""What a door writes: an audit record, and a line of its log."""

# What driver 1.6.0's chart has, of its values.yaml
_DRIVER_VALUES = {"enableSecretRotation", "rotationPollInterval", "tokenRequests", "syncSecret"}
_HELM = {
    "install": {"--namespace", "-n", "--create-namespace", "--set", "-f", "--values", "--version", "--wait", "--repo"},
    "uninstall": {"--namespace", "-n", "--wait"},
    "repo": set(),
    "get": {"--namespace", "-n"},
    "list": {"--namespace", "-n", "-A"},
    "test": {"--namespace", "-n"},
}
_HELM["upgrade"] = _HELM["install"] | {"--install", "--reuse-values"}
_HELM["template"] = _HELM["install"]
_FLAGS_WITHOUT_VALUE = {"--create-namespace", "--wait", "--install", "--reuse-values", "-A"}
_VERBS = frozenset({
    "annotate", "apply", "auth", "create", "delete", "describe", "diff", "exec", "get", "label", "logs", "patch",
    "port-forward", "rollout", "run", "scale", "set", "version", "wait",
})  # fmt: skip
_EKSCTL = {
    ("utils", "associate-iam-oidc-provider"): {"--cluster", "--region", "--approve"},
    ("create", "podidentityassociation"): {
        "--cluster", "--region", "--namespace", "--service-account-name", "--role-arn",
    },
    ("create", "addon"): {"--cluster", "--region", "--name"},
}  # fmt: skip


class Wrong(Exception):
    """A line that its program would not take."""


def check(words: Sequence[str], files: Mapping[str, str], folder: Path) -> None:
    """Check one call; ``files`` are those that its page shows, ``folder`` is a scratch folder. Raises Wrong."""
    checker = _PROGRAMS.get(words[0])
    if checker is None:
        raise Wrong("unknown command in docs: nothing checks it")
    checker(list(words[1:]), files, folder)


def keyferry(words: list[str]) -> None:
    """Parse as the command does, without running it. A command may stand alone, without its arguments."""
    if words == ["--version"]:
        return
    if not words or words[0] not in COMMANDS:
        raise Wrong("no such command of keyferry")
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    importlib.import_module(f"driver.cli.{words[0]}").add_arguments(parser)
    if words[1:]:
        try:
            parser.parse_args(words[1:])
        except SystemExit as end:
            if end.code:  # --help ends well
                raise Wrong("it does not take these arguments") from None
        except argparse.ArgumentError as error:
            raise Wrong(str(error)) from None


def chart_has(values: Mapping[str, Any], own: Mapping[str, Any], where: str = "") -> None:
    """Tell whether Helm values are those of a chart; below an empty value of the chart everything is. Raises Wrong."""
    for key, value in values.items():
        if key not in own:
            raise Wrong(f"the chart has no value {where}{key}")
        if isinstance(value, Mapping) and isinstance(own[key], Mapping) and own[key]:
            chart_has(value, own[key], f"{where}{key}.")


def _helm(words: list[str], files: Mapping[str, str], folder: Path) -> None:
    verb, *rest = words
    flags = {word for word in rest if word.startswith("-")}
    if not flags <= _HELM.get(verb, set()):
        raise Wrong(f"helm {verb} {flags}")
    if verb not in {"install", "upgrade", "template"}:
        return
    release, chart, *_ = _positional(rest)
    ours = chart == "deploy/chart"
    if not ours and not chart.startswith("secrets-store-csi-driver/"):
        raise Wrong(f"an unknown chart: {chart}")
    given = [yaml.safe_load(_shown(name, files)) for name in _after(rest, "-f", "--values")]
    given += [nested(text) for text in _after(rest, "--set")]
    for values in given:
        chart_has(values, defaults() if ours else dict.fromkeys(_DRIVER_VALUES))
    program = helm()
    if ours and program:
        _template(program, release, rest, files, folder)


def _template(program: str, release: str, rest: list[str], files: Mapping[str, str], folder: Path) -> None:
    arguments = [f"--set={text}" for text in _after(rest, "--set")]
    for name in _after(rest, "-f", "--values"):
        (folder / name).write_text(_shown(name, files))
        arguments.append(f"--values={folder / name}")
    made = template(program, *arguments, release=release)
    if made.returncode:
        raise Wrong(made.stderr)


def nested(text: str) -> dict[str, Any]:
    """Return ``a.b[0].c=v`` as values; an index ends the path."""
    path = re.split(r"(?<!\\)\.", text.partition("=")[0])
    made: Any = text.partition("=")[2]
    for key in reversed(path):
        plain, index, _ = key.replace("\\.", ".").partition("[")
        made = {plain: [made] if index else made}
    found: dict[str, Any] = made
    return found


def _after(words: list[str], *flags: str) -> list[str]:
    return [value for flag, value in pairwise(words) if flag in flags]


def _positional(words: list[str]) -> Iterator[str]:
    taken = False
    for word in words:
        if word.startswith("-"):
            taken = word not in _FLAGS_WITHOUT_VALUE and "=" not in word
        elif not taken:
            yield word
        else:
            taken = False


def _shown(name: str, files: Mapping[str, str]) -> str:
    if name in files:
        return files[name]
    if not (ROOT / name).is_file():
        raise Wrong(f"neither the page nor the repository has {name}")
    return (ROOT / name).read_text()


def _kubectl(words: list[str], files: Mapping[str, str], folder: Path) -> None:
    verbs = list(_positional(words))
    if not any(word in _VERBS for word in verbs[:2]):
        raise Wrong(f"no verb of kubectl in {verbs}")
    for name in _after(words, "-f", "--filename", "-k"):
        if name != "-" and name not in files and not (ROOT / name).exists():
            raise Wrong(f"neither the page nor the repository has {name}")


def _aws(words: list[str], files: Mapping[str, str], folder: Path) -> None:
    try:
        awscli.read(["aws", *words])
    except ValueError as error:
        raise Wrong(str(error)) from None


def _eksctl(words: list[str], files: Mapping[str, str], folder: Path) -> None:
    flags = {word.partition("=")[0] for word in words if word.startswith("--")}
    if not flags <= _EKSCTL.get((words[0], words[1]), set()):
        raise Wrong(f"eksctl {words}")


def _make(words: list[str], files: Mapping[str, str], folder: Path) -> None:
    unknown = {word for word in words if "=" not in word} - TARGETS
    if unknown:
        raise Wrong(f"no target {unknown}")


def _jq(words: list[str], files: Mapping[str, str], folder: Path) -> None:
    if not shutil.which("jq") or "$" in "".join(words):
        return
    made = subprocess.run(["jq", *words], input=AUDIT, capture_output=True, text=True, timeout=20, check=False)
    if made.returncode == 3:  # the filter does not compile
        raise Wrong(made.stderr)


def _docker(words: list[str], files: Mapping[str, str], folder: Path) -> None:
    if words[0] == "build" and not (ROOT / "Dockerfile").is_file():
        raise Wrong("there is no Dockerfile")
    if words[0] not in {"build", "tag", "push"}:
        raise Wrong(f"docker {words[0]}")


def _curl(words: list[str], files: Mapping[str, str], folder: Path) -> None:
    if not re.search(r"localhost:\d+/(metrics|healthz|readyz)$", words[-1]):
        raise Wrong("no page of keyferry")


def _promtool(words: list[str], files: Mapping[str, str], folder: Path) -> None:
    if words[:2] not in (["check", "rules"], ["test", "rules"]) or not (ROOT / words[-1]).exists():
        raise Wrong(f"promtool {words}")


def _plain(*words: str) -> Callable[[list[str], Mapping[str, str], Path], None]:
    """Return a checker of a program that every system has: its first word is one of these, if any."""

    def check(given: list[str], files: Mapping[str, str], folder: Path) -> None:
        if words and given[:1] and given[0] not in words:
            raise Wrong(f"not one of {words}")

    return check


_PROGRAMS: Mapping[str, Callable[[list[str], Mapping[str, str], Path], None]] = {
    "keyferry": lambda words, _files, _folder: keyferry(words),
    ".venv/bin/keyferry": lambda words, _files, _folder: keyferry(words),
    "helm": _helm,
    "kubectl": _kubectl,
    "aws": _aws,
    "eksctl": _eksctl,
    "make": _make,
    "jq": _jq,
    "docker": _docker,
    "curl": _curl,
    "promtool": _promtool,
    "git": _plain("clone"),
    "cd": _plain(),
    "sort": _plain(),
    "uniq": _plain("-c"),
}
