"""Workloads are rolled out for new versions: once, never for the first observation, never twice."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from driver.kube import Cluster
from driver.model import AuthMethod, Read, SecretRef, Source, Store
from driver.sync.cluster import Api
from driver.sync.kinds import Header
from driver.sync.plan import Items, Mode, Origin, SyncPlan, Template
from driver.sync.restart import ON_CHANGE, VERSIONS, Restarts, WorkloadKey
from driver.sync.status import TargetOutcome
from tests.fakeapi import FakeApi
from tests.fakes import value
from tests.syncside import REGION

KEY = ("Deployment", "shop", "web")
PLAN = SyncPlan(
    Origin("v1", "ExternalSecret", "shop", "e", "u"),
    Items((), "Opaque", Template(), Mode.AUTO),
    (),
    (),
    (),
    REGION,
    method=AuthMethod.AMBIENT,
)


class Rig:
    """Restarts over an API server stand-in with one Deployment."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.later: list[WorkloadKey] = []
        self.leads = True
        self.start()

    def start(self) -> None:
        self.restarts = Restarts(Api(Cluster(self.api.url)), lambda: self.leads, self.later.append)

    def workload(self, names: str) -> None:
        before = self.header() if self.api.all("deployments") else None
        meta: dict[str, Any] = {"name": "web", "namespace": "shop", "annotations": {ON_CHANGE: names}}
        spec = {"template": {"metadata": {"labels": {"app": "web"}}}}
        self.api.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec})
        self.restarts.workload("Deployment", before, self.header())

    def header(self) -> Header:
        return msgspec.convert(self.api.get("deployments", "shop", "web"), Header)

    def observe(self, secret: str, version: str, state: Any = "written") -> None:
        ref = SecretRef(Store.SECRETS_MANAGER, secret, REGION)
        read = Read(ref, value("x", version=version), Source.AWS, 0.0)
        self.restarts.observe(PLAN, {ref: read}, [TargetOutcome(secret, state)])

    def roll(self) -> tuple[str, str]:
        """Return what is recorded on the workload and on its template."""
        self.restarts.roll(KEY, self.header())
        found = self.api.get("deployments", "shop", "web") or {}
        template = found["spec"]["template"]["metadata"].get("annotations") or {}
        return found["metadata"]["annotations"].get(VERSIONS, ""), template.get(VERSIONS, "")


@pytest.fixture
def rig() -> Iterator[Rig]:
    with FakeApi() as api:
        yield Rig(api)


def test_the_first_observation_is_recorded_and_restarts_nothing(rig: Rig) -> None:
    rig.workload("a")
    rig.observe("a", "v1")
    recorded, template = rig.roll()
    assert recorded
    assert template == ""


def test_a_new_version_rolls_out_once(rig: Rig) -> None:
    rig.workload("a")
    rig.observe("a", "v1")
    first = rig.roll()
    rig.observe("a", "v2")
    second = rig.roll()
    assert second[0] == second[1] != first[0]
    before = rig.api.writes()
    assert rig.roll() == second
    assert rig.api.writes() == before


def test_a_restart_of_keyferry_rolls_out_nothing_and_misses_nothing(rig: Rig) -> None:
    rig.workload("a")
    rig.observe("a", "v1")
    rig.roll()
    rig.start()
    rig.observe("a", "v1", "unchanged")
    assert rig.roll()[1] == ""
    rig.start()
    rig.observe("a", "v2")
    assert rig.roll()[1]


def test_nothing_happens_until_every_secret_was_observed(rig: Rig) -> None:
    rig.workload("a, b")
    rig.observe("a", "v1")
    assert rig.roll() == ("", "")
    rig.observe("b", "v1")
    assert rig.roll()[0]


def test_a_change_asks_for_a_roll_out_of_those_who_use_it(rig: Rig) -> None:
    rig.workload("a,b")
    rig.later.clear()
    rig.observe("a", "v1")
    rig.observe("a", "v1")
    rig.observe("other", "v1")
    assert rig.later == [KEY]
    rig.workload("b")
    rig.later.clear()
    rig.observe("a", "v2")
    assert rig.later == []


@pytest.mark.parametrize("state", ["failed", "skipped"])
def test_a_secret_that_was_not_written_is_no_observation(rig: Rig, state: str) -> None:
    rig.workload("a")
    rig.observe("a", "v1", state)
    assert rig.roll() == ("", "")


def test_without_the_lease_nothing_is_rolled_out(rig: Rig) -> None:
    rig.workload("a")
    rig.observe("a", "v1")
    rig.leads = False
    assert rig.roll() == ("", "")
