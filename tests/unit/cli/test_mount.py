import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import grpc
import pytest
import yaml

from driver import cli
from driver.cli import standin
from driver.mount import attributes
from driver.wire import csi_provider_pb2 as wire
from tests.driverside import AGENT, STS, token

ANSWER = wire.MountResponse(
    object_version=[wire.ObjectVersion(id="db", version="v1-abc"), wire.ObjectVersion(id="tls/key", version="v2-def")],
    files=[
        wire.File(path="tls/key", mode=0o400, contents=b"\x00\xff"),
        wire.File(path="db", mode=0o644, contents=b"hunter2"),
    ],
)


class Provider:
    """A gRPC server on a Unix socket that answers every Mount in the same way and remembers what it was sent."""

    def __init__(self, path: Path) -> None:
        self.socket = path
        self.answer: Callable[[grpc.ServicerContext], wire.MountResponse] = lambda _: ANSWER
        self.requests: list[wire.MountRequest] = []
        self.remaining: float | None = None
        behave = grpc.unary_unary_rpc_method_handler(
            self._mount, wire.MountRequest.FromString, wire.MountResponse.SerializeToString
        )
        service = grpc.method_handlers_generic_handler("v1alpha1.CSIDriverProvider", {"Mount": behave})
        self.server = grpc.server(ThreadPoolExecutor(2), handlers=[service])
        self.server.add_insecure_port(f"unix:{path}")
        self.server.start()

    def _mount(self, asked: wire.MountRequest, context: grpc.ServicerContext) -> wire.MountResponse:
        self.requests.append(asked)
        self.remaining = context.time_remaining()
        return self.answer(context)

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        self.answer = lambda context: context.abort(code, text)

    @property
    def asked(self) -> attributes.Request:
        """What the last Mount said."""
        return attributes.read(self.requests[-1].attributes, self.requests[-1].permission)

    @property
    def tokens(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.loads(self.requests[-1].attributes)[attributes.TOKENS])
        return found


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    running = Provider(tmp_path / "aws.sock")
    yield running
    running.server.stop(None).wait()


OBJECTS = "- objectName: db\n  objectType: secretsmanager\n"


def saved(tmp_path: Path, parameters: dict[str, str]) -> str:
    document = {
        "apiVersion": "secrets-store.csi.x-k8s.io/v1",
        "kind": "SecretProviderClass",
        "metadata": {"name": "shop"},
        "spec": {"provider": "aws", "parameters": parameters},
    }
    path = tmp_path / "class.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.fixture
def run(tmp_path: Path, provider: Provider) -> Callable[..., int]:
    """Run the command against the provider with a class file and a token file."""
    (tmp_path / "token").write_text(token() + "\n")
    path = saved(tmp_path, {"region": "eu-west-1", "objects": OBJECTS})

    def run(*more: str, at: str = str(provider.socket), token: str = str(tmp_path / "token")) -> int:
        who = ["--namespace", "shop", "--service-account", "app", "--timeout", "5s", "--socket", at]
        return cli.main(["mount", "-f", path, *who, *(["--token-file", token] if token else []), *more])

    return run


Run = Callable[..., int]
Capture = pytest.CaptureFixture[str]


def test_the_files_are_shown_without_values(run: Run, capsys: Capture) -> None:
    assert run() == 0
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines()[1:4]] == [
        ["├──", "db", "0644", "7", "v1-abc"],
        ["└──", "tls/"],
        ["└──", "key", "0400", "2", "v2-def"],
    ]
    assert "2 files, answered by the provider at" in shown
    assert "hunter2" not in shown


def test_values_are_shown_when_asked_for(run: Run, capsys: Capture) -> None:
    assert run("--show-values") == 0
    shown = capsys.readouterr().out
    assert "hunter2" in shown
    assert "(binary: 00 ff)" in shown


def test_files_are_written_when_asked_for(run: Run, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "out"
    assert run("--write", str(target)) == 0
    assert (target / "tls" / "key").read_bytes() == b"\x00\xff"
    assert run("--write", str(target)) == 2
    assert "the folder is not empty" in capsys.readouterr().err


def test_a_folder_in_use_is_refused_before_anything_is_asked(run: Run, provider: Provider, tmp_path: Path) -> None:
    assert run("--write", str(tmp_path)) == 2
    assert provider.requests == []


def test_a_machine_gets_json(run: Run, capsys: Capture) -> None:
    assert run("--output", "json", "--show-values") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    assert [file["path"] for file in document["files"]] == ["db", "tls/key"]
    assert document["files"][0]["value"] == "hunter2"


def test_the_call_is_the_drivers(run: Run, provider: Provider) -> None:
    assert run("--pod", "app-7") == 0
    assert (provider.asked.pod.namespace, provider.asked.pod.name) == ("shop", "app-7")
    assert provider.asked.service_account == "app"
    assert provider.asked.provider_class == "shop"
    assert list(provider.tokens) == [STS]
    assert provider.remaining is not None
    assert 0 < provider.remaining < 6


def test_a_token_of_a_pod_is_sent_as_that_pod(run: Run, provider: Provider, tmp_path: Path) -> None:
    (tmp_path / "bound").write_text(token(audience=AGENT, pod=("app-1", "uid-1")))
    assert run(token=str(tmp_path / "bound")) == 0
    assert (provider.asked.pod.name, provider.asked.pod.uid) == ("app-1", "uid-1")
    assert list(provider.tokens) == [AGENT]


class TokenRequests(BaseHTTPRequestHandler):
    """An API server that gives a token for whatever audience is asked for."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        _, _, _, _, namespace, _, account, _ = self.path.split("/")
        made = token(namespace, account, asked["spec"]["audiences"][0])
        body = json.dumps({"status": {"token": made}}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_token_comes_from_the_api_server(run: Run, provider: Provider, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), TokenRequests) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        standin.write_kubeconfig(tmp_path / "kubeconfig", f"http://127.0.0.1:{server.server_port}")
        assert run("--kubeconfig", str(tmp_path / "kubeconfig"), token="") == 0
        server.shutdown()
    assert list(provider.tokens) == [STS]
    assert (provider.asked.pod.namespace, provider.asked.pod.name) == ("shop", "keyferry-mount")


def test_a_refusal_is_told_object_by_object_with_a_hint(run: Run, provider: Provider, capsys: Capture) -> None:
    provider.refuse(grpc.StatusCode.PERMISSION_DENIED, "keyferry: a: no: ask\nkeyferry: b\x1b: no: ask")
    assert run() == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:3] == [
        "refused with PERMISSION_DENIED:",
        "  keyferry: a: no: ask",
        "  keyferry: b\N{REPLACEMENT CHARACTER}: no: ask",
    ]
    assert err.splitlines()[3].startswith("hint: keyferry policy -f ")


def test_a_refusal_is_json_for_a_machine(run: Run, provider: Provider, capsys: Capture) -> None:
    provider.refuse(grpc.StatusCode.NOT_FOUND, "keyferry: a: no: ask\nkeyferry: b: no: ask")
    assert run("--output", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["code"]) == (False, "NOT_FOUND")
    assert document["problems"] == ["keyferry: a: no: ask", "keyferry: b: no: ask"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(wire.MountResponse(files=ANSWER.files), "missing object versions", id="no version"),
        pytest.param(wire.MountResponse(error=wire.Error(code="Bad")), "provider error code Bad", id="an error code"),
        pytest.param(
            wire.MountResponse(files=[wire.File(path="../a")], object_version=ANSWER.object_version),
            "path can not contain",
            id="a path that leads out",
        ),
    ],
)
def test_what_the_driver_refuses_is_refused(
    run: Run, provider: Provider, capsys: Capture, answer: wire.MountResponse, said: str
) -> None:
    provider.answer = lambda _: answer
    assert run() == 1
    assert said in capsys.readouterr().err


def test_a_volume_without_files_is_told(run: Run, provider: Provider, capsys: Capture) -> None:
    provider.answer = lambda _: wire.MountResponse(object_version=[wire.ObjectVersion(id="keyferry", version="empty")])
    assert run() == 0
    assert capsys.readouterr().out.startswith("no files: ")


def test_a_dead_socket_is_waited_for_and_then_told(run: Run, tmp_path: Path, capsys: Capture) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left.sock"))
    assert run("--timeout", "0.5s", at=str(tmp_path / "left.sock")) == 1
    assert "refused with DEADLINE_EXCEEDED" in capsys.readouterr().err


def test_a_kubeconfig_that_is_not_understood_is_refused_with_another_way(
    run: Run, tmp_path: Path, capsys: Capture
) -> None:
    standin.write_kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:1")
    document = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    document["users"] = [{"name": "me", "user": {"auth-provider": {"name": "gcp"}}}]
    document["contexts"][0]["context"]["user"] = "me"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
    assert run("--kubeconfig", str(tmp_path / "kubeconfig"), token="") == 2
    assert "--token-file with the output of kubectl create token app" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"at": "/nowhere/aws.sock"}, "there is no socket", id="no socket"),
        pytest.param({"token": "/nowhere/token"}, "cannot be read", id="no token file"),
        pytest.param({"token": ""}, "kubectl create token app -n shop --audience sts.amazonaws.com", id="no token"),
    ],
)
def test_what_it_lacks_is_told(
    run: Run, capsys: Capture, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], said: str
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    assert run(**changes) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("--region", "eu west"), "INVALID_ARGUMENT", id="a wrong region"),
        pytest.param((), "add --region REGION", id="no region"),
    ],
)
def test_without_a_socket_the_class_is_judged_here(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    path = saved(tmp_path, {"objects": OBJECTS})
    who = ["--namespace", "shop", "--service-account", "app"]
    assert cli.main(["mount", "-f", path, *who, *arguments]) == 1
    assert said in capsys.readouterr().err
