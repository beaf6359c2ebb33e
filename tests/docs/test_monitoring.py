"""docs/monitoring.md says what the code does: Events, audit records, the filter over them, headings, scraping."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from driver import audit
from driver.errors import KeyferryError, NotFound
from driver.metrics import METRICS, PROCESS_METRICS, SYNC_METRICS
from driver.metrics.tables import SYNC_REASONS
from driver.model import Pod, Read, SecretRef, SecretValue, Source, Store
from driver.mount.events import FAILING, FAILURES, INTERVAL, Judge, Warn
from driver.mount.provider import Outcome
from tests.deploy.operating import ALERTS
from tests.docs.pages import TEXTS, Block, all_commands, blocks
from tests.docs.test_pages import anchors
from tests.generated_docs import ROOT

PAGE = "docs/monitoring.md"
POD = Pod("shop", "shop-5d9c7b-x2x4q", "2f1b7c1e-8a55-4c0e-9d0e-3c1b1f0a7e11")
ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db-AbCdEf"
FOUR_O_CLOCK = 1_795_579_200.0


def block(language: str, having: str = "") -> Block:
    (found,) = [each for each in blocks(PAGE) if each.language == language and having in each.body]
    return found


def record() -> str:
    """Return an audit record as the mount door makes it."""
    version, request = "4a1f0c9e-6f0e-4f0b-8b57-6f2f2a6f8f10", "0b6c3f3e-5c1c-4ad0-a1ab-5a3c3f5c9d21"
    value = SecretValue(b"1234", ARN, version, request_id=request)
    read = Read(SecretRef(Store.SECRETS_MANAGER, "shop/db", "eu-west-1"), value, Source.AWS, 0.0)
    return audit.lines(audit.head(POD, "shop", FOUR_O_CLOCK), audit.tails([read])).decode()


def test_the_record_is_one_that_the_door_writes() -> None:
    assert block("json").body == record()


def test_the_filter_over_records_gives_what_the_page_shows() -> None:
    (jq,) = [command.words for command in all_commands(PAGE) if command.words[0] == "jq"]
    if not shutil.which("jq"):
        pytest.skip("jq is not on PATH")
    lines = '{"message":"Mount refused","pod":"x"}\nnot JSON at all\n' + record()
    made = subprocess.run(jq, input=lines, capture_output=True, text=True, check=True)
    assert made.stdout == block("text", "\t").body


def test_the_filter_names_fields_of_the_records() -> None:
    (jq,) = [command.words for command in all_commands(PAGE) if command.words[0] == "jq"]
    assert set(re.findall(r"(?<!\w)\.(\w+)", jq[-1])) <= audit.FIELDS.keys()


def outcome(error: KeyferryError | None, stale: int = 0) -> Outcome:
    return Outcome(POD, "shop-db", error, stale)


def events() -> list[Warn | None]:
    judge = Judge()
    judge.judge(outcome(None))
    *_, failing = [judge.judge(outcome(NotFound("shop/db", "it does not exist", "create it"))) for _ in range(FAILURES)]
    return [failing, Judge().judge(outcome(None, stale=2))]


@pytest.mark.parametrize("event", events(), ids=["failing", "stale"])
def test_the_events_are_shown_as_the_pod_gets_them(event: Warn | None) -> None:
    assert event
    assert block("text", event.reason).body == f"Warning  {event.reason}  {event.message}\n"


@pytest.mark.parametrize("metric", sorted({m.name for m in (*METRICS, *SYNC_METRICS, *PROCESS_METRICS)}))
def test_every_metric_is_on_the_page(metric: str) -> None:
    assert f"`{metric}`" in TEXTS[PAGE]


def test_every_reason_is_on_the_page() -> None:
    assert [reason for reason in SYNC_REASONS if f"`{reason}`" not in TEXTS[PAGE]] == []


def test_the_numbers_are_those_of_the_code() -> None:
    """Three failures, ten minutes, four minutes."""
    assert (FAILURES, INTERVAL, FAILING) == (3, 600, 240)


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_leads_to_a_heading_under_which_it_is_named(alert: str) -> None:
    path, _, anchor = ALERTS[alert]["annotations"]["runbook"].partition("#")
    assert anchor in anchors(TEXTS[path])
    parts = re.split(r"^#+ ", TEXTS[path], flags=re.MULTILINE)
    (part,) = [part for part in parts if anchor in anchors(f"# {part.splitlines()[0] if part else ''}")]
    assert f"`{alert}`" in part


def test_the_scrape_configuration_finds_the_pods_of_the_chart() -> None:
    """By the label of their name and the name of their port."""
    (job,) = yaml.safe_load(block("yml").body)["scrape_configs"]
    keep = job["relabel_configs"][0]
    pods: list[Any] = [
        document["spec"]["template"]
        for name in ("provider", "sync")
        for document in yaml.safe_load_all((ROOT / f"deploy/keyferry-{name}.yaml").read_text())
        if document and document["kind"] in {"DaemonSet", "Deployment"}
    ]
    assert len(pods) == 2
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        for port in container["ports"]:
            found = f"{pod['metadata']['labels']['app.kubernetes.io/name']};{port['name']}"
            assert re.fullmatch(keep["regex"], found)
    assert keep["source_labels"] == [
        "__meta_kubernetes_pod_label_app_kubernetes_io_name",
        "__meta_kubernetes_pod_container_port_name",
    ]
