"""The newcomer's first sight, as a newcomer starts it: in a process of its own, from another folder."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from driver.cli import demo, standin, syncdemo
from driver.errors import InvalidInput
from tests.fakeapi import FakeApi, Request
from tests.fakeobjects import Json
from tests.syncside import named

COMMAND = [sys.executable, "-m", "driver", "demo"]


def played(*flags: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *flags], env=os.environ | variables, capture_output=True, text=True, timeout=50, check=False
    )


@pytest.mark.timeout(60)
def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    """Also with AWS settings of the user's own around, which it must not use."""
    mine = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_REGION": "us-west-1", "HTTP_PROXY": "http://127.0.0.1:1"}
    done = subprocess.run(
        COMMAND, cwd=tmp_path, env=os.environ | mine, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert re.search(r"database-password +0400 +12 +\S+ +old-password", done.stdout)
    assert "old-password → new-password" in done.stdout
    assert "5 of 5 reads from memory" in done.stdout
    assert "keyferry: shop/databse: it does not exist" in done.stdout
    assert done.stdout.count("exit code 0") == 2
    assert "MY_USERNAME=admin  MY_PASSWORD=1234" in done.stdout
    assert re.search(r"A container after \d+ ms: MY_USERNAME=admin  MY_PASSWORD=5678", done.stdout)
    took = re.search(r"All was as it should be, in ([0-9.]+) s", done.stdout)
    assert took
    assert float(took[1]) < 15


@pytest.mark.timeout(60)
def test_a_demo_that_is_told_to_end_leaves_nothing_running() -> None:
    running = subprocess.Popen([*COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout
    shown = ""
    while not (found := re.search(r"process (\d+), serves (\S+)", shown)):
        line = running.stdout.readline()
        assert line, running.communicate()[1]
        shown += line
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=30)
    assert running.returncode == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int(found[1]), 0)
    assert not Path(found[2]).parent.exists()


def test_without_the_example_it_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="run it from a checkout"):
        demo._read(tmp_path / "none.yaml")


def test_another_file_is_not_taken_for_the_example(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(demo._EXAMPLE.read_text().replace("shop/mail", "shop/post"))
    with pytest.raises(InvalidInput, match="not the demo's example"):
        demo._read(tmp_path / "other.yaml")


class Cluster(FakeApi):
    """An API server that keeps field managers and checks Secrets, as the demo's own does not; it does dry runs."""

    def _do(self, request: Request) -> tuple[int, bytes]:
        return (200, request.body) if request.query.get("dryRun") else super()._do(request)


@pytest.mark.timeout(60)
def test_in_a_cluster_it_leaves_nothing_behind(tmp_path: Path) -> None:
    with Cluster() as api:
        standin.write_kubeconfig(tmp_path / "config", api.url)
        done = played("--cluster", KUBECONFIG=str(tmp_path / "config"))
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        assert f"Kubernetes  {api.url}, namespace keyferry-demo" in done.stdout
        assert api.all("namespaces") == []
        assert [r.query for r in api.requests if r.query.get("dryRun")] != []


def test_a_cluster_without_the_crd_is_told_how_to_get_it(tmp_path: Path) -> None:
    with FakeApi() as api:
        api.fail("GET .*/externalsecrets", 404, times=99)
        standin.write_kubeconfig(tmp_path / "config", api.url)
        done = played("--cluster", KUBECONFIG=str(tmp_path / "config"))
        assert done.returncode == 2
        assert "kubectl apply --server-side -f deploy/chart/crd/externalsecrets.yaml" in done.stderr
        assert api.writes() == []


def test_a_namespace_that_is_there_already_is_left_alone(tmp_path: Path) -> None:
    with FakeApi() as api:
        api.put(named("Namespace", "keyferry-demo"))
        standin.write_kubeconfig(tmp_path / "config", api.url)
        done = played("--cluster", KUBECONFIG=str(tmp_path / "config"))
        assert done.returncode == 2
        assert "it is there already" in done.stderr
        assert len(api.all("namespaces")) == 1


def test_a_cluster_has_to_be_named() -> None:
    with pytest.raises(InvalidInput, match="KUBECONFIG is not set"):
        syncdemo.chosen({})


def example() -> dict[str, Json]:
    path = demo._EXAMPLE.with_name("externalsecret.yaml")
    return {found["kind"]: found for found in yaml.safe_load_all(path.read_text()) if found}


@pytest.mark.parametrize(
    ("live", "found"),
    [
        (None, 'CreateContainerConfigError: secret "my-external-secret-data" not found'),
        ({}, "CreateContainerConfigError: couldn't find key username in Secret shop/my-external-secret-data"),
        ({"data": {"username": "YQ==", "password": "Yg=="}}, {"MY_USERNAME": "a", "MY_PASSWORD": "b"}),
    ],
    ids=["no Secret", "an empty Secret", "a filled Secret"],
)
def test_a_containers_variables_are_resolved_as_the_kubelet_does(live: Json | None, found: object) -> None:
    assert syncdemo.variables(example()["Deployment"], "shop", lambda _: live) == found


def test_the_example_is_the_clients_own() -> None:
    """Word for word; only the Deployment has a selector and labels more, without which no API server takes it."""
    found = example()
    assert found["ExternalSecret"] == {
        "apiVersion": "kubernetes-client.io/v1",
        "kind": "ExternalSecret",
        "metadata": {"name": "my-external-secret"},
        "spec": {
            "backendType": "secretsManager",
            "data": [{"key": "my-secret", "name": "my-external-secret-data"}],
        },
    }
    assert "data" not in found["Secret"]
    spec = found["Deployment"]["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]


def test_without_moto_it_says_how_to_install_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['moto.server'] = None; from driver.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=False)
    assert done.returncode == 2
    assert "pip install 'keyferry[demo]'" in done.stderr
