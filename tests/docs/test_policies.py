"""Every IAM policy of the pages has actions that exist, and no more than a door needs."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.docs import awscli
from tests.docs.pages import blocks, every_page

# Rights without a call of their own: Service Authorization Reference, "AWS Security Token Service"
_WITHOUT_CALL = {"sts:TagSession"}
SERVICES = ("secretsmanager", "ssm", "kms", "sts")


def statements(page: str) -> Iterator[dict[str, Any]]:
    for block in blocks(page):
        if block.language == "json":
            policy = json.loads(block.body)
            yield from policy.get("Statement", [])


@every_page
def test_every_json_block_is_json(page: str) -> None:
    assert all(json.loads(block.body) for block in blocks(page) if block.language == "json")


@every_page
def test_every_action_is_one_of_aws(page: str) -> None:
    known = {action for service in SERVICES for action in awscli.actions(service)} | _WITHOUT_CALL
    for statement in statements(page):
        actions = statement["Action"]
        assert set([actions] if isinstance(actions, str) else actions) <= known


@every_page
def test_no_policy_gives_everything(page: str) -> None:
    for statement in statements(page):
        assert "*" not in (statement["Action"], statement.get("Principal", {}))


def test_an_action_that_nobody_has_is_found() -> None:
    assert "secretsmanager:GetSecret" not in awscli.actions("secretsmanager")
    with pytest.raises(ValueError, match="has no"):
        awscli.read(["aws", "ssm", "get-secret"])
