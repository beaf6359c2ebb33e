"""What the fake AWS answers: Secrets Manager, SSM, STS, the Pod Identity agent and two Kubernetes reads."""

import json
import random
import re
from datetime import datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from tests.fakeaws_world import Fault, Refused, Request, Response, Seen, World, form

JSON = {"content-type": "application/x-amz-json-1.1"}
XML = {"content-type": "text/xml"}
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/\d+/([\w-]+)/(\w+)/aws4_request, SignedHeaders=([^,]+),"
)


def answer(world: World, request: Request) -> Response:
    """Return the answer to any request; faults and throttling included."""
    with world.lock:
        response = _routed(world, request)
    response.headers.setdefault("date", formatdate(world.now(), usegmt=True))
    response.headers.setdefault("x-amzn-requestid", f"request-{len(world.calls)}")
    response.delay += world.latency
    return response


def _routed(world: World, request: Request) -> Response:
    path = urlsplit(request.path).path
    if path.startswith("/_"):
        return _control(world, request)
    if path.startswith("/api/v1/"):
        return _kubernetes(world, path)
    if path == "/v1/credentials":
        return _faulty(world, request, "PodIdentity", {}, xml=False)
    target = request.headers.get("x-amz-target", "")
    if target:
        return _faulty(world, request, target.partition(".")[2], json.loads(request.body), xml=False)
    fields = form(request.body)
    return _faulty(world, request, fields.get("Action", ""), fields, xml=True)


def _faulty(world: World, request: Request, operation: str, fields: dict[str, Any], *, xml: bool) -> Response:
    try:
        key, who, region = _caller(world, request)
    except Refused as refused:
        return _error(refused, xml=xml)
    names = _names(fields)
    world.counts[operation] += 1
    world.calls.append(Seen(operation, who or fields.get("RoleArn", ""), key, region, names))
    fault = _fault(world, operation, (*names, who))
    if fault is not None and fault.kind != "slow":
        return _broken(fault, xml=xml)
    try:
        world.throttle(operation)
        response = OPERATIONS[operation](world, fields, who, region, request)
    except Refused as refused:
        response = _error(refused, xml=xml)
    except KeyError:
        response = _error(Refused("UnknownOperationException"), xml=xml)
    response.delay = fault.seconds if fault is not None else 0.0
    return response


def _names(fields: dict[str, Any]) -> tuple[str, ...]:
    single = [fields[key] for key in ("SecretId", "Name", "Path", "RoleArn") if key in fields]
    return (*single, *fields.get("SecretIdList", ()), *fields.get("Names", ()))


def _fault(world: World, operation: str, texts: tuple[str, ...]) -> Fault | None:
    for fault in world.faults:
        fits = fault.operation in {"", operation} and any(fault.match in text for text in texts)
        if fits and fault.times != 0 and random.random() < fault.chance:
            if fault.times is not None:
                fault.times -= 1
            return fault
    return None


def _broken(fault: Fault, *, xml: bool) -> Response:
    if fault.kind == "error":
        return _error(Refused(fault.code, fault.status, fault.message), xml=xml)
    broken = {
        "empty": Response(200, b""),
        "html": Response(fault.status, b"<html><body>Bad Gateway</body></html>", {"content-type": "text/html"}),
        "truncated": Response(200, b'{"ARN": "arn:aws:secretsmanager:eu-west-1:1', dict(JSON)),
        "shape": Response(200, b'{"ARN": ["x"], "SecretValues": {"a": 1}, "Parameters": 7, "Errors": "none"}'),
        "cut": Response(200, b'{"ARN": "arn:aws"}' * 10, dict(JSON), cut=40),
        "close": Response(200, b"", cut=-1),
        "redirect": Response(302, b"", {"location": "http://127.0.0.1:1/"}),
        "hang": Response(200, b"", hang=True),
    }
    return broken[fault.kind]


def _error(refused: Refused, *, xml: bool) -> Response:
    if xml:
        text = f"<Error><Code>{refused.code}</Code><Message>{refused.message}</Message></Error>"
        return Response(refused.status, f"<ErrorResponse>{text}</ErrorResponse>".encode(), dict(XML))
    body = json.dumps({"__type": refused.code, "message": refused.message})
    return Response(refused.status, body.encode(), dict(JSON))


def _caller(world: World, request: Request) -> tuple[str, str, str]:
    """Return access key, holder and region of a signed request; its signature is checked."""
    found = _AUTHORIZATION.match(request.headers.get("authorization", ""))
    if found is None:
        if "x-amz-target" in request.headers:
            raise Refused("MissingAuthenticationTokenException", 403)
        return "", "", ""
    key, region, service, signed = found.groups()
    if key not in world.keys:
        raise Refused("UnrecognizedClientException")
    if key in world.expired:
        raise Refused("ExpiredTokenException")
    secret, holder = world.keys[key]
    if world.verify:
        _verify(world, request, ReadOnlyCredentials(key, secret, None), region, service, signed.split(";"))
    return key, holder, region


def _verify(
    world: World, request: Request, credentials: ReadOnlyCredentials, region: str, service: str, signed: list[str]
) -> None:
    moment = request.headers["x-amz-date"]
    if abs(datetime.fromisoformat(moment).timestamp() - world.now()) > 300:
        raise Refused("RequestTimeTooSkewed", 403)
    again = AWSRequest("POST", f"http://{request.headers['host']}{request.path}", data=request.body)
    for name in signed:
        again.headers[name] = request.headers[name]
    again.context["timestamp"] = moment
    signer = SigV4Auth(credentials, service, region)
    text = signer.string_to_sign(again, signer.canonical_request(again))
    if not request.headers["authorization"].endswith(f"Signature={signer.signature(text, again)}"):
        raise Refused("InvalidSignatureException", 403)


# Secrets Manager


def _get_secret_value(world: World, fields: dict[str, Any], who: str, region: str, _request: Request) -> Response:
    name, version, label = fields["SecretId"], fields.get("VersionId", ""), fields.get("VersionStage", "")
    return _json(world.secret_entry(region, who, name, version, label))


def _batch(world: World, fields: dict[str, Any], who: str, region: str, _request: Request) -> Response:
    world.check("secretsmanager:BatchGetSecretValue", who, "")
    ids = fields["SecretIdList"]
    if len(ids) > 20:
        raise Refused("InvalidParameterException")
    start = int(fields.get("NextToken", "0").removeprefix("page-"))
    values, errors = [], []
    for name in ids[start : start + world.per_page]:
        if name.startswith("arn:") and not re.search(r"-\w{6}$", name):  # a batch takes no partial ARN
            errors.append({"SecretId": name, "ErrorCode": "ResourceNotFoundException"})
            continue
        try:
            values.append(world.secret_entry(region, who, name))
        except Refused as refused:
            errors.append({"SecretId": name, "ErrorCode": refused.code, "Message": refused.message})
    more = start + world.per_page < len(ids)
    token = {"NextToken": f"page-{start + world.per_page}"} if more else {}
    return _json({"SecretValues": values[::-1], "Errors": errors, **token})


# SSM


def _get_parameters(world: World, fields: dict[str, Any], who: str, region: str, _request: Request) -> Response:
    names = fields["Names"]
    if len(names) > 10 or len(set(names)) < len(names):
        raise Refused("ValidationException")
    found = {name: world.parameter_entry(region, who, name) for name in names}
    values = [entry for entry in found.values() if entry is not None]
    return _json(
        {"Parameters": values[::-1], "InvalidParameters": [name for name, entry in found.items() if not entry]}
    )


def _by_path(world: World, fields: dict[str, Any], who: str, region: str, _request: Request) -> Response:
    path = fields["Path"].rstrip("/") + "/"
    world.check("ssm:GetParametersByPath", who, path)
    names = sorted(name for where, name in world.parameters if where == region and name.startswith(path))
    start, size = int(fields.get("NextToken", "0")), fields["MaxResults"]
    if size > 10:
        raise Refused("ValidationException")
    entries = [world.parameter_entry(region, "", name) for name in names[start : start + size]]
    token = {"NextToken": str(start + size)} if start + size < len(names) else {}
    return _json({"Parameters": entries, **token})


# STS and the agent


def _web_identity(world: World, fields: dict[str, Any], _who: str, _region: str, _request: Request) -> Response:
    subject = world.subject(fields["WebIdentityToken"], "AssumeRoleWithWebIdentity")
    role = fields["RoleArn"]
    if world.roles.get(role, subject) != subject:
        raise Refused("AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    return _assumed(world, fields, role)


def _assume_role(world: World, fields: dict[str, Any], who: str, _region: str, _request: Request) -> Response:
    role = fields["RoleArn"]
    if not who or world.roles.get(role, who) != who or world.external_ids.get(role) != fields.get("ExternalId"):
        raise Refused("AccessDenied", 403)
    return _assumed(world, fields, role)


def _assumed(world: World, fields: dict[str, Any], role: str) -> Response:
    if not re.fullmatch(r"[\w+=,.@-]{2,64}", fields["RoleSessionName"]):
        raise Refused("ValidationError")
    issued = world.issue(role)
    issued["SessionToken"] = issued.pop("Token")
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in issued.items())
    outer, result = f"{fields['Action']}Response", f"{fields['Action']}Result"
    space = "https://sts.amazonaws.com/doc/2011-06-15/"
    text = f'<{outer} xmlns="{space}"><{result}><Credentials>{inner}</Credentials></{result}></{outer}>'
    return Response(200, text.encode(), dict(XML))


def _agent(world: World, _fields: dict[str, Any], _who: str, _region: str, request: Request) -> Response:
    subject = world.subject(request.headers.get("authorization", ""), "PodIdentity")
    role = world.associations.get(subject) or (subject if world.generous else "")
    if not role:
        raise Refused("ResourceNotFoundException", 404)
    return _json(world.issue(role) | {"AccountId": "111122223333"})


OPERATIONS = {
    "GetSecretValue": _get_secret_value,
    "BatchGetSecretValue": _batch,
    "GetParameters": _get_parameters,
    "GetParametersByPath": _by_path,
    "AssumeRoleWithWebIdentity": _web_identity,
    "AssumeRole": _assume_role,
    "PodIdentity": _agent,
}


# Kubernetes and the controls of a fake in another process


def _kubernetes(world: World, path: str) -> Response:
    parts = path.strip("/").split("/")
    if parts[2] == "namespaces" and parts[4:5] == ["serviceaccounts"]:
        world.counts["kube GET serviceaccount"] += 1
        namespace, name = parts[3], parts[5]
        role = world.annotations.get((namespace, name))
        if role is None and world.generous:
            role = f"arn:aws:iam::111122223333:role/{namespace}-{name}"
        return _json({"metadata": {"name": name, "annotations": {"eks.amazonaws.com/role-arn": role} if role else {}}})
    if parts[2] == "nodes":
        world.counts["kube GET node"] += 1
        return _json({"metadata": {"name": parts[3], "labels": {"topology.kubernetes.io/region": "eu-west-1"}}})
    return Response(404, b'{"kind": "Status", "code": 404}', {"content-type": "application/json"})


def _control(world: World, request: Request) -> Response:
    parts = urlsplit(request.path)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    match parts.path:
        case "/_put":
            world.put(given["name"], request.body.decode(), given.get("region", "eu-west-1"))
        case "/_deny":
            world.deny(given["permission"], given.get("who", ""), given.get("name", ""))
        case "/_fail":
            world.fail(given["kind"], given.get("operation", ""), match=given.get("match", ""))
        case "/_rate":
            world.rates[given["operation"]] = float(given["rate"])
        case "/_heal":
            world.faults.clear()
            world.rates.clear()
            world.denied.clear()
        case "/_reset":
            world.counts.clear()
            world.calls.clear()
    return _json(dict(world.counts))


def _json(content: object) -> Response:
    return Response(200, json.dumps(content).encode(), dict(JSON))
