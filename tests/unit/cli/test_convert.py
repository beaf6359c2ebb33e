"""To the External Secrets Operator's manifests and back, on files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from driver import cli
from driver.sync import externalsecret
from driver.sync.plan import SyncPlan

Capture = pytest.CaptureFixture[str]
Convert = Callable[..., tuple[int, list[dict[str, Any]], list[str]]]
ROLE = "arn:aws:iam::111122223333:role/app"

CLIENT = """\
apiVersion: kubernetes-client.io/v1
kind: ExternalSecret
metadata: {name: my-external-secret}
spec:
  backendType: secretsManager
  data: [{key: my-secret, name: my-external-secret-data}]
"""


def kes(spec: dict[str, Any], name: str = "app", **annotations: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "shop"}
    if annotations:
        metadata["annotations"] = {f"keyferry.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
    spec = {"backendType": "secretsManager", **spec}
    return {"apiVersion": "kubernetes-client.io/v1", "kind": "ExternalSecret", "metadata": metadata, "spec": spec}


def eso(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    head = {"name": "app", "namespace": "shop", **metadata}
    spec = {"secretStoreRef": {"name": "aws"}, "refreshInterval": "1m", "target": {"template": {}}, **spec}
    return {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": head, "spec": spec}


def store(kind: str = "SecretStore", spec: dict[str, Any] | None = None, **aws: Any) -> dict[str, Any]:
    provider = {"aws": {"service": "SecretsManager", "region": "eu-west-1", **aws}}
    metadata = {"name": "aws"} | ({} if kind == "ClusterSecretStore" else {"namespace": "shop"})
    spec = {"provider": provider, **(spec or {})}
    return {"apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


DATA = [{"secretKey": "a.b", "remoteRef": {"key": "db"}}]
ONE = {"data": [{"key": "db", "name": "a", "property": "p"}]}


@pytest.fixture
def convert(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> Convert:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)

    def run(found: str | list[dict[str, Any]], *arguments: str) -> tuple[int, list[dict[str, Any]], list[str]]:
        path = tmp_path / "objects.yaml"
        path.write_text(found if isinstance(found, str) else yaml.safe_dump_all(found))
        code = cli.main(["convert", "-f", str(path), *arguments])
        out, err = capsys.readouterr()
        return code, list(yaml.safe_load_all(out)), err.splitlines()

    return run


def planned(source: dict[str, Any]) -> SyncPlan:
    return externalsecret.parse(source, region="eu-west-1")


# to the operator


def test_an_external_secret_becomes_one_and_its_store(convert: Convert) -> None:
    code, (made, secret), said = convert(CLIENT, "--region", "eu-west-1")
    assert code == 0
    name = "aws-secretsmanager-eu-west-1"
    assert (made["apiVersion"], made["kind"], made["metadata"]) == (
        "external-secrets.io/v1",
        "SecretStore",
        {"name": name},
    )
    assert made["spec"] == {"provider": {"aws": {"service": "SecretsManager", "region": "eu-west-1"}}}
    assert secret["spec"] == {
        "refreshInterval": "1m",
        "secretStoreRef": {"name": name, "kind": "SecretStore"},
        "target": {
            "name": "my-external-secret",
            "creationPolicy": "Owner",
            "template": {"engineVersion": "v2", "type": "Opaque"},
        },
        "data": [{"secretKey": "my-external-secret-data", "remoteRef": {"key": "my-secret"}}],
    }
    assert [line for line in said if "keyferry.dev/named-secrets" in line] == said


def test_a_named_secret_that_is_asked_for_becomes_an_external_secret_of_its_own(convert: Convert) -> None:
    spec = {"region": "eu-west-1", "data": [{"key": "my-secret", "name": "my-data"}]}
    code, (_, secret), said = convert([kes(spec, named_secrets="secret")])
    assert (code, said) == (0, [])
    assert (secret["metadata"]["name"], secret["spec"]["target"]["name"]) == ("my-data", "my-data")
    assert secret["spec"]["dataFrom"] == [{"extract": {"key": "my-secret"}}]


ENTRIES = [
    pytest.param({"property": "a.b[0]"}, {"property": "a.b.0"}, id="a path to a list"),
    pytest.param({"property": '["a.b"].c@d'}, {"property": r"a\.b.c\@d"}, id="signs that gjson knows"),
    pytest.param({"versionStage": "AWSPREVIOUS"}, {"version": "AWSPREVIOUS"}, id="a stage"),
    pytest.param({"versionStage": "AWSCURRENT"}, {}, id="the default stage"),
    pytest.param({"versionId": "11"}, {"version": "uuid/11"}, id="a version"),
    pytest.param({"isBinary": True}, {"decodingStrategy": "Base64"}, id="base64"),
]


@pytest.mark.parametrize(("given", "made"), ENTRIES)
def test_an_entry_of_data_becomes_a_remote_ref(convert: Convert, given: dict[str, Any], made: dict[str, Any]) -> None:
    spec = {"region": "eu-west-1", "data": [{"key": "db", "name": "a.b", **given}]}
    code, documents, _ = convert([kes(spec, named_secrets="key")])
    assert code == 0
    assert documents[1]["spec"]["data"] == [{"secretKey": "a.b", "remoteRef": {"key": "db", **made}}]


def test_a_path_of_parameters_becomes_a_find_that_keeps_the_last_segment(convert: Convert) -> None:
    spec = {"backendType": "systemManager", "region": "eu-west-1", "data": [{"path": "/a.b/"}]}
    _, (made, secret), _ = convert([kes(spec)])
    assert made["spec"]["provider"]["aws"]["service"] == "ParameterStore"
    rewrite = [{"regexp": {"source": "^.*/", "target": ""}}]
    find = {"path": "/a.b/", "name": {"regexp": r"^/a\.b/[^/]+$"}}
    assert secret["spec"]["dataFrom"] == [{"find": find, "rewrite": rewrite}]


def test_objects_with_equal_needs_share_a_store(convert: Convert) -> None:
    """A store for each region, role and service account."""
    spec = {"region": "eu-west-1", **ONE}
    found = [
        kes(spec, "a"),
        kes(spec, "b"),
        kes({**spec, "roleArn": ROLE}, "c"),
        kes({**spec, "region": "us-east-1"}, "d"),
        kes(spec, "e", service_account="web"),
    ]
    _, documents, _ = convert(found, "--store", "mine")
    stores = {
        one["metadata"]["name"]: one["spec"]["provider"]["aws"] for one in documents if one["kind"] == "SecretStore"
    }
    assert list(stores) == ["mine", "mine-2", "mine-3", "mine-4"]
    assert stores["mine-2"]["role"] == ROLE
    assert stores["mine-4"]["auth"] == {"jwt": {"serviceAccountRef": {"name": "web"}}}
    used = [one["spec"]["secretStoreRef"]["name"] for one in documents if one["kind"] == "ExternalSecret"]
    assert used == ["mine", "mine", "mine-2", "mine-3", "mine-4"]


def test_a_store_of_the_cluster_names_the_namespace_of_its_account(convert: Convert) -> None:
    found = [kes({"region": "eu-west-1", **ONE}, service_account="web")]
    _, (made, _), _ = convert(found, "--store-kind", "ClusterSecretStore", "--api-version", "v1beta1")
    assert (made["apiVersion"], "namespace" in made["metadata"]) == ("external-secrets.io/v1beta1", False)
    reference = made["spec"]["provider"]["aws"]["auth"]["jwt"]["serviceAccountRef"]
    assert reference == {"name": "web", "namespace": "shop"}


LOST = [
    pytest.param(
        {"dataFromWithOptions": [{"key": "k", "isBinary": True}]},
        "dataFromWithOptions[0].isBinary",
        id="JSON in base64",
    ),
    pytest.param({**ONE, "template": {"stringData": {"x": "<%- data.a %>"}}}, "stringData.x", id="an escaped value"),
    pytest.param({**ONE, "template": {"data": {"x": "/w=="}}}, "template.data.x", id="binary template data"),
    pytest.param({"data": []}, "spec.data", id="no data"),
]


@pytest.mark.parametrize(("spec", "said"), LOST)
def test_what_has_no_counterpart_is_told_and_nothing_is_printed(
    convert: Convert, spec: dict[str, Any], said: str
) -> None:
    found = [kes({"region": "eu-west-1", **spec})]
    code, documents, lines = convert(found)
    assert (code, documents) == (1, [])
    (lost,) = [line for line in lines if line.startswith("keyferry: lost: ")]
    assert lost.startswith("keyferry: lost: ExternalSecret shop/app spec.")
    assert said in lost
    code, documents, lines = convert(found, "--lossy")
    assert (code, len(documents)) == (0, 2)
    assert lost in lines


def test_the_template_stays_below_the_values(convert: Convert) -> None:
    """A key that an entry of data gives too has no effect before, and must have none after."""
    template = {"data": {"plain": "aGk="}, "stringData": {"a": "x", "url": "{{<%= data.a %>"}}
    _, (_, secret), said = convert([kes({"region": "eu-west-1", **ONE, "template": template})])
    made = secret["spec"]["target"]["template"]
    assert made["data"] == {"plain": "hi", "url": '{{ "{{" }}{{ .a }}'}
    assert made["mergePolicy"] == "Merge"
    assert any("template key a: the entry of data with this name wins" in line for line in said)


def test_a_wrong_object_is_told_whole(convert: Convert) -> None:
    code, documents, said = convert([kes({"region": "eu-west-1", "data": [{"name": "a"}, {"key": "b"}]})], "--lossy")
    assert (code, documents) == (1, [])
    assert [line.split(": ")[2] for line in said[:2]] == ["spec.data[0].key", "spec.data[1].name"]


# and back


def test_the_operators_objects_become_one(convert: Convert) -> None:
    found = store(role=ROLE, prefix="shop/", auth={"jwt": {"serviceAccountRef": {"name": "web"}}})
    secret = eso({"refreshInterval": "1h", "data": DATA, "target": {"creationPolicy": "Orphan", "template": {}}})
    code, (made,), said = convert([found, secret])
    assert (code, said) == (0, [])
    assert made["metadata"]["annotations"] == {
        "keyferry.dev/service-account": "web",
        "keyferry.dev/deletion-policy": "retain",
        "keyferry.dev/poll-interval": "1h",
        "keyferry.dev/named-secrets": "key",
    }
    assert made["spec"] == {
        "backendType": "secretsManager",
        "region": "eu-west-1",
        "roleArn": ROLE,
        "data": [{"key": "shop/db", "name": "a.b"}],
    }


def test_without_a_template_the_operator_copies_labels_and_so_does_the_result(convert: Convert) -> None:
    secret = eso({"target": {}, "data": DATA}, labels={"team": "a"})
    _, (made,), _ = convert([store(), secret])
    assert made["spec"]["template"] == {"metadata": {"labels": {"team": "a"}}}


def test_the_order_of_data_from_is_kept(convert: Convert) -> None:
    """Of equal keys the last wins, so what follows an entry with a version must not go before it."""
    extracts = [{"key": "a"}, {"key": "b", "version": "S"}, {"key": "c"}]
    _, (made,), _ = convert([store(), eso({"dataFrom": [{"extract": one} for one in extracts]})])
    assert made["spec"]["dataFrom"] == ["a"]
    assert made["spec"]["dataFromWithOptions"] == [{"key": "b", "versionStage": "S"}, {"key": "c"}]


TOO_MUCH = [
    pytest.param({}, {"refreshPolicy": "CreatedOnce"}, "spec.refreshPolicy", id="another policy"),
    pytest.param({}, {"refreshInterval": "0"}, "spec.refreshInterval", id="read once"),
    pytest.param({}, {"target": {"template": {}, "creationPolicy": "Merge"}}, "target.creationPolicy", id="merge"),
    pytest.param({}, {"target": {"template": {}, "deletionPolicy": "Delete"}}, "target.deletionPolicy", id="delete"),
    pytest.param({}, {"target": {"template": {}, "immutable": True}}, "target.immutable", id="immutable"),
    pytest.param({}, {"target": {"template": {"data": {"x": "y"}}}}, "template.mergePolicy", id="only the template"),
    pytest.param({}, {"target": {"template": {"templateFrom": [{}]}}}, "template.templateFrom", id="other templates"),
    pytest.param({}, {"syncWindows": {}}, "spec.syncWindows", id="a field that nobody knows"),
    pytest.param({}, {"dataFrom": [{"find": {"tags": {"a": "b"}}}]}, "dataFrom[0].find", id="a search"),
    pytest.param({}, {"dataFrom": [{"extract": {"key": "k", "property": "p"}}]}, "extract.property", id="a part"),
    pytest.param(
        {}, {"data": [{"secretKey": "a", "sourceRef": {}, "remoteRef": {"key": "k"}}]}, "sourceRef", id="source"
    ),
    pytest.param(
        {},
        {"data": [{"secretKey": "a", "remoteRef": {"key": "k", "property": "a.#.b"}}]},
        "remoteRef.property",
        id="a search in JSON",
    ),
    pytest.param({"externalID": "x"}, {}, "aws.externalID", id="an external id"),
    pytest.param({"auth": {"secretRef": {}}}, {}, "auth.secretRef", id="keys of AWS"),
]


@pytest.mark.parametrize(("aws", "spec", "said"), TOO_MUCH)
def test_every_field_that_is_not_converted_is_told(
    convert: Convert, aws: dict[str, Any], spec: dict[str, Any], said: str
) -> None:
    code, documents, lines = convert([store(**aws), eso({"data": DATA, **spec})])
    assert (code, documents) == (1, [])
    (lost,) = [line for line in lines if line.startswith("keyferry: lost: ")]
    assert said in lost.split(": ")[2]


def test_a_store_that_is_not_there_is_asked_for(convert: Convert) -> None:
    code, documents, said = convert([eso({"data": DATA})], "--lossy")
    assert (code, documents) == (1, [])
    assert said[0].endswith("add the store's manifest to the file")


def test_the_account_of_another_namespace_is_told(convert: Convert) -> None:
    found = store("ClusterSecretStore", auth={"jwt": {"serviceAccountRef": {"name": "web", "namespace": "ops"}}})
    code, _, said = convert(
        [found, eso({"data": DATA, "secretStoreRef": {"name": "aws", "kind": "ClusterSecretStore"}})]
    )
    assert code == 1
    assert "service account of namespace 'ops'" in said[0]


@pytest.mark.parametrize(
    ("found", "arguments", "said"),
    [
        pytest.param([], (), "there is no ExternalSecret to convert", id="nothing"),
        pytest.param([kes(ONE)], ("--to", "kes"), "there is no ExternalSecret to convert", id="the other way"),
        pytest.param([kes(ONE), eso({})], (), "add --to eso or --to kes", id="both"),
        pytest.param("a: [", (), "not valid YAML", id="no YAML"),
    ],
)
def test_what_cannot_be_started_is_told(convert: Convert, found: Any, arguments: tuple[str, ...], said: str) -> None:
    code, _, lines = convert(found, *arguments)
    assert code == 2
    assert said in lines[0]


def test_other_objects_of_the_file_are_told(convert: Convert) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    code, documents, said = convert([other, kes({"region": "eu-west-1", **ONE})])
    assert (code, len(documents)) == (0, 2)
    assert said == ["keyferry: note: ConfigMap/c: it is no object to convert: it is left out of the output"]
