"""No value and no token anywhere it does not belong, whatever goes wrong and at every log level.

A canary is searched for in plain text, base64 at each of its three alignments, hex, URL and JSON form, and in halves,
so that a cut or quoted piece is found too.
"""

import base64
import copy
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import grpc
import pytest

from driver.errors import FORBIDDEN_CODES, KeyferryError, status_of
from driver.model import (
    Access,
    AuthMethod,
    Credentials,
    File,
    Principal,
    Proof,
    Read,
    SecretRef,
    SecretValue,
    Source,
    Store,
    Token,
)
from driver.mount import attributes
from driver.spc import files, objects
from driver.telemetry import trace
from driver.wire import csi_provider_pb2 as wire
from tests import driverside
from tests.driverside import STS, token, tokens

VALUE = 'k4N-4ry"VaLuE/ä+z9Qx7'
"""A secret's text; what escapes change is in it."""


def spellings(canary: str) -> set[str]:
    """Return all texts of which one betrays the canary or half of it."""
    raw = canary.encode()
    halves = (raw, raw[: len(raw) // 2], raw[len(raw) // 2 :])
    return {text for half in halves for text in _written(half)}


def _written(raw: bytes) -> set[str]:
    text = raw.decode(errors="replace")
    found = {text, repr(text)[1:-1], repr(raw)[2:-1], raw.hex(), quote(raw, safe=""), json.dumps(text)[1:-1]}
    for shift in range(3):
        inner = base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 : -4].decode()
        found |= {inner, inner.replace("+", "-").replace("/", "_"), quote(inner, safe="")}
    return {each.lower() for each in found if len(each) >= 8}


def leaks(text: str, *canaries: str) -> list[str]:
    """Return what of the canaries is in a text."""
    lower = text.lower()
    return [spelling for canary in canaries for spelling in sorted(spellings(canary)) if spelling in lower]


@pytest.mark.parametrize("shift", range(3))
def test_the_search_finds_every_spelling(shift: int) -> None:
    around = [b"{'a': '" + b"x" * shift + VALUE.encode() + b"'}", b"y" * shift + VALUE.encode()[-14:] + b"yyy"]
    for data in around:
        for text in (data.decode(), str(data), data.hex(), base64.b64encode(data).decode(), json.dumps(data.decode())):
            assert leaks(text, VALUE), text
    assert not leaks("nothing of it", VALUE)


# --- values


def secret_values() -> list[object]:
    """Return one of each value that has a secret in it, with the canary there."""
    ref = SecretRef(Store.SECRETS_MANAGER, "db", "eu-west-1")
    held = Credentials("AKIAEXAMPLE", VALUE, VALUE, 1.0, 0.0)
    access = Access(AuthMethod.IRSA, "shop", "app", "uid", "eu-west-1", token=Token(VALUE))
    value = SecretValue(VALUE.encode(), "arn:x", "v1")
    path = SecretValue(b"", "arn:y", "v1", children=(("child", value),))
    return [
        Token(VALUE),
        held,
        access,
        Proof(access, Principal(AuthMethod.IRSA, "shop", "app", "uid", "role"), held),
        value,
        path,
        Read(ref, value, Source.AWS, 0.0),
        Read(ref, path, Source.STALE, 9.0),
        File("db", 0o600, VALUE.encode(), "v1"),
        attributes.read(request(tokens=VALUE), "420"),
    ]


def request(**changes: str) -> str:
    """Return a request's attributes as JSON."""
    base = "csi.storage.k8s.io/"
    told = {"pod.name": "p", "pod.namespace": "shop", "pod.uid": "u", "serviceAccount.name": "app"}
    told["serviceAccount.tokens"] = changes.pop("tokens", json.dumps({STS: {"token": token()}}))
    return json.dumps({**{base + name: text for name, text in told.items()}, **changes})


PRINTERS: dict[str, Callable[[object], str]] = {
    "str": str,
    "repr": repr,
    "format": format,
    "percent": lambda value: "%s %r %a" % (value, value, value),  # noqa: UP031 - one of the ways
    "container": lambda value: f"{[value]} {(value,)} { ({'k': value}) }",
    "copy": lambda value: repr(copy.copy(value)),
    "log": lambda value: logging.LogRecord("x", 10, "f", 1, "%s %r", (value, value), None).getMessage(),
    "exception": lambda value: "".join(traceback.format_exception(ValueError(value))),
}


@pytest.mark.parametrize("how", PRINTERS)
@pytest.mark.parametrize("value", secret_values(), ids=lambda value: type(value).__name__)
def test_a_value_never_prints_its_secret(value: object, how: str) -> None:
    assert leaks(PRINTERS[how](value), VALUE) == []


# --- errors


def delivered(content: bytes, **entry: object) -> None:
    """Render one object with this content."""
    described = {"objectName": "db", "objectType": "secretsmanager", "objectAlias": "db", **entry}
    plan = objects.parse({"objects": json.dumps([described])}, region="eu-west-1")
    ref = plan.wants[0].ref
    value = SecretValue(content, "arn:x", "v1")
    if ref.store is Store.PARAMETER_PATH:
        value = SecretValue(b"", "", "1", children=(("a", value),))
    files.render(plan, {ref: Read(ref, value, Source.AWS, 0.0)}, limit=10_000)


def refused(text: str, permission: str = "420") -> None:
    """Read a request and prove its identity."""
    found = attributes.read(text, permission)
    plan = objects.parse({"objects": "[{objectName: a, objectType: ssmparameter}]"}, region="eu-west-1")
    attributes.access(found, plan, now=2e9)


def keyed(path: str) -> list[dict[str, str]]:
    return [{"path": path, "objectAlias": "x"}]


QUOTED = json.dumps(VALUE).encode()
FAILING: dict[str, Callable[[], None]] = {
    "not JSON": lambda: delivered(VALUE.encode(), jmesPath=keyed("a")),
    "JSON cut short": lambda: delivered(b'{"a": ' + QUOTED, jmesPath=keyed("a")),
    "JSON with a byte too many": lambda: delivered(b'{"a": ' + QUOTED + b"}}", jmesPath=keyed("a")),
    "not UTF-8": lambda: delivered(b'{"a": ' + QUOTED + b"\xff", jmesPath=keyed("a")),
    "a key that is not there": lambda: delivered(b'{"a": ' + QUOTED + b"}", jmesPath=keyed("b")),
    "a key that is no file name": lambda: delivered(b'{"../' + QUOTED[1:] + b": 1}", jmesPath="*"),
    "keys that clash": lambda: delivered(json.dumps({"a/b": VALUE, "a_b": VALUE}).encode(), jmesPath="*"),
    "all keys of a text": lambda: delivered(QUOTED, jmesPath="*"),
    "a wrong type": lambda: delivered(b'{"a": ' + QUOTED + b"}", jmesPath=keyed("sum(a)")),
    "too deep": lambda: delivered(b"[" * 100_000 + QUOTED, jmesPath=keyed("a")),
    "not base64": lambda: delivered(VALUE.encode(), decode="base64"),
    "not hex": lambda: delivered(VALUE.encode(), decode="hex"),
    "too large": lambda: delivered(VALUE.encode() * 1_000),
    "attributes that are not JSON": lambda: refused('{"a": ' + VALUE),
    "attributes that are a list": lambda: refused(json.dumps([VALUE])),
    "a repeated attribute": lambda: refused(f'{{"a": "x", "a": {json.dumps(VALUE)}}}'),
    "an attribute that is no text": lambda: refused(json.dumps({"a": [VALUE]})),
    "tokens that are not JSON": lambda: refused(request(tokens=VALUE)),
    "tokens cut short": lambda: refused(request(tokens=json.dumps({STS: {"token": VALUE}})[:-2])),
    "tokens of a wrong shape": lambda: refused(request(tokens=json.dumps({STS: VALUE}))),
    "a token that is a number": lambda: refused(request(tokens=json.dumps({STS: {"token": [VALUE]}}))),
    "no token for the audience": lambda: refused(request(tokens=json.dumps({VALUE: {"token": VALUE}}))),
    "a token that is no JWT": lambda: refused(request(tokens=json.dumps({STS: {"token": VALUE}}))),
    "a token with a wrong payload": lambda: refused(request(tokens=json.dumps({STS: {"token": f"a.{VALUE}.b"}}))),
    "an expired token": lambda: refused(request(tokens=json.dumps({STS: {"token": token(lifetime=-9, jti=VALUE)}}))),
    "another account's token": lambda: refused(
        request(tokens=json.dumps({STS: {"token": token(account="b", jti=VALUE, lifetime=2e9)}}))
    ),
    "a wrong permission": lambda: refused(request(), VALUE),
}


@pytest.mark.parametrize("case", FAILING)
def test_an_error_tells_nothing_of_the_value(case: str) -> None:
    """Neither its text, nor its status, nor its traceback, with all causes and contexts."""
    with pytest.raises(KeyferryError) as caught:
        FAILING[case]()
    error = caught.value
    told = [str(error), repr(error), repr(error.args), status_of(error)[1], trace(error), *chained(error)]
    assert [leak for text in told for leak in leaks(re.sub(r'File ".*', "", text), VALUE)] == []


def chained(error: BaseException) -> list[str]:
    """Return the traceback as Python prints it, and the texts of what it hides."""
    seen: list[BaseException] = [error]
    for each in seen:
        seen.extend(e for e in (each.__cause__, each.__context__) if e is not None and e not in seen)
    return [
        "".join(traceback.format_exception(error)),
        *(str(each) for each in seen if isinstance(each, KeyferryError)),
    ]


# --- a whole process


SECRET_KEY = "c4NarySecretKey+/8dHq2Lw0ZrT5vBn1"
SESSION = "c4NarySessionToken+/3kJx7mPq9YsW"
CLAIM = "c4nary-claim-5hGf2Jk8"
TOKEN = token(jti=CLAIM)
FAULTS = ("denied", "throttled", "boom", "cut-short", "not-json", "empty", "wrong-type", "bad-base64", "quoting")
FAULTS += ("unknown-type", "redirect", "too-large")


class Cloud(BaseHTTPRequestHandler):
    """AWS, the Pod Identity agent and Kubernetes: a request names what goes wrong, and the answer has canaries."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        if "/serviceaccounts/" in self.path:
            arn = f"arn:aws:iam::111122223333:role/{self.path.rsplit('/', 1)[-1]}"
            self.answer(json.dumps({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": arn}}}))
            return
        claims = base64.urlsafe_b64decode(self.headers.get("Authorization", "..").split(".")[1] + "==").decode()
        keys = {"AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": SECRET_KEY, "Token": SESSION}
        self.decide(claims, json.dumps({**keys, "Expiration": "2999-01-01T00:00:00Z"}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        operation = self.headers.get("X-Amz-Target", "sts").rpartition(".")[2]
        good: Callable[[], object] | None = {
            "GetSecretValue": lambda: secret(json.loads(body)["SecretId"]),
            "BatchGetSecretValue": lambda: {"SecretValues": [secret(n) for n in json.loads(body)["SecretIdList"]]},
            "GetParameters": lambda: {"Parameters": [parameter(n) for n in json.loads(body)["Names"]]},
            "GetParametersByPath": lambda: {"Parameters": [parameter(json.loads(body)["Path"] + "/a")]},
        }.get(operation)
        self.decide(body, json.dumps(good()) if good else CREDENTIALS)

    def decide(self, request: str, good: str) -> None:
        fault = next((name for name in FAULTS if name in request), "")
        wrong = json.dumps({"Message": f"{VALUE} {TOKEN}", "message": VALUE})
        match fault:
            case "":
                self.answer(good)
            case "denied" | "throttled" | "quoting" | "unknown-type":
                kinds = {"denied": "AccessDeniedException", "throttled": "ThrottlingException", "unknown-type": VALUE}
                kind = kinds.get(fault, "InvalidRequestException")
                self.answer(json.dumps({"__type": kind})[:-1] + ", " + wrong[1:], 400)
            case "boom" | "redirect":
                self.answer(wrong, 503 if fault == "boom" else 302)
            case "cut-short":
                self.answer(good, length=len(good.encode()) + 9)
            case "not-json":
                self.answer(f"<html>{VALUE} {TOKEN} {SESSION}</html>")
            case "empty":
                self.answer("")
            case "wrong-type":
                self.answer(json.dumps({"SecretString": [VALUE], "SecretValues": VALUE, "Parameters": {VALUE: TOKEN}}))
            case "bad-base64":
                self.answer(json.dumps({"SecretBinary": "!" + VALUE, "ARN": "arn:x", "VersionId": "v"}))
            case "too-large":
                self.answer(json.dumps({"SecretString": VALUE * 400_000, "ARN": "arn:x", "VersionId": "v"}))

    def answer(self, text: str, status: int = 200, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(text.encode())))
        self.send_header("x-amzn-RequestId", "request-1")
        self.end_headers()
        self.wfile.write(text.encode())
        self.close_connection = length is not None


def secret(name: str) -> dict[str, object]:
    told: dict[str, object] = {
        "ARN": f"arn:aws:secretsmanager:us-west-2:1:secret:{name}",
        "Name": name,
        "VersionId": "v1",
    }
    return {**told, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.0, "SecretString": stored(name)}


def parameter(name: str) -> dict[str, object]:
    told = {"Name": name, "Version": 1, "Type": "SecureString", "LastModifiedDate": 1.0}
    return {**told, "ARN": f"arn:aws:ssm:us-west-2:1:parameter{name}", "Value": stored(name)}


def stored(name: str) -> str:
    return json.dumps({"password": VALUE, "../" + VALUE: 1}) if "keys" in name else VALUE


CREDENTIALS = f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>s</SubjectFromWebIdentityToken><AssumedRoleUser>
<Arn>arn:aws:sts::111122223333:assumed-role/app/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser><Credentials>
<AccessKeyId>AKIAEXAMPLE</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>{SESSION}</SessionToken>
<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"""


def cases() -> dict[str, dict[str, str]]:
    """Return the attributes of every Mount: each fault met by each way to read, and requests that are wrong."""
    one = {"objectType": "secretsmanager"}
    ways: dict[str, list[dict[str, object]]] = {
        "secret": [{**one, "objectName": "FAULT"}],
        "batch": [{**one, "objectName": name} for name in ("FAULT", "FAULT-2", "fine")],
        "parameter": [{"objectName": "FAULT", "objectType": "ssmparameter"}],
        "path": [{"objectName": "/FAULT", "objectType": "ssmpath"}],
        "chain": [{**one, "objectName": "fine", "roleArn": "arn:aws:iam::111122223333:role/FAULT"}],
    }
    found = {
        f"{way} {fault}": attributes_of(json.dumps(described).replace("FAULT", fault))
        for way, described in ways.items()
        for fault in ("fine", *FAULTS)
    }
    for fault in FAULTS:
        found[f"IRSA {fault}"] = attributes_of(json.dumps(ways["secret"]).replace("FAULT", "fine"), account=fault)
        agent = {"usePodIdentity": "true"}
        found[f"agent {fault}"] = attributes_of(json.dumps(ways["secret"]).replace("FAULT", "fine"), fault, **agent)
    for name, changes in CONTENT.items():
        found[name] = attributes_of(json.dumps([{**one, "objectName": "keys", "objectAlias": "k", **changes}]))
    for name, more in WRONG.items():
        found[name] = {**attributes_of("[{objectName: fine, objectType: secretsmanager}]"), **more}
    return found


CONTENT: dict[str, dict[str, object]] = {
    "not JSON": {"objectName": "fine", "jmesPath": [{"path": "a", "objectAlias": "b"}]},
    "no such key": {"jmesPath": [{"path": "a", "objectAlias": "b"}]},
    "a key that is no file name": {"jmesPath": "*"},
    "not base64": {"decode": "base64"},
    "a bad expression": {"jmesPath": [{"path": "a[", "objectAlias": "b"}]},
    "a bad mode": {"filePermission": "9999"},
}
_TOKENS = "csi.storage.k8s.io/serviceAccount.tokens"
WRONG: dict[str, dict[str, str]] = {
    "another account": {_TOKENS: tokens("shop", "other", jti=CLAIM)},
    "expired": {_TOKENS: tokens("shop", "app", jti=CLAIM, lifetime=-99)},
    "cut short": {_TOKENS: tokens("shop", "app", jti=CLAIM)[:-40]},
    "not a token": {_TOKENS: json.dumps({STS: {"token": VALUE}})},
    "not YAML": {"objects": "- {"},
    "not a list": {"objects": "array: []"},
    "no region": {"region": "", "objects": "[{objectName: fine, objectType: ssmparameter}]"},
    "a mode that is none": {"pathTranslation": "--"},
}


def attributes_of(described: str, account: str = "app", **parameters: str) -> dict[str, str]:
    return {
        **driverside.attributes(described, account=account, **parameters),
        _TOKENS: tokens("shop", account, jti=CLAIM),
    }


@pytest.fixture(scope="module", params=["json", "text"])
def outputs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return all that a provider says in its life, by where: each status, its pages, its log and its audit records."""
    folder = tmp_path_factory.mktemp("canary")
    cloud = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=cloud.serve_forever, daemon=True).start()
    try:
        yield life(folder, f"http://127.0.0.1:{cloud.server_port}", request.param)
    finally:
        cloud.shutdown()
        cloud.server_close()


def life(folder: Path, url: str, log_format: str) -> dict[str, str]:
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(kube(url)))
    port = free_port()
    flags = {"provider-volume": folder, "kubeconfig": kubeconfig, "pod-identity-endpoint": url, "mount-budget": "3s"}
    flags |= {"metrics-address": f"127.0.0.1:{port}", "log-level": "debug", "log-format": log_format}
    command = [sys.executable, "-m", "driver", "provider", *(f"--{name}={value}" for name, value in flags.items())]
    environ = {**os.environ, "AWS_ENDPOINT_URL": url, "PYTHONTRACEMALLOC": "0", "NO_PROXY": "*"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            with driverside.channel(folder / "aws.sock") as dialled:
                told = statuses(dialled)
            for page in ("metrics", "healthz", "readyz", "debug"):
                told[page] = fetched(f"http://127.0.0.1:{port}/{page}")
        finally:
            process.terminate()
            told_last = process.communicate(timeout=20)
    return {**told, "audit": told_last[0], "log": told_last[1], "exit": str(process.returncode)}


def kube(url: str) -> dict[str, object]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
    }


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def statuses(dialled: grpc.Channel) -> dict[str, str]:
    def mounted(given: dict[str, str]) -> str:
        try:
            return f"OK {sorted(driverside.mount(dialled, given, timeout=10))}"
        except grpc.RpcError as error:
            return f"{error.code().name} {error.details()} {error.trailing_metadata()}"

    every = cases()
    with ThreadPoolExecutor(32) as pool:
        told = dict(zip(every, pool.map(mounted, every.values()), strict=True))
    for raw in (
        b"\xff" + TOKEN.encode(),
        wire.MountRequest(attributes="{" + TOKEN, target_path="/x").SerializeToString(),
    ):
        try:
            driverside.mount_raw(dialled, raw)
        except grpc.RpcError as error:
            told[f"raw {raw[:1]!r}"] = str(error.details())
    return told


def fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code) + error.read().decode()


def test_a_provider_tells_no_value_and_no_token(outputs: dict[str, str]) -> None:
    """Whatever AWS, the agent, Kubernetes, a manifest or a request get wrong, at level debug."""
    canaries = (VALUE, SECRET_KEY, SESSION, CLAIM, TOKEN.split(".")[1][:60], TOKEN.split(".")[1][-60:])
    assert {where: found for where, text in outputs.items() if (found := leaks(text, *canaries))} == {}


def test_the_search_had_something_to_search(outputs: dict[str, str]) -> None:
    """All that should work does, all that should fail does, and the log, the records and the metrics have lines."""
    fine = [name for name in outputs if name.endswith(" fine")]
    assert {name: outputs[name] for name in fine if not outputs[name].startswith("OK ")} == {}
    told = [name for name in cases() if name not in fine]
    assert [name for name in told if outputs[name].startswith("OK ") and "bad-base64" not in name] == []
    assert {outputs[name].split()[0] for name in told} & FORBIDDEN_CODES == set()
    assert outputs["exit"] == "0"
    assert all(where in outputs[place] for where, place in {"Mount refused": "log", "request-1": "audit"}.items())
    assert "keyferry_mounts_total" in outputs["metrics"]
