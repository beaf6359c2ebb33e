"""AWS, the Pod Identity agent and Kubernetes as a server that gets everything wrong, with canaries in every answer."""

import base64
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.canary import SECRET_KEY, SESSION, TOKEN, VALUE

FAULTS = (
    *("denied", "throttled", "boom", "cut-short", "not-json", "empty"),
    *("wrong-type", "bad-base64", "quoting", "unknown-type", "redirect", "too-large"),
)


class CloudServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """Keep quiet about clients that leave early."""


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
    if name == "large":
        return VALUE * 2_000
    return json.dumps({"password": VALUE, "../" + VALUE: 1}) if name == "keys" else VALUE


CREDENTIALS = f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>s</SubjectFromWebIdentityToken><AssumedRoleUser>
<Arn>arn:aws:sts::111122223333:assumed-role/app/s</Arn><AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser><Credentials>
<AccessKeyId>AKIAEXAMPLE</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>{SESSION}</SessionToken>
<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>
<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>"""
