"""The upstream secrets-store-sync-controller as a client: its Mount call on the socket of a real ``keyferry provider``.

``tests/golden/sync_controller_mount.json`` is its request (``pkg/provider/provider_client.go``,
``internal/controller/secretsync_controller.go``): the pod is its own, the namespace that of the SecretSync, the tokens
are bound to no pod. The numbers are those of its eight demands on a provider.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf.json_format import ParseDict

from driver.wire import csi_provider_pb2 as wire
from tests.driverside import AGENT, STS, channel, mount_raw, token
from tests.fakeapi import FakeApi, Fault
from tests.fakeaws import FakeAws
from tests.wire.test_process import Process

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "sync_controller_mount.json").read_text())
PREFIX = "csi.storage.k8s.io/"
NAMESPACE = "team-a"


def tokens(account: str, *audiences: str) -> str:
    """Return the tokens attribute; a token's audience is the key's, its spaces included."""
    issued = {each: {"token": token(NAMESPACE, account, each, lifetime=600)} for each in audiences}
    return json.dumps({each: found | {"expirationTimestamp": "2999-01-01T00:00:00Z"} for each, found in issued.items()})


def asked(account: str = "reader", *audiences: str, objects: Any = None, **parameters: str | None) -> bytes:
    """Return the golden request for a service account, with tokens for ``audiences`` (none: without the attribute)."""
    message = deepcopy(GOLDEN)
    given = message["attributes"]
    given[PREFIX + "serviceAccount.name"] = account
    given[PREFIX + "serviceAccount.tokens"] = tokens(account, *audiences) if audiences else None
    given |= parameters
    if objects:
        given["objects"] = yaml.safe_dump(objects)
    left = {name: value for name, value in given.items() if value is not None}
    message["attributes"] = json.dumps(left, sort_keys=True, separators=(",", ":"))
    return ParseDict(message, wire.MountRequest()).SerializeToString()


class Sidecar:
    """A provider beside the controller; ``api`` is the cluster that the two see, with the controller's rights."""

    def __init__(self, process: Process, fake: FakeAws, api: FakeApi) -> None:
        self.process = process
        self.world = fake.world
        self.api = api

    def mount(self, raw: bytes) -> wire.MountResponse:
        with channel(self.process.socket) as dialled:
            return mount_raw(dialled, raw)

    def refused(self, raw: bytes) -> tuple[str, str]:
        """Return code and text of a refusal."""
        with pytest.raises(grpc.RpcError) as caught:
            self.mount(raw)
        assert isinstance(caught.value, grpc.Call)
        return caught.value.code().name, caught.value.details() or ""


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("provider")
    with FakeAws() as fake, FakeApi() as api:
        fake.world.put("shop/db", '{"user": "app", "pass": "s3cret"}', "us-west-2")
        role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/reader"}
        account = {"name": "reader", "namespace": NAMESPACE, "annotations": role}
        api.put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        fake.world.associations[f"system:serviceaccount:{NAMESPACE}:associated"] = "arn:aws:iam::111122223333:role/pod"
        config = folder / "cluster"
        clusters = [{"name": "k", "cluster": {"server": api.url}}]
        contexts = [{"name": "c", "context": {"cluster": "k"}}]
        config.write_text(
            yaml.safe_dump({"current-context": "c", "contexts": contexts, "clusters": clusters, "users": []})
        )
        flags = ["--kubeconfig", str(config), "--pod-identity-endpoint", fake.url]
        with Process(folder, fake, *flags, AWS_REGION="us-west-2") as process:
            process.until('"serving"')
            yield Sidecar(process, fake, api)


def test_1_the_files_are_in_the_answer_and_nothing_is_written_to_the_target_path(sidecar: Sidecar) -> None:
    answer = sidecar.mount(asked("reader", STS))
    assert [(file.path, file.contents) for file in answer.files] == [
        ("db_password", b'{"user": "app", "pass": "s3cret"}')
    ]
    assert answer.error.code == ""
    assert not Path(GOLDEN["target_path"]).exists()


@pytest.mark.parametrize("name", ["shop/db", "shop/gone"], ids=["an object", "only an optional one that is missing"])
def test_2_an_answer_always_has_an_object_version(sidecar: Sidecar, name: str) -> None:
    objects = [{"objectName": name, "objectType": "secretsmanager", "objectAlias": "a", "optional": "true"}]
    assert len(sidecar.mount(asked("reader", STS, objects=objects)).object_version) >= 1


@pytest.mark.parametrize("region", ["us-west-2", None], ids=["parameters.region", "AWS_REGION"])
def test_3_a_pod_that_is_not_in_the_namespace_is_accepted_and_never_looked_up(
    sidecar: Sidecar, region: str | None
) -> None:
    sidecar.mount(asked("reader", STS, region=region))
    assert {request.kind for request in sidecar.api.requests} <= {"/api/v1/serviceaccounts"}


def test_4_neither_the_ephemeral_attribute_nor_the_name_of_a_class_is_needed(sidecar: Sidecar) -> None:
    assert GOLDEN["attributes"].keys() & {"secretProviderClass", PREFIX + "ephemeral"} == set()
    assert sidecar.mount(asked("reader", STS)).files


def test_5_the_socket_is_in_whatever_directory_the_chart_mounts(sidecar: Sidecar) -> None:
    """The provider volume of the controller's chart is not the driver's."""
    assert sidecar.process.socket.parent.name.startswith("provider")
    assert sidecar.process.socket.is_socket()


def test_6_flat_aliases_are_the_paths_byte_for_byte(sidecar: Sidecar) -> None:
    """Its ``sourcePath`` takes neither slashes nor two separators in a row."""
    extracts = [{"path": "user", "objectAlias": "db-user"}, {"path": "pass", "objectAlias": "db.pass"}]
    objects = [
        {"objectName": "shop/db", "objectType": "secretsmanager", "objectAlias": ".dbjson", "jmesPath": extracts}
    ]
    answer = sidecar.mount(asked("reader", STS, objects=objects))
    assert sorted(file.path for file in answer.files) == [".dbjson", "db-user", "db.pass"]


def test_7_missing_tokens_are_named(sidecar: Sidecar) -> None:
    """It sends none when no audience is configured."""
    code, text = sidecar.refused(asked("reader"))
    assert code == "UNAUTHENTICATED"
    assert "team-a/reader: serviceAccount.tokens not provided: no token for audience sts.amazonaws.com: list it" in text


def test_7_pod_identity_takes_a_token_that_is_bound_to_no_pod(sidecar: Sidecar) -> None:
    """As far as keyferry goes: whether the real agent does is for AWS to say."""
    assert sidecar.mount(asked("associated", AGENT, usePodIdentity="true")).files


def test_7_a_second_audience_with_a_leading_space_does_not_harm_the_first(sidecar: Sidecar) -> None:
    """Its chart joins audiences by ", " and its binary splits them at ","."""
    assert sidecar.mount(asked("reader", STS, " " + AGENT)).files
    code, text = sidecar.refused(asked("associated", STS, " " + AGENT, usePodIdentity="true"))
    assert code == "UNAUTHENTICATED"
    assert "token for audience pods.eks.amazonaws.com not found" in text


def test_8_without_the_right_to_get_service_accounts_the_error_says_what_to_grant(sidecar: Sidecar) -> None:
    """Its own ClusterRole has none: two lines of RBAC are to be added, or Pod Identity is used."""
    sidecar.api.faults.append(Fault("GET .*/serviceaccounts/unknown", 403))
    code, text = sidecar.refused(asked("unknown", STS))
    assert code == "PERMISSION_DENIED"
    assert "service account team-a/unknown: keyferry may not do this: apply keyferry's RBAC role" in text


def test_8_pod_identity_needs_no_right_in_the_cluster(sidecar: Sidecar) -> None:
    before = len(sidecar.api.requests)
    assert sidecar.mount(asked("associated", AGENT, usePodIdentity="true")).files
    assert len(sidecar.api.requests) == before
