"""The manifests that the sync door was asked for, from text to what is sent, in each order of apply."""

from base64 import b64decode
from typing import Any

import pytest
import yaml

from driver.sync import externalsecret
from driver.sync.manifest import Decision, Keep, Skip, Write, decide
from driver.sync.plan import Mode, SyncPlan
from driver.sync.render import render
from tests.unit.sync.material import UID, applied, reads

EXTERNAL_SECRET = """
apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata:
  name: my-external-secret
spec:
  backendType: secretsManager
  data:
    - key: my-secret
      name: my-external-secret-data
"""

EMPTY_SECRET = """
apiVersion: v1
kind: Secret
metadata:
  name: my-external-secret-data
type: Opaque
"""

FIRST = b'{"username": "admin", "password": "1234"}'
ROTATED = b'{"username": "admin", "password": "5678"}'


class Cluster:
    """The Secrets, and what our decisions make of them."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.writes = 0

    def apply_empty(self) -> None:
        secret = yaml.safe_load(EMPTY_SECRET)
        secret["metadata"]["resourceVersion"] = "1"
        self.secrets.setdefault("my-external-secret-data", secret)

    def sync(self, plan: SyncPlan, content: bytes) -> list[Decision]:
        decisions = []
        for desired in render(plan, reads(plan, {"my-secret": content})).secrets:
            decision = decide(desired, self.secrets.get(desired.name))
            if isinstance(decision, Write):
                self.writes += 1
                self.secrets[desired.name] = applied(decision.body)
            decisions.append(decision)
        return decisions

    def env(self) -> dict[str, str]:
        data = self.secrets["my-external-secret-data"].get("data", {})
        return {key: b64decode(text).decode() for key, text in data.items()}


def plan(mode: Mode = Mode.AUTO) -> SyncPlan:
    source = yaml.safe_load(EXTERNAL_SECRET)
    source["metadata"] |= {"namespace": "default", "uid": UID, "generation": 1}
    return externalsecret.parse(source, region="eu-west-1", mode=mode)


def test_the_secret_first() -> None:
    cluster = Cluster()
    cluster.apply_empty()
    cluster.sync(plan(), FIRST)
    assert cluster.env() == {"username": "admin", "password": "1234"}


def test_the_external_secret_first() -> None:
    cluster = Cluster()
    decisions = cluster.sync(plan(), FIRST)
    assert isinstance(decisions[1], Skip)
    cluster.apply_empty()
    cluster.sync(plan(), FIRST)
    assert cluster.env() == {"username": "admin", "password": "1234"}


def test_the_objects_own_secret_is_kes() -> None:
    cluster = Cluster()
    cluster.sync(plan(), FIRST)
    own = cluster.secrets["my-external-secret"]
    assert {key: b64decode(text) for key, text in own["data"].items()} == {"my-external-secret-data": FIRST}
    assert own["metadata"]["ownerReferences"][0]["uid"] == UID


def test_a_rotation_is_followed() -> None:
    cluster = Cluster()
    cluster.apply_empty()
    cluster.sync(plan(), FIRST)
    cluster.sync(plan(), ROTATED)
    assert cluster.env() == {"username": "admin", "password": "5678"}


def test_a_hundred_polls_without_change_write_nothing() -> None:
    cluster = Cluster()
    cluster.apply_empty()
    for _ in range(100):
        decisions = cluster.sync(plan(), FIRST)
    assert decisions == [Keep(), Keep()]
    assert cluster.writes == 2


def test_a_value_that_is_spoilt_leaves_the_last_good_keys() -> None:
    cluster = Cluster()
    cluster.apply_empty()
    cluster.sync(plan(), FIRST)
    cluster.sync(plan(), b"spoilt")
    assert cluster.env() == {"username": "admin", "password": "1234"}


def test_a_secret_that_is_emptied_by_a_replace_is_filled_again() -> None:
    cluster = Cluster()
    cluster.apply_empty()
    cluster.sync(plan(), FIRST)
    del cluster.secrets["my-external-secret-data"]
    cluster.apply_empty()
    cluster.sync(plan(), FIRST)
    assert cluster.env() == {"username": "admin", "password": "1234"}


@pytest.mark.parametrize(
    ("mode", "names"), [(Mode.KEY, ["my-external-secret"]), (Mode.SECRET, ["my-external-secret-data"])]
)
def test_the_other_modes(mode: Mode, names: list[str]) -> None:
    cluster = Cluster()
    cluster.sync(plan(mode), FIRST)
    assert list(cluster.secrets) == names
