"""``keyferry mount`` against an AWS stand-in: with the own credentials, and the examples by a real provider."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from driver import cli
from driver.cli import apiserver, mount, request, source, standin
from driver.model import AUDIENCES, AuthMethod, Pod, SecretRef, Store
from driver.spc import objects
from driver.spc.plan import Plan

EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
ACCOUNT = "111122223333"
ROLE = {"eks.amazonaws.com/role-arn": f"arn:aws:iam::{ACCOUNT}:role/shop"}
POD = Pod("shop", "shop-1", "uid-1")
JSON = {
    "username": "shop",
    "password": "p",
    "pass-word": "q",
    "port": 5432,
    "replicas": ["r"],
    "certificate": "c",
    "key": "k",
}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()
    assert server._server is not None
    server._server.server_close()


@pytest.fixture
def own_credentials(moto: str, monkeypatch: pytest.MonkeyPatch) -> standin.Cloud:
    """Set the caller's environment: a region, credentials, and where AWS is."""
    for name, text in {
        "AWS_ENDPOINT_URL": moto,
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, text)
    return standin.Cloud(moto, "123456789012", "eu-west-1")


CLASS = """\
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: mine}
spec:
  provider: aws
  parameters:
    objects: |
      - {objectName: local/db, objectType: secretsmanager, objectAlias: db}
"""


def test_the_own_credentials_are_enough(
    own_credentials: standin.Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The region is that of the environment; it is said that the pod's role was not tried."""
    own_credentials.call("secretsmanager", "CreateSecret", {"Name": "local/db", "SecretString": "hunter2"})
    (tmp_path / "class.yaml").write_text(CLASS)
    asked = ["mount", "-f", str(tmp_path / "class.yaml"), "--namespace", "shop", "--service-account", "app"]
    assert cli.main([*asked, "--write", str(tmp_path / "out"), "--output", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [file["path"] for file in document["files"]] == ["db"]
    assert "your own credentials" in document["origin"]
    assert (tmp_path / "out" / "db").read_text() == "hunter2"


def test_what_is_missing_is_refused_by_name(
    own_credentials: standin.Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "class.yaml").write_text(CLASS.replace("local/db", "local/none"))
    asked = ["mount", "-f", str(tmp_path / "class.yaml"), "--namespace", "shop", "--service-account", "app"]
    assert cli.main(asked) == 1
    err = capsys.readouterr().err
    assert "refused with NOT_FOUND" in err
    assert "keyferry: local/none: " in err


@pytest.fixture(scope="module")
def provider(moto: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[standin.Process]:
    folder = tmp_path_factory.mktemp("p")
    account = {"kind": "ServiceAccount", "metadata": {"name": "shop", "namespace": "shop", "annotations": ROLE}}
    with apiserver.serve(account) as url:
        standin.write_kubeconfig(folder / "kubeconfig", url)
        running = standin.Process(folder, moto, folder / "kubeconfig", "0")
        try:
            running.wait_until_served()
            yield running
        finally:
            assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def stored() -> set[SecretRef]:
    """What the AWS stand-in has already: examples share secrets."""
    return set()


def store(moto: str, ref: SecretRef) -> None:
    """Put something at a reference, into the account of the last role that is assumed for it."""
    account = ref.chain[-1].arn.split(":")[4] if ref.chain else ACCOUNT
    cloud = standin.Cloud(moto, account, ref.region)
    if ref.store is Store.SECRETS_MANAGER:
        name = ref.name.rpartition(":secret:")[2]
        text = "aGVsbG8=" if "keystore" in name else json.dumps(JSON)
        cloud.call("secretsmanager", "CreateSecret", {"Name": name, "SecretString": text})
        return
    name = f"{ref.name}/log-level" if ref.store is Store.PARAMETER_PATH else ref.name
    for version in range(int(ref.version or 1)):
        cloud.call("ssm", "PutParameter", {"Name": name, "Value": f"v{version}", "Type": "String", "Overwrite": True})


def planned(path: Path) -> tuple[source.Chosen, Plan]:
    chosen = source.choose(str(path), "")
    return chosen, objects.parse(chosen.parameters, region="")


@pytest.mark.parametrize(
    "path",
    # moto makes up the random end of an ARN, and has no Pod Identity agent
    [p for p in sorted(EXAMPLES.glob("*.yaml")) if p.stem not in {"failover-region", "pod-identity", "externalsecret"}],
    ids=lambda path: path.stem,
)
def test_an_example_mounts(moto: str, provider: standin.Process, stored: set[SecretRef], path: Path) -> None:
    chosen, plan = planned(path)
    assert plan.method is AuthMethod.IRSA
    for ref in {want.ref for want in plan.wants if not want.optional} - stored:
        store(moto, ref)
        stored.add(ref)
    token = standin.token(POD, "shop", AUDIENCES[plan.method])
    asked = request.mount_request(chosen.parameters, chosen.name, POD, "shop", [token])
    outcome = mount.ask(provider.socket, asked, 20)
    assert not isinstance(outcome, mount.Refusal), outcome
    named = (one for one in plan.objects if not one.want.optional and one.want.ref.store is not Store.PARAMETER_PATH)
    present = {one.file for one in named}
    extracted = {extract.file for one in plan.objects for extract in one.extracts if extract.file}
    assert present | extracted <= {file.path for file in outcome}
