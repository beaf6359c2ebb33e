"""The Kubernetes calls against a real HTTP server that answers like an API server."""

import base64
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from driver.errors import AccessDenied, IdentityRefused, InvalidInput, KeyferryError, NotFound, Unavailable
from driver.kube import Cluster, Kube, RoleArns, from_kubeconfig, in_cluster
from driver.model import Deadline, Pod
from tests.fakes import FakeClock

ACCOUNT = "/api/v1/namespaces/shop/serviceaccounts/app"
ARN = "arn:aws:iam::111122223333:role/app"


class ApiServer(ThreadingHTTPServer):
    """Answers by path from ``answers`` (status, body) and keeps what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, str | None, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization")
        self.server.asked.append((self.command, self.path, token, json.loads(body) if body else None))
        status, answer = self.server.answers.get(self.path, (404, {"kind": "Status", "message": "SECRET-TEXT"}))
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer  # noqa: N815 - names of http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - name of http.server
        return


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


Dial = Callable[[Cluster], Kube]


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Make the calls' client; all are closed at the end."""
    made: list[Kube] = []

    def make(cluster: Cluster) -> Kube:
        made.append(Kube(cluster))
        return made[-1]

    yield make
    for kube in made:
        kube.close()


def account(**annotations: str) -> tuple[int, Any]:
    return 200, {"metadata": {"annotations": {k.replace("__", "/"): v for k, v in annotations.items()}}}


WITH_ROLE = (200, {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": ARN}}})


def soon() -> Deadline:
    return Deadline(5)


def test_the_role_annotation_is_read_with_one_get(api: ApiServer, dial: Dial) -> None:
    api.answers[ACCOUNT] = WITH_ROLE
    assert dial(Cluster(api.url)).role_arn("shop", "app", soon()) == ARN
    assert [(method, path) for method, path, *_ in api.asked] == [("GET", ACCOUNT)]


@pytest.mark.parametrize("body", [{}, {"metadata": None}, {"metadata": {"annotations": None}}], ids=str)
def test_an_account_without_annotations_has_no_role(api: ApiServer, body: Any, dial: Dial) -> None:
    api.answers[ACCOUNT] = (200, body)
    assert dial(Cluster(api.url)).role_arn("shop", "app", soon()) == ""


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, IdentityRefused), (403, AccessDenied), (404, NotFound), (429, Unavailable), (500, Unavailable)],
)
def test_every_bad_status_has_its_error_and_none_quotes_the_answer(
    api: ApiServer, status: int, kind: type[KeyferryError], dial: Dial
) -> None:
    api.answers[ACCOUNT] = (status, {"message": "SECRET-TEXT"})
    with pytest.raises(kind) as caught:
        dial(Cluster(api.url)).role_arn("shop", "app", soon())
    assert "SECRET-TEXT" not in str(caught.value)
    assert caught.value.subject == "service account shop/app"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b'"text"'])
def test_an_answer_that_is_no_object_is_an_outage_not_a_crash(api: ApiServer, body: bytes, dial: Dial) -> None:
    api.answers[ACCOUNT] = (200, body)
    with pytest.raises(Unavailable, match="no JSON object"):
        dial(Cluster(api.url)).role_arn("shop", "app", soon())


def test_a_server_that_is_away_is_an_outage(dial: Dial) -> None:
    with pytest.raises(Unavailable, match="did not answer"):
        dial(Cluster("http://127.0.0.1:1")).role_arn("shop", "app", soon())


def test_names_cannot_leave_their_place_in_the_path(api: ApiServer, dial: Dial) -> None:
    with pytest.raises(NotFound):
        dial(Cluster(api.url)).node_region("../secrets?x", soon())
    assert api.asked[0][1] == "/api/v1/nodes/..%2Fsecrets%3Fx"


def test_the_nodes_region_label(api: ApiServer, dial: Dial) -> None:
    api.answers["/api/v1/nodes/n1"] = (200, {"metadata": {"labels": {"topology.kubernetes.io/region": "eu-west-1"}}})
    assert dial(Cluster(api.url)).node_region("n1", soon()) == "eu-west-1"


def test_a_token_is_asked_for_one_audience_and_ten_minutes(api: ApiServer, dial: Dial) -> None:
    api.answers[ACCOUNT + "/token"] = (201, {"status": {"token": "abc"}})
    assert dial(Cluster(api.url)).create_token("shop", "app", "sts.amazonaws.com", soon()) == "abc"
    assert api.asked[0][3] == {"spec": {"audiences": ["sts.amazonaws.com"], "expirationSeconds": 600}}


def test_a_warning_about_a_pod_is_an_event_in_its_namespace(api: ApiServer, dial: Dial) -> None:
    api.answers["/api/v1/namespaces/shop/events"] = (201, {})
    dial(Cluster(api.url)).warn_pod(Pod("shop", "app-1", "u"), "StaleSecretServed", "text", soon())
    _, _, _, event = api.asked[0]
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "StaleSecretServed", "text")
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "shop",
        "name": "app-1",
        "uid": "u",
    }


def test_the_bearer_token_is_read_again_for_every_call(api: ApiServer, tmp_path: Path, dial: Dial) -> None:
    api.answers[ACCOUNT] = WITH_ROLE
    file = tmp_path / "token"
    kube = dial(Cluster(api.url, token=file.read_text))
    for text in ("one", "two"):
        file.write_text(text)
        kube.role_arn("shop", "app", soon())
    assert [token for _, _, token, _ in api.asked] == ["Bearer one", "Bearer two"]


def test_a_kubeconfig_gives_server_and_token_file(api: ApiServer, tmp_path: Path, dial: Dial) -> None:
    api.answers[ACCOUNT] = WITH_ROLE
    (tmp_path / "token").write_text("abc\n")
    path = kubeconfig(tmp_path, api.url, {"tokenFile": "token"})
    assert dial(from_kubeconfig(path)).role_arn("shop", "app", soon()) == ARN
    assert api.asked[0][2] == "Bearer abc"


@pytest.mark.parametrize(
    "user",
    [{"exec": {"command": "aws"}}, {"auth-provider": {"name": "gcp"}}],
    ids=["exec", "auth-provider"],
)
def test_credential_plugins_are_refused(tmp_path: Path, user: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="plug-ins"):
        from_kubeconfig(kubeconfig(tmp_path, "http://127.0.0.1:1", user))


def test_a_kubeconfigs_context_can_be_chosen(tmp_path: Path) -> None:
    document = yaml.safe_load(kubeconfig(tmp_path, "http://one:1", {}).read_text())
    document["contexts"].append({"name": "other", "context": {"cluster": "two"}})
    document["clusters"].append({"name": "two", "cluster": {"server": "http://two:1"}})
    (tmp_path / "both").write_text(yaml.safe_dump(document))
    assert from_kubeconfig(tmp_path / "both").server == "http://one:1"
    assert from_kubeconfig(tmp_path / "both", context="other").server == "http://two:1"
    with pytest.raises(InvalidInput, match="not a usable kubeconfig"):
        from_kubeconfig(tmp_path / "both", context="third")


def test_a_client_certificate_may_stand_in_the_kubeconfig(tmp_path: Path) -> None:
    """As kind and kubeadm write it."""
    certificate, key = self_signed(tmp_path)
    user = {
        "client-certificate-data": base64.b64encode(certificate).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }
    assert from_kubeconfig(kubeconfig(tmp_path, "https://127.0.0.1:1", user)).tls is not None
    user["client-key-data"] = base64.b64encode(certificate).decode()
    with pytest.raises(InvalidInput, match="not a usable kubeconfig"):
        from_kubeconfig(kubeconfig(tmp_path, "https://127.0.0.1:1", user))


def self_signed(folder: Path) -> tuple[bytes, bytes]:
    key, certificate = folder / "own.key", folder / "own.crt"
    request = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=x -keyout {key} -out"
    subprocess.run(["openssl", *request.split(), str(certificate)], check=True, capture_output=True)
    return certificate.read_bytes(), key.read_bytes()


@pytest.mark.parametrize("text", ["", "a: [", "current-context: x", "- 1", "current-context: x\ncontexts: [{}]"])
def test_a_broken_kubeconfig_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(InvalidInput, match="not a usable kubeconfig"):
        from_kubeconfig(tmp_path / "config")


def kubeconfig(folder: Path, server: str, user: dict[str, Any]) -> Path:
    document = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(document))
    return path


def test_outside_a_pod_the_remedy_is_a_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="--kubeconfig"):
        in_cluster({}, tmp_path)


def test_a_role_is_asked_for_once_and_again_after_five_minutes(api: ApiServer, dial: Dial) -> None:
    api.answers[ACCOUNT] = WITH_ROLE
    clock = FakeClock()
    roles = RoleArns(dial(Cluster(api.url)), clock)
    assert [roles("shop", "app", soon()) for _ in range(3)] == [ARN] * 3
    clock.advance(301)
    roles("shop", "app", soon())
    assert len(api.asked) == 2


def test_a_missing_annotation_is_named_and_noticed_soon_after_it_is_added(api: ApiServer, dial: Dial) -> None:
    api.answers[ACCOUNT] = account(other="x")
    clock = FakeClock()
    roles = RoleArns(dial(Cluster(api.url)), clock)
    with pytest.raises(IdentityRefused, match=r"eks\.amazonaws\.com/role-arn"):
        roles("shop", "app", soon())
    api.answers[ACCOUNT] = WITH_ROLE
    clock.advance(2)
    assert roles("shop", "app", soon()) == ARN


def test_while_the_api_server_is_away_the_last_role_holds(api: ApiServer, dial: Dial) -> None:
    api.answers[ACCOUNT] = WITH_ROLE
    clock = FakeClock()
    roles = RoleArns(dial(Cluster(api.url)), clock)
    roles("shop", "app", soon())
    clock.advance(3600)
    api.answers[ACCOUNT] = (503, {})
    assert roles("shop", "app", soon()) == ARN


def test_a_deleted_account_loses_its_role(api: ApiServer, dial: Dial) -> None:
    api.answers[ACCOUNT] = WITH_ROLE
    clock = FakeClock()
    roles = RoleArns(dial(Cluster(api.url)), clock)
    roles("shop", "app", soon())
    clock.advance(3600)
    del api.answers[ACCOUNT]
    with pytest.raises(NotFound):
        roles("shop", "app", soon())
