"""Reading ExternalSecrets: what is accepted, and that everything wrong is told at once."""

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import KeyferryError
from driver.model import AuthMethod, Role, SecretRef, Store
from driver.sync import externalsecret
from driver.sync.plan import Items, Mode, Shape, SyncPlan
from tests.unit.sync.material import REGION, external_secret, failure, lines, planned

ARN = "arn:aws:iam::123456789012:role/app"
ONE = {"data": [{"key": "k", "name": "n"}]}
SSM = "systemManager"


def items(plan: SyncPlan) -> Items:
    assert isinstance(plan.content, Items)
    return plan.content


def refs(spec: dict[str, Any]) -> list[SecretRef]:
    return [want.ref for want in planned(spec).wants]


def problems(source: dict[str, Any]) -> list[str]:
    with pytest.raises(KeyferryError) as caught:
        externalsecret.parse(source, region=REGION)
    return lines(caught.value)


def sm(name: str, **fields: Any) -> SecretRef:
    return SecretRef(Store.SECRETS_MANAGER, name, fields.pop("region", REGION), **fields)


def ssm(name: str, **fields: Any) -> SecretRef:
    return SecretRef(Store.PARAMETER, name, REGION, **fields)


READS = [
    pytest.param(ONE, [sm("k")], id="same: a secret"),
    pytest.param({**ONE, "backendType": "secretManager"}, [sm("k")], id="same: the old name of the backend"),
    pytest.param({**ONE, "region": "us-east-1"}, [sm("k", region="us-east-1")], id="same: a region"),
    pytest.param({**ONE, "roleArn": ARN}, [sm("k", chain=(Role(ARN),))], id="same: a role"),
    pytest.param({"data": [{"key": "k", "name": "n", "versionStage": "S"}]}, [sm("k", label="S")], id="same: a stage"),
    pytest.param({"data": [{"key": "k", "name": "n", "versionId": "V"}]}, [sm("k", version="V")], id="same: a version"),
    pytest.param(
        {"data": [{"key": "k", "name": "n", "versionId": "V", "versionStage": "S"}]},
        [sm("k", version="V")],
        id="same: with a version the stage does not count",
    ),
    pytest.param(
        {"data": [{"key": "k", "name": "n", "versionStage": "AWSCURRENT"}, {"key": "k", "name": "m"}]},
        [sm("k")],
        id="different: the current stage shares the read of no stage",
    ),
    pytest.param(
        {"data": [{"key": "k", "name": "n", "property": "a"}, {"key": "k", "name": "m", "property": "b"}]},
        [sm("k")],
        id="different: two properties of a secret are one read",
    ),
    pytest.param({"dataFrom": ["a", "b"]}, [sm("a"), sm("b")], id="same: dataFrom"),
    pytest.param({"dataFromWithOptions": [{"key": "a", "versionId": "V"}]}, [sm("a", version="V")], id="same: options"),
    pytest.param({**ONE, "backendType": SSM}, [ssm("k")], id="same: a parameter"),
    pytest.param(
        {"backendType": SSM, "data": [{"key": "/a/b:3", "name": "n"}]}, [ssm("/a/b", version="3")], id="same: name:3"
    ),
    pytest.param(
        {"backendType": SSM, "data": [{"key": "/a:live", "name": "n"}]},
        [ssm("/a", label="live")],
        id="same: name:label",
    ),
    pytest.param(
        {"backendType": SSM, "data": [{"key": "arn:aws:ssm:r:1:parameter/a", "name": "n"}]},
        [ssm("arn:aws:ssm:r:1:parameter/a")],
        id="same: an ARN",
    ),
    pytest.param(
        {"backendType": SSM, "data": [{"key": "arn:aws:ssm:r:1:parameter/a:2", "name": "n"}]},
        [ssm("arn:aws:ssm:r:1:parameter/a", version="2")],
        id="same: an ARN with a version",
    ),
    pytest.param(
        {"backendType": SSM, "data": [{"path": "/a"}]},
        [SecretRef(Store.PARAMETER_PATH, "/a", REGION)],
        id="same: a path",
    ),
    pytest.param({"properties": [{"key": "k", "name": "n"}]}, [sm("k")], id="same: properties, as it once was called"),
    pytest.param({"data": []}, [], id="same: an empty list"),
]


@pytest.mark.parametrize(("spec", "expected"), READS)
def test_reads(spec: dict[str, Any], expected: list[SecretRef]) -> None:
    assert refs(spec) == expected


def test_secret_descriptor_is_read_as_spec() -> None:
    source = external_secret(None)
    source["secretDescriptor"] = {"backendType": "secretManager", **ONE}
    assert [want.ref for want in externalsecret.parse(source, region=REGION).wants] == [sm("k")]


def test_items_come_in_kes_merge_order() -> None:
    spec = {**ONE, "dataFromWithOptions": [{"key": "b"}], "dataFrom": ["a"]}
    assert [item.place for item in items(planned(spec)).items] == ["dataFrom[0]", "dataFromWithOptions[0]", "data[0]"]


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (ONE, "Opaque"),
        ({**ONE, "type": "kubernetes.io/tls"}, "kubernetes.io/tls"),
        ({**ONE, "type": "a", "template": {"type": "b"}}, "b"),
    ],
)
def test_type_is_the_templates_else_the_specs(spec: dict[str, Any], kind: str) -> None:
    assert items(planned(spec)).type == kind


WRONG = [
    pytest.param({}, "spec.backendType: it is missing", id="different: no backendType"),
    pytest.param({"backendType": "vault"}, 'supported are "secretsManager" and "systemManager"', id="another backend"),
    pytest.param({"data": None}, "none of data, dataFrom and dataFromWithOptions", id="same: no list"),
    pytest.param({"data": [{"name": "n"}]}, "spec.data[0].key: it is missing", id="same: no key"),
    pytest.param({"data": [{"key": "k"}]}, "spec.data[0].name: it is missing", id="same: no name"),
    pytest.param({"data": [{"key": "", "name": "n"}]}, "spec.data[0].key: it is empty", id="an empty key"),
    pytest.param({"data": ["k"]}, "spec.data[0]: not a mapping", id="same: an entry that is a text"),
    pytest.param({"data": {"key": "k"}}, "spec.data: not a list but a mapping", id="same: no list but a mapping"),
    pytest.param({"data": [{"key": 1, "name": "n"}]}, "spec.data[0].key: not a text but a number", id="same: a number"),
    pytest.param({"data": [{"key": "k", "name": "a/b"}]}, "spec.data[0].name: 'a/b' cannot be used", id="a bad name"),
    pytest.param({"data": [{"key": "k", "name": ".."}]}, "spec.data[0].name: '..' cannot be used", id="two dots"),
    pytest.param({"data": [{"key": "k\n", "name": "n"}]}, "spec.data[0].key: ", id="a control character"),
    pytest.param({"data": [{"key": "k", "name": "n", "path": "/p"}]}, "either key and name, or path", id="same: both"),
    pytest.param({"data": [{"path": "/p"}]}, "Secrets Manager has no paths", id="same: a path in Secrets Manager"),
    pytest.param({"data": [{"path": "p"}], "backendType": SSM}, "begin it with '/'", id="a path without slash"),
    pytest.param({"dataFrom": [{"key": "k"}]}, "spec.dataFrom[0].key: not a text", id="same: dataFrom of mappings"),
    pytest.param({"dataFromWithOptions": [{}]}, "spec.dataFromWithOptions[0].key: it is missing", id="same: no key"),
    pytest.param({**ONE, "roleArn": "app"}, "not the ARN of a role", id="different: a role that is no ARN"),
    pytest.param({**ONE, "region": "eu west"}, "spec.region: ", id="different: not a region"),
    pytest.param({**ONE, "type": "kubernetes.io/service-account-token"}, "spec.type: ", id="different: dangerous"),
    pytest.param({**ONE, "type": "helm.sh/release.v1"}, "spec.type: ", id="different: a Helm release"),
    pytest.param({**ONE, "template": {"type": "bootstrap.kubernetes.io/token"}}, "spec.template.type", id="bootstrap"),
    pytest.param({**ONE, "template": {"type": "<%= data.n %>"}}, "not rendered as a template", id="same: not compiled"),
    pytest.param({**ONE, "template": {"immutable": True}}, "spec.template.immutable", id="different: immutable"),
    pytest.param(
        {**ONE, "template": {"metadata": {"ownerReferences": []}}},
        "spec.template.metadata.ownerReferences",
        id="different: owners",
    ),
    pytest.param(
        {**ONE, "template": {"metadata": {"annotations": {"keyferry.dev/source": "x"}}}}, "reserved", id="our record"
    ),
    pytest.param(
        {**ONE, "template": {"metadata": {"labels": {"secrets-store.csi.k8s.io/managed": "true"}}}},
        "reserved",
        id="the driver's label",
    ),
    pytest.param({**ONE, "template": {"metadata": {"labels": {"a": 1}}}}, "labels.a: not a text", id="a number"),
    pytest.param(
        {**ONE, "template": {"stringData": {"x": "<% code %>"}}}, "spec.template.stringData.x: ", id="different: code"
    ),
    pytest.param({**ONE, "template": {"stringData": {"a b": "x"}}}, "stringData.a b", id="a key that is none"),
]


@pytest.mark.parametrize(("spec", "message"), WRONG)
def test_problems_name_field_and_remedy(spec: dict[str, Any], message: str) -> None:
    with_backend = {"backendType": "secretsManager", **spec} if spec else {"data": []}
    assert message in "\n".join(problems(external_secret(with_backend)))


@pytest.mark.parametrize("spec", [None, "text", [], 3])
def test_a_spec_that_is_no_mapping_is_one_clear_problem(spec: object) -> None:
    assert any(line.startswith("spec") for line in problems(external_secret(spec)))


def test_all_problems_are_told_at_once() -> None:
    spec = {"backendType": "vault", "roleArn": "x", "data": [{"key": "k"}, {"name": "n"}]}
    assert len(problems(external_secret(spec, deletion_policy="keep"))) == 5


def test_no_region_is_a_problem() -> None:
    with pytest.raises(KeyferryError, match="no region is named"):
        externalsecret.parse(external_secret({"backendType": "secretsManager", **ONE}), region="")


def test_annotations_set_account_interval_retention_and_mode() -> None:
    plan = planned(
        ONE, service_account="reader", poll_interval="1h30m5s", deletion_policy="retain", named_secrets="secret"
    )
    assert (plan.service_account, plan.method, plan.interval, plan.retain) == ("reader", AuthMethod.IRSA, 5405.0, True)
    assert items(plan).mode is Mode.SECRET


@pytest.mark.parametrize(
    "annotations",
    [
        {"service_account": "Not A Name"},
        {"poll_interval": "0s"},
        {"poll_interval": ""},
        {"poll_interval": "5"},
        {"named_secrets": "always"},
        {"deletion_policy": "keep"},
        {"unheard_of": "x"},
    ],
)
def test_a_wrong_annotation_is_told(annotations: dict[str, str]) -> None:
    source = external_secret({"backendType": "secretsManager", **ONE}, **annotations)
    assert problems(source)[0].startswith("metadata.annotations.keyferry.dev/")


@pytest.mark.parametrize(
    ("item", "named"),
    [
        pytest.param({"key": "k", "name": "my-data"}, True, id="key and name"),
        pytest.param({"key": "k", "name": "my-data", "versionStage": "S"}, True, id="with a stage"),
        pytest.param({"key": "k", "name": "my-data", "property": "p"}, False, id="a property"),
        pytest.param({"key": "k", "name": "my-data", "isBinary": True}, False, id="binary"),
        pytest.param({"key": "k", "name": "app"}, False, id="the object's own name"),
        pytest.param({"key": "k", "name": ".dockerconfigjson"}, False, id="no DNS name"),
        pytest.param({"key": "k", "name": "PASSWORD"}, False, id="upper case"),
        pytest.param({"key": "k", "name": "my_data"}, False, id="an underscore"),
    ],
)
def test_which_items_can_name_a_secret(item: dict[str, Any], named: bool) -> None:
    plan = planned({"data": [item]}, mode=Mode.AUTO)
    assert items(plan).items[0].named is named
    assert plan.targets == (("app", "my-data") if named else ("app",))


def test_in_mode_secret_only_the_named_ones_are_targets() -> None:
    assert planned({"data": [{"key": "k", "name": "d"}]}, mode=Mode.SECRET).targets == ("d",)


def test_what_has_no_effect_is_noted() -> None:
    spec = {**ONE, "vaultRole": "x", "template": {"metadata": {"name": "other"}, "foo": 1}}
    notes = " ".join(planned(spec).notes)
    assert "spec.vaultRole" in notes
    assert "spec.template.metadata.name" in notes
    assert "spec.template.foo" in notes


def test_keys_hold_every_name_that_is_read() -> None:
    spec = {"backendType": SSM, "data": [{"path": "/p"}], "dataFrom": ["a"], "dataFromWithOptions": [{"key": "b"}]}
    assert planned(spec).keys == ("a", "b", "/p")


def test_a_path_item_is_of_its_own_shape() -> None:
    item = items(planned({"backendType": SSM, "data": [{"path": "/p", "recursive": True}]})).items[0]
    assert (item.shape, item.recursive) == (Shape.PATH, True)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.sampled_from(
    ["backendType", "data", "dataFrom", "dataFromWithOptions", "template", "region", "roleArn", "type", "key", "name"]
)


@given(st.dictionaries(FIELDS, ANY | st.lists(st.dictionaries(FIELDS, ANY, max_size=3), max_size=3), max_size=6), ANY)
def test_any_object_gives_a_plan_or_an_error_of_ours(spec: dict[str, Any], metadata: object) -> None:
    for source in ({"spec": spec, "metadata": {"name": "n"}}, {"spec": {**spec}, "metadata": metadata}):
        assert "Traceback" not in failure(partial(externalsecret.parse, source, region=REGION))
