"""Alerts and dashboard: every metric and word that they ask for is one that the doors show, and alerts fire on them."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.operating import ALERTS, RULES, SCENARIOS, Doors, Series
from tests.deploy.queries import family, matching, problems, selectors
from tests.deploy.values import mappings
from tests.generated_docs import ROOT

ASKED = {name for rule in ALERTS.values() for name, _ in selectors(rule["expr"])}
MINUTES = 30
every_alert = pytest.mark.parametrize("alert", ALERTS)


# --- alerts


@every_alert
def test_an_alert_asks_only_for_what_is_shown(alert: str) -> None:
    assert problems(ALERTS[alert]["expr"]) == []


@every_alert
def test_an_alert_says_what_it_means_what_to_do_and_where_to_read_on(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert list(rule["annotations"]) == ["summary", "description", "action", "runbook"]
    assert "{{" in rule["annotations"]["description"]
    assert "{{" not in rule["annotations"]["summary"] + rule["annotations"]["action"]  # the table of the docs has them
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}


@every_alert
def test_a_label_that_an_alert_tells_is_one_that_its_series_have(alert: str) -> None:
    told = set(re.findall(r"\$labels\.(\w+)", ALERTS[alert]["annotations"]["description"]))
    kept = told - {"pod", "namespace"}
    assert all(word in ALERTS[alert]["expr"] or word in "reason stream what" for word in kept)


def run(minute: Callable[[Doors], None], minutes: int = MINUTES) -> list[dict[str, dict[Series, float]]]:
    """Return the scrapes of each minute, an ordinary one first."""
    doors = Doors()
    doors.calm()
    scrapes = [doors.samples()]
    for _ in range(minutes):
        doors.clock.advance(60)
        minute(doors)
        scrapes.append(doors.samples())
    return scrapes


def test_every_alert_has_its_scenario() -> None:
    assert {alert for _, alerts in SCENARIOS.values() for alert in alerts} == ALERTS.keys()


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_an_alert_is_for_moves_the_series_that_it_asks_for(name: str) -> None:
    minute, alerts = SCENARIOS[name]
    calm, told = run(Doors.calm, 3)[-1], run(minute, 3)[-1]
    for alert in alerts:
        assert selected(told, alert) != selected(calm, alert)


def selected(scrapes: Mapping[str, dict[Series, float]], alert: str) -> list[list[float]]:
    """Return what an alert sees: of each door the parts of an ``or`` that it has."""
    parts = re.split(r"\s+or\s+", ALERTS[alert]["expr"])
    found = [matching(samples, part) for samples in scrapes.values() for part in parts if shows(samples, part)]
    assert found
    return found


def shows(samples: dict[Series, float], expression: str) -> bool:
    return {name for name, _ in selectors(expression)} <= {name for name, _ in samples}


Promtool = Callable[..., str]


@pytest.fixture
def promtool() -> Promtool:
    """Runs promtool, which must succeed, and returns what it says."""
    found = os.environ.get("KEYFERRY_TEST_PROMTOOL") or shutil.which("promtool")
    if not found:
        pytest.skip("promtool is not on PATH, nor named by KEYFERRY_TEST_PROMTOOL")

    def run_it(*arguments: str | Path) -> str:
        done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run_it


def test_prometheus_takes_the_rules(promtool: Promtool) -> None:
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool("check", "rules", "--lint=all", RULES)


def test_alerts_fire_on_what_the_doors_show_and_are_silent_when_all_is_well(tmp_path: Path, promtool: Promtool) -> None:
    """Prometheus' own evaluation of our rules over our metrics, of half an hour for each scenario."""
    tests = [story("calm", Doors.calm, set()), *(story(name, *what) for name, what in SCENARIOS.items())]
    file = tmp_path / "alerts.yaml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", file)


def story(name: str, minute: Callable[[Doors], None], alerts: set[str]) -> dict[str, Any]:
    """Return a unit test of promtool."""
    firing = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(alerts)]
    query = 'group by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "name": name,
        "interval": "1m",
        "input_series": list(series(run(minute))),
        "promql_expr_test": [{"expr": query, "eval_time": f"{MINUTES}m", "exp_samples": firing}],
    }


def series(scrapes: list[dict[str, dict[Series, float]]]) -> Iterator[dict[str, str]]:
    for pod, samples in scrapes[0].items():
        for name, labels in samples:
            if name not in ASKED:
                continue
            own = {**dict(labels), "namespace": "kube-system", "job": "kube-system/keyferry", "pod": pod}
            words = ", ".join(f'{label}="{word}"' for label, word in own.items())
            values = " ".join(str(scrape[pod][name, labels]) for scrape in scrapes)
            yield {"series": f"{name}{{{words}}}", "values": values}


# --- dashboard

DASHBOARD = json.loads((ROOT / "deploy/chart/monitoring/dashboard.json").read_text())
PANELS: Mapping[str, dict[str, Any]] = {
    panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"
}
every_panel = pytest.mark.parametrize("title", PANELS)


@every_panel
def test_a_panel_asks_only_for_what_is_shown(title: str) -> None:
    targets = PANELS[title]["targets"]
    assert targets
    assert [problem for target in targets for problem in problems(target["expr"])] == []


@every_panel
def test_a_panel_says_what_it_shows_and_heeds_the_variables(title: str) -> None:
    panel = PANELS[title]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        every_selector = [{label for label, _, _ in matchers} for _, matchers in selectors(target["expr"])]
        assert all({"namespace", "pod"} <= labels for labels in every_selector)
        assert target["legendFormat"]


def test_every_metric_that_an_alert_asks_for_has_a_panel() -> None:
    shown = {name for panel in PANELS.values() for target in panel["targets"] for name, _ in selectors(target["expr"])}
    assert {family(name)[0].name for name in ASKED} <= {family(name)[0].name for name in shown}


def test_the_variables_lead_from_namespace_to_door_to_pod() -> None:
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", "door", "pod"]
    queries = [each["query"]["query"] for each in variables.values() if each["type"] == "query"]
    assert [problem for query in queries for problem in problems(query)] == []


def test_no_data_source_is_named_but_by_the_variable() -> None:
    sources = [each["datasource"] for each in mappings(DASHBOARD) if "datasource" in each]
    assert [found for found in sources if found != {"type": "prometheus", "uid": "${datasource}"}] == []


def test_no_panel_lies_on_another_and_each_has_its_own_id() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_dashboard_can_be_read_in_a_diff_and_imported_anywhere() -> None:
    text = json.dumps(DASHBOARD, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert (ROOT / "deploy/chart/monitoring/dashboard.json").read_text() == text
    assert (DASHBOARD["uid"], DASHBOARD["id"]) == ("keyferry", None)
    assert DASHBOARD["schemaVersion"] >= 39


def test_prometheus_takes_the_queries_of_all_panels(tmp_path: Path, promtool: Promtool) -> None:
    """As recording rules, with Grafana's variables filled in."""
    queries = [target["expr"] for panel in PANELS.values() for target in panel["targets"]]
    rules = [
        {"record": f"panel:{number}", "expr": query.replace("$__rate_interval", "2m")}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "panels.yaml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"SUCCESS: {len(queries)} rules found" in promtool("check", "rules", file)
