"""SecretProviderClasses that ask to be synced: parsing them, and the Secrets that driver 1.6.0 would make."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import KeyferryError, NotFound
from driver.model import AuthMethod, Role
from driver.sync import secretproviderclass
from driver.sync.plan import Claim, Mode, Rendering, SyncPlan
from driver.sync.render import render
from tests.unit.sync.material import REGION, Stored, failure, lines, reads, secrets
from tests.unit.sync.test_pem import CERTIFICATE

OBJECTS = """
- {objectName: db, objectType: secretsmanager, jmesPath: [{path: user, objectAlias: db-user}]}
- {objectName: /app/key, objectType: ssmparameter, objectAlias: key}
"""
DATA = [{"objectName": "db-user", "key": "username"}, {"objectName": "key", "key": "key"}]
SECRET = {"secretName": "app-env", "type": "Opaque", "data": DATA}
TLS = {
    "secretName": "app-env",
    "type": "kubernetes.io/tls",
    "data": [{"objectName": "cert", "key": "tls.crt"}, {"objectName": "cert", "key": "tls.key"}],
}
STORED: Stored = {"db": b'{"user": "anna"}', "/app/key": b"s3"}


def source(secret_objects: object = None, **fields: Any) -> dict[str, Any]:
    annotations = {"keyferry.dev/sync": "true", "keyferry.dev/service-account": "reader"}
    return {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": {
            "name": "app",
            "namespace": "shop",
            "uid": "u",
            "annotations": fields.pop("annotations", annotations),
        },
        "spec": {
            "provider": fields.pop("provider", "aws"),
            "parameters": {"objects": fields.pop("objects", OBJECTS), **fields},
            "secretObjects": [SECRET] if secret_objects is None else secret_objects,
        },
    }


def planned(*args: Any, **fields: Any) -> SyncPlan:
    return secretproviderclass.parse(source(*args, **fields), region=REGION)


def rendered(stored: Stored, *args: Any, **fields: Any) -> Rendering:
    plan = planned(*args, **fields)
    return render(plan, reads(plan, stored))


def problems(found: dict[str, Any]) -> list[str]:
    with pytest.raises(KeyferryError) as caught:
        secretproviderclass.parse(found, region=REGION)
    return lines(caught.value)


def test_the_plan_has_the_account_and_every_name() -> None:
    plan = planned()
    assert (plan.service_account, plan.method, plan.keys) == ("reader", AuthMethod.IRSA, ("db", "/app/key"))
    assert plan.targets == ("app-env",)


def test_region_method_and_roles_are_the_parameters() -> None:
    arn = "arn:aws:iam::123456789012:role/x"
    plan = planned(region="us-east-1", usePodIdentity="true", roleArn=arn, failoverRegion="us-west-2")
    assert (plan.region, plan.failover_region) == ("us-east-1", "us-west-2")
    assert (plan.method, plan.roles) == (AuthMethod.POD_IDENTITY, (Role(arn),))


def test_keys_types_labels_and_annotations_are_the_drivers() -> None:
    found = rendered(STORED, [{**SECRET, "labels": {"l": "1"}, "annotations": {"a": "2"}}])
    assert secrets(found) == {"app-env": {"username": b"anna", "key": b"s3"}}
    desired = found.secrets[0]
    assert (desired.type, desired.labels, desired.annotations) == ("Opaque", {"l": "1"}, {"a": "2"})
    assert desired.claim is Claim.MAKE


def test_names_are_trimmed_as_the_driver_trims_them() -> None:
    found = rendered(STORED, [{**SECRET, "type": " Opaque ", "data": [{"objectName": " key ", "key": " k "}]}])
    assert secrets(found) == {"app-env": {"k": b"s3"}}


def test_a_file_is_found_by_its_translated_path() -> None:
    objects = "- {objectName: a/b, objectType: secretsmanager}"
    found = rendered({"a/b": b"1"}, [{**SECRET, "data": [{"objectName": "a_b", "key": "k"}]}], objects=objects)
    assert secrets(found) == {"app-env": {"k": b"1"}}


def test_keys_of_a_wildcard_can_be_named() -> None:
    objects = '- {objectName: db, objectType: secretsmanager, jmesPath: "*"}'
    found = rendered(STORED, [{**SECRET, "data": [{"objectName": "user", "key": "k"}]}], objects=objects)
    assert secrets(found) == {"app-env": {"k": b"anna"}}


def test_tls_is_split() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    sec1 = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    found = rendered({"cert": pkcs8 + CERTIFICATE}, [TLS], objects="- {objectName: cert, objectType: secretsmanager}")
    assert secrets(found) == {"app-env": {"tls.crt": CERTIFICATE, "tls.key": sec1}}


def test_tls_without_a_key_is_withheld_with_its_place() -> None:
    found = rendered({"cert": CERTIFICATE}, [TLS], objects="- {objectName: cert, objectType: secretsmanager}")
    assert str(found.withheld[0].error).startswith("secretObjects[0] (app-env) (cert): there is no PEM private key")


def test_a_missing_file_is_named_with_the_drivers_words() -> None:
    found = rendered(STORED, [{**SECRET, "data": [{"objectName": "nope", "key": "k"}]}])
    text = str(found.withheld[0].error)
    assert text.startswith("secretObjects[0] (app-env): file matching objectName 'nope' not found")


def test_a_failing_object_withholds_only_the_secrets_that_need_it() -> None:
    other = {"secretName": "other", "type": "Opaque", "data": [{"objectName": "key", "key": "k"}]}
    found = rendered({**STORED, "db": NotFound("db", "gone", "make it")}, [SECRET, other])
    assert secrets(found) == {"other": {"k": b"s3"}}
    assert [one.name for one in found.withheld] == ["app-env"]
    assert [one.error is None for one in found.items] == [False, True]


def test_two_objects_of_one_file_are_told() -> None:
    objects = """
- {objectName: db, objectType: secretsmanager, jmesPath: "*"}
- {objectName: other, objectType: secretsmanager, objectAlias: user}
"""
    found = rendered(
        {**STORED, "other": b"1"}, [{**SECRET, "data": [{"objectName": "user", "key": "k"}]}], objects=objects
    )
    assert "its file 'user' is also that of another object" in str(found.withheld[0].error)


def test_a_failing_property_withholds_with_the_objects_name() -> None:
    found = rendered({**STORED, "db": b"text"})
    assert str(found.withheld[0].error).startswith("db: ")


WRONG = [
    pytest.param({"annotations": {}}, [SECRET], "keyferry.dev/service-account: it is missing", id="no account"),
    pytest.param({"provider": "azure"}, [SECRET], "'azure' is another provider", id="another provider"),
    pytest.param({"objects": ""}, [SECRET], "no objects", id="the parameters' own problems"),
    pytest.param({}, [], "spec.secretObjects: there are none", id="no secretObjects"),
    pytest.param({}, [{**SECRET, "secretName": "A B"}], "secretObjects[0].secretName", id="a bad name"),
    pytest.param({}, [{**SECRET, "secretName": ""}], "secretObjects[0].secretName", id="same: an empty name"),
    pytest.param({}, [{**SECRET, "type": ""}], "secretObjects[0].type: it is missing", id="same: an empty type"),
    pytest.param({}, [{**SECRET, "type": "helm.sh/release.v1"}], "secretObjects[0].type", id="a dangerous type"),
    pytest.param({}, [{**SECRET, "data": []}], "secretObjects[0].data: it is missing", id="same: no data"),
    pytest.param(
        {}, [{**SECRET, "data": [{"key": "k"}]}], "data[0].objectName: it is missing", id="same: no objectName"
    ),
    pytest.param({}, [{**SECRET, "data": [{"objectName": "key", "key": " "}]}], "data[0].key", id="same: no key"),
    pytest.param({}, [{**SECRET, "data": [{"objectName": "key", "key": "a/b"}]}], "data[0].key", id="a bad key"),
    pytest.param(
        {}, [{**SECRET, "type": "kubernetes.io/tls"}], "only the keys tls.crt and tls.key", id="same: other keys of tls"
    ),
    pytest.param(
        {}, [{**SECRET, "labels": {"secrets-store.csi.k8s.io/managed": "true"}}], "reserved", id="the driver's label"
    ),
    pytest.param({}, [{**SECRET, "annotations": {"keyferry.dev/keys": ""}}], "reserved", id="our record"),
    pytest.param({}, [SECRET, SECRET], "two of them have the secretName 'app-env'", id="one name twice"),
]


@pytest.mark.parametrize(("fields", "secret_objects", "message"), WRONG)
def test_problems_name_the_field(fields: dict[str, Any], secret_objects: list[Any], message: str) -> None:
    assert message in "\n".join(problems(source(secret_objects, **fields)))


def test_all_problems_are_told_at_once() -> None:
    assert len(problems(source([{}], annotations={}, provider="x", objects=""))) == 6


def test_opting_in_takes_the_annotation() -> None:
    assert secretproviderclass.opted_in(source())
    for metadata in ({}, {"annotations": None}, {"annotations": {"keyferry.dev/sync": "false"}}, None):
        assert not secretproviderclass.opted_in({"metadata": metadata})


def test_named_secrets_are_no_matter_of_a_class() -> None:
    assert not any(mode in planned().targets for mode in Mode)


ANY = st.recursive(
    st.none() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["secretName", "type", "data", "key", "objectName", "labels"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(ANY)
def test_any_secret_objects_give_a_plan_or_an_error_of_ours(secret_objects: object) -> None:
    assert "Traceback" not in failure(lambda: planned(secret_objects))
