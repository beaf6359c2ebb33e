"""Every setting, parameter, field, annotation and error is described."""

import pytest
import yaml

from driver import errors
from driver.config import PROVIDER_OPTIONS, SYNC_OPTIONS
from driver.errors import KeyferryError
from driver.spc.fields import EXTRACT_FIELDS, FAILOVER_FIELDS, OBJECT_FIELDS
from driver.spc.settings import PARAMETERS
from driver.sync.plan import DELETION_POLICY, NAMED_SECRETS, POLL_INTERVAL, SERVICE_ACCOUNT, SYNC
from driver.sync.restart import ON_CHANGE
from tests.docs.pages import TEXTS
from tests.generated_docs import ROOT, error_meanings


@pytest.mark.parametrize("name", [option.flag for option in (*PROVIDER_OPTIONS, *SYNC_OPTIONS)])
def test_every_setting_is_described(name: str) -> None:
    assert f"`{name}" in TEXTS["docs/settings.md"]


def test_every_error_is_in_the_tree_of_its_module() -> None:
    own = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, KeyferryError)}
    assert {kind for kind, _ in error_meanings()} == own - {KeyferryError}


@pytest.mark.parametrize("name", [*PARAMETERS, *OBJECT_FIELDS, *EXTRACT_FIELDS, *FAILOVER_FIELDS])
def test_every_parameter_and_field_is_described(name: str) -> None:
    assert f"`{name}`" in TEXTS["docs/parameters.md"]


def crd_fields() -> set[str]:
    """Return the fields of ``spec`` and of the entries of its lists."""
    crd = yaml.safe_load((ROOT / "deploy/chart/crd/externalsecrets.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    entries = [field["items"].get("properties", {}) for field in spec.values() if "items" in field]
    return {*spec, *(name for entry in entries for name in entry)}


@pytest.mark.parametrize("name", sorted(crd_fields()))
def test_every_field_of_an_external_secret_is_described(name: str) -> None:
    assert f"`{name}`" in TEXTS["docs/externalsecrets.md"]


@pytest.mark.parametrize("name", [SYNC, SERVICE_ACCOUNT, NAMED_SECRETS, DELETION_POLICY, POLL_INTERVAL, ON_CHANGE])
def test_every_annotation_is_described(name: str) -> None:
    assert f"`{name}`" in TEXTS["docs/externalsecrets.md"]
