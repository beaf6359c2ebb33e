"""The chart's values: documented, checked by a schema that knows keyferry's settings, refused where they are wrong."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from driver.config import PROVIDER_OPTIONS, SYNC_OPTIONS
from driver.errors import KeyferryError
from driver.options import Option, load
from tests.deploy.schema import problems
from tests.deploy.values import CHART, defaults, documented, leaves
from tests.rendered_manifests import helm, template

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
HELM = helm()
with_helm = pytest.mark.skipif(HELM is None, reason="no helm on PATH or in KEYFERRY_TEST_HELM")

ELSEWHERE = {
    "provider": {"provider-volume", "provider-name", "kubeconfig", "metrics-address", "node-name", "region"},
    "sync": {"kubeconfig", "namespace", "metrics-address", "leader-elect", "lease-namespace", "restarts", "region"},
}
"""Settings that values of their own decide, or the chart."""


def with_values(**changed: Any) -> dict[str, Any]:
    """Return the default values with some changed: ``sync__replicas=3``; None takes one away."""
    found = defaults()
    for path, value in changed.items():
        *parents, last = path.split("__")
        place = found
        for parent in parents:
            place = place[parent]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return found


def told(values: object) -> list[str]:
    return list(problems(values, SCHEMA, SCHEMA))


def test_every_value_is_documented() -> None:
    paths = [value.path for value in documented()]
    assert [leaf for leaf in leaves(defaults()) if not any(f"{leaf}.".startswith(f"{path}.") for path in paths)] == []
    assert len(paths) == len(set(paths))


def test_the_default_values_are_right() -> None:
    assert told(defaults()) == []


def schema_keys(schema: Mapping[str, Any], path: str = "") -> set[str]:
    found = schema.get("properties", {})
    return {f"{path}{name}" for name in found} | {
        key for name, member in found.items() for key in schema_keys(member, f"{path}{name}.")
    }


def test_the_schema_knows_what_the_values_have_and_nothing_else() -> None:
    known = {key for key in schema_keys(SCHEMA) if ".settings." not in key}
    wanted = {value.path for value in documented()}
    parents = {path.rsplit(".", depth)[0] for path in wanted for depth in range(1, path.count(".") + 1)}
    assert known - {"global", "enabled"} == wanted | parents


def kebab(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "-", name).lower()


@pytest.mark.parametrize(("door", "options"), [("provider", PROVIDER_OPTIONS), ("sync", SYNC_OPTIONS)])
def test_every_setting_can_be_given_by_a_value(door: str, options: tuple[Option, ...]) -> None:
    known = {kebab(name) for name in SCHEMA["properties"][door]["properties"]["settings"]["properties"]}
    assert known == {option.name for option in options} - ELSEWHERE[door]
    meaning = next(value.meaning for value in documented() if value.path == f"{door}.settings")
    named = re.findall(r"`(\w+)`", meaning)
    assert {kebab(name) for name in named} == known


SETTINGS = [
    *(("grace", text) for text in ("0", "30s", "5m", "1h30m", "1.5s", "1h2m3s", "", "30", "s", "1d", "1h30", "m5")),
    *(("cacheBytes", text) for text in ("0", "4194304", "512Ki", "32Mi", "", "1Gi", "1.5Mi", "-1", "32M")),
    *(("logLevel", text) for text in ("debug", "info", "trace")),
    *(("logFormat", text) for text in ("json", "JSON")),
    *(("audit", text) for text in ("off", "on")),
]


@pytest.mark.parametrize(("name", "text"), SETTINGS, ids=str)
def test_the_schema_takes_what_keyferry_takes(name: str, text: str) -> None:
    (option,) = (option for option in PROVIDER_OPTIONS if option.name == kebab(name))
    try:
        load((option,), {option.field: text}, {})
        taken = True
    except KeyferryError:
        taken = False
    assert (told(with_values(provider__settings={name: text})) == []) is taken


WRONG = [
    pytest.param({"provider__nope": 1}, "/provider", "nope", id="an unknown value"),
    pytest.param({"Sync": {"enabled": True}}, "", "Sync", id="an unknown part"),
    pytest.param({"provider__settings__stalelimit": "1h"}, "/provider/settings", "stalelimit", id="an unknown setting"),
    pytest.param({"provider__settings__staleLimit": "1day"}, "/provider/settings/staleLimit", "", id="no duration"),
    pytest.param({"provider__settings__workers": 0}, "/provider/settings/workers", "", id="a number too small"),
    pytest.param({"provider__settings__logLevel": "trace"}, "/provider/settings/logLevel", "", id="an unknown word"),
    pytest.param({"provider__maxUnavailable": 0}, "/provider/maxUnavailable", "", id="no node may be without"),
    pytest.param({"provider__maxUnavailable": "0%"}, "/provider/maxUnavailable", "", id="no part of the nodes either"),
    pytest.param({"provider__name": "my provider"}, "/provider/name", "", id="a name that the driver refuses"),
    pytest.param({"provider__socketDirectory": "run/x"}, "/provider/socketDirectory", "", id="a relative folder"),
    pytest.param({"provider__hostNetwork": "yes"}, "/provider/hostNetwork", "", id="a text for a switch"),
    pytest.param({"sync__replicas": 0}, "/sync/replicas", "", id="no replica"),
    pytest.param({"sync__namespaces": ["Shop"]}, "/sync/namespaces/0", "", id="no namespace"),
    pytest.param({"sync__namespaces": "shop"}, "/sync/namespaces", "", id="a text for a list"),
    pytest.param({"sync__settings__namedSecrets": "all"}, "/sync/settings/namedSecrets", "", id="an unknown mode"),
    pytest.param({"sync__metricsPort": 70000}, "/sync/metricsPort", "", id="no port"),
    pytest.param(
        {"sync__extraEnv": [{"name": "A", "key": "x"}]}, "/sync/extraEnv/0", "key", id="no field of variables"
    ),
    pytest.param({"aws__region": "eu-west"}, "/aws/region", "", id="no region"),
    pytest.param({"image__digest": "0123"}, "/image/digest", "", id="no digest"),
    pytest.param({"image__pullPolicy": "Sometimes"}, "/image/pullPolicy", "", id="no pull policy"),
    pytest.param({"networkPolicy__egressPorts": None}, "/networkPolicy", "egressPorts", id="a value taken away"),
]
wrong = pytest.mark.parametrize(("changed", "where", "name"), WRONG)


@wrong
def test_a_wrong_value_is_told_with_its_place(changed: dict[str, Any], where: str, name: str) -> None:
    (problem,) = told(with_values(**changed))
    assert re.sub(r"\[(\d)\]", r"/\1", problem).replace(".", "/").startswith(where)
    assert name in problem


@with_helm
@wrong
def test_helm_refuses_a_wrong_value(changed: dict[str, Any], where: str, name: str, tmp_path: Path) -> None:
    assert HELM
    ((path, values),) = changed.items()
    for part in reversed(path.split("__")):
        values = {part: values}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    done = template(HELM, "-f", str(tmp_path / "values.yaml"))
    assert done.returncode == 1
    assert f"at '{where}'" in done.stderr
    assert name in done.stderr


@with_helm
def test_values_can_be_taken_away(tmp_path: Path) -> None:
    """``null`` in a values file takes a default away."""
    optional = [name for name in defaults()["provider"] if name not in SCHEMA["properties"]["provider"]["required"]]
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"provider": dict.fromkeys(optional)}))
    assert HELM
    done = template(HELM, "-f", str(tmp_path / "values.yaml"), "--set", "monitoring.podMonitor.labels=null")
    assert done.returncode == 0, done.stderr


@with_helm
def test_helm_refuses_sync_without_a_region() -> None:
    assert HELM
    assert "set aws.region" in template(HELM, "--set", "sync.enabled=true").stderr
