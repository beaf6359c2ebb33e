"""The fields that lint calls known are those that the parser knows."""

from typing import Any

import pytest

from driver.cli import externalsecrets
from driver.sync import externalsecret
from tests.unit.sync.material import external_secret


def notes(spec: dict[str, Any]) -> list[str]:
    source = external_secret({"backendType": "secretsManager", "dataFrom": ["k"], **spec})
    return list(externalsecret.parse(source, region="eu-west-1").notes)


VALUES: dict[str, Any] = {"isBinary": True, "recursive": True, "property": "p", "name": "n", "key": "k"}
SPEC: dict[str, Any] = {"data": [], "dataFromWithOptions": [], "template": {}, "roleArn": "arn:aws:iam::1:role/a"}


@pytest.mark.parametrize(
    "spec",
    [
        {"region": "eu-west-1", "controllerId": "c", "type": "Opaque", **SPEC},
        {"dataFromWithOptions": [{name: VALUES.get(name, "x") for name in externalsecrets.OPTIONS}]},
        {"data": [{name: VALUES.get(name, "x") for name in externalsecrets.DATA if name != "path"}]},
        {"template": {name: "Opaque" if name == "type" else {} for name in externalsecrets.TEMPLATE}},
        {"template": {"metadata": {name: {} for name in externalsecrets.TEMPLATE_METADATA}}},
    ],
    ids=["spec", "options", "data", "template", "metadata"],
)
def test_a_known_field_has_an_effect(spec: dict[str, Any]) -> None:
    assert notes(spec) == []
