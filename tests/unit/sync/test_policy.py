"""What namespaces permit: the rows of kubernetes-external-secrets' own tables, and the gaps that it had."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import AccessDenied, InvalidInput
from driver.sync.policy import Rules, verdict
from tests.unit.sync.material import lines, planned

ROLE = "iam.amazonaws.com/permitted"
KEY = "externalsecrets.kubernetes-client.io/permitted-key-name"
ARN = "arn:aws:iam::123456789012:role/app"
DATA = {"data": [{"key": "dev/app/x", "name": "x"}]}
PATHS = {"backendType": "systemManager", "data": [{"path": "/dev/app"}]}


def allowed(spec: dict[str, Any], annotations: dict[str, str], *, enforce: bool = False) -> bool:
    return verdict(planned(spec), annotations, Rules(enforce=enforce)) is None


ROWS = [
    pytest.param(DATA, {}, False, True, id="same: no annotation, all is permitted"),
    pytest.param(DATA, {KEY: ""}, False, True, id="same: an empty one too"),
    pytest.param(DATA, {}, True, False, id="same: unless it is enforced"),
    pytest.param(DATA, {KEY: ""}, True, False, id="same: enforced, an empty one permits nothing"),
    pytest.param(DATA, {KEY: "dev/app/.*"}, True, True, id="same: enforced and matching"),
    pytest.param(DATA, {KEY: "dev/.*"}, False, True, id="same: a key matches"),
    pytest.param(DATA, {KEY: "prod/.*"}, False, False, id="same: a key does not match"),
    pytest.param(DATA, {KEY: "^dev/app/x$"}, False, True, id="same: with ^ and $"),
    pytest.param(DATA, {KEY: "dev/app"}, False, False, id="different: a part is not enough"),
    pytest.param(
        {"data": [{"key": "prod/dev/app/x", "name": "x"}]}, {KEY: "dev/app/.*"}, False, False, id="different: anchored"
    ),
    pytest.param({"dataFrom": ["dev/a", "prod/a"]}, {KEY: "dev/.*"}, False, False, id="same: dataFrom, one not"),
    pytest.param({"dataFrom": ["dev/a"]}, {KEY: "dev/.*"}, False, True, id="same: dataFrom"),
    pytest.param(
        {"dataFromWithOptions": [{"key": "prod/a"}]}, {KEY: "dev/.*"}, False, False, id="different: dataFromWithOptions"
    ),
    pytest.param(PATHS, {KEY: "/dev/.*"}, False, True, id="same: a path"),
    pytest.param(PATHS, {KEY: "/prod/.*"}, False, False, id="same: a path that does not match"),
    pytest.param(
        {**DATA, "dataFrom": ["dev/b"], "dataFromWithOptions": [{"key": "dev/c"}]},
        {KEY: "dev/.*"},
        False,
        True,
        id="same: all lists at once",
    ),
    pytest.param(DATA, {KEY: '["prod/.*", "dev/.*"]'}, False, True, id="different: a list of patterns"),
    pytest.param(DATA, {KEY: '["prod/.*"]'}, False, False, id="different: a list without a match"),
    pytest.param(DATA, {ROLE: "nothing"}, False, True, id="same: no role, no question"),
    pytest.param({**DATA, "roleArn": ARN}, {ROLE: ARN}, False, True, id="same: the role itself"),
    pytest.param({**DATA, "roleArn": ARN}, {ROLE: "arn:aws:iam::123456789012:.*"}, False, True, id="same: a pattern"),
    pytest.param({**DATA, "roleArn": ARN}, {ROLE: "arn:aws:iam::210987654321:.*"}, False, False, id="same: another"),
    pytest.param({**DATA, "roleArn": ARN + "-admin"}, {ROLE: ARN}, False, False, id="different: a longer role"),
    pytest.param({**DATA, "roleArn": ARN}, {ROLE: ""}, False, True, id="same: an empty one permits all roles"),
    pytest.param({**DATA, "roleArn": ARN}, {KEY: ".*"}, True, False, id="same: enforced, the role has no annotation"),
    pytest.param({**DATA, "roleArn": ARN}, {KEY: ".*", ROLE: ".*"}, True, True, id="same: enforced, both there"),
    pytest.param({**DATA, "roleArn": ARN}, {KEY: "no", ROLE: ".*"}, False, False, id="same: role yes, key no"),
    pytest.param({**DATA, "roleArn": ARN}, {KEY: ".*", ROLE: "no"}, False, False, id="same: key yes, role no"),
]


@pytest.mark.parametrize(("spec", "annotations", "enforce", "expected"), ROWS)
def test_verdicts(spec: dict[str, Any], annotations: dict[str, str], enforce: bool, expected: bool) -> None:
    assert allowed(spec, annotations, enforce=enforce) is expected


def test_the_message_has_kes_words_and_names_what_is_refused() -> None:
    error = verdict(planned(DATA), {KEY: "prod/.*"}, Rules())
    assert isinstance(error, AccessDenied)
    assert "not allowed to fetch secret: shop/app: key 'dev/app/x'" in str(error)


def test_every_refused_name_is_told() -> None:
    error = verdict(planned({**DATA, "roleArn": ARN}), {KEY: "no", ROLE: "no"}, Rules())
    assert error is not None
    assert len(lines(error)) == 2


def test_a_pattern_that_cannot_be_used_permits_nothing() -> None:
    assert isinstance(verdict(planned(DATA), {KEY: "(?=x).*"}, Rules()), InvalidInput)


def test_annotations_can_have_other_names() -> None:
    rules = Rules(key_annotation="example.com/keys")
    assert verdict(planned(DATA), {KEY: "no", "example.com/keys": ".*"}, rules) is None


@given(st.text(alphabet="abc/-", min_size=1, max_size=12), st.text(alphabet="abc/-", min_size=1, max_size=12))
def test_a_literal_permits_itself_and_nothing_that_contains_it(pattern: str, key: str) -> None:
    spec = {"dataFromWithOptions": [{"key": key}]}
    assert allowed(spec, {KEY: pattern}) is (key == pattern)
