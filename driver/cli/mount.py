"""``keyferry mount``: show what a pod would get from a class.

With ``--socket`` it plays the driver's side against a running provider; else it reads AWS with the caller's own
credentials, through the same parser, resolver and renderer. Exit codes: 0 files shown, 1 refused, 2 could not start.
"""

import argparse
import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

import grpc
import msgspec

from driver.cli import cluster, request, source, volume
from driver.errors import InvalidInput, KeyferryError, status_of
from driver.kube import Kube
from driver.model import AUDIENCES, Access, AuthMethod, Deadline, File, Pod, Token
from driver.options import duration
from driver.spc import files, objects
from driver.wire import csi_provider_pb2 as wire

METHOD = "/v1alpha1.CSIDriverProvider/Mount"

_RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "v1alpha1.CSIDriverProvider"}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "1s",
                "maxBackoff": "10s",
                "backoffMultiplier": 1.1,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
"""The service configuration of driver 1.6.0 (``provider_client.go``)."""

_HINTS = {
    "INVALID_ARGUMENT": "keyferry lint {file} shows every problem of the file with its line",
    "UNAUTHENTICATED": "keyferry policy -f {file} prints the trust policy that the role needs",
    "PERMISSION_DENIED": "keyferry policy -f {file} prints the least policy that works",
    "NOT_FOUND": "compare name, region and account with the store; a secret of another account is named by its ARN",
    "UNAVAILABLE": "nothing serves this socket: is the provider's pod running and ready?",
    "DEADLINE_EXCEEDED": "nothing answered in time: is the provider's pod running, and does it reach AWS?",
}
_OTHER_HINT = "the provider's log has more"


class Refusal(msgspec.Struct, frozen=True):
    """A Mount that gave no files: the name of the gRPC code and the text for people, a line for each object."""

    code: str
    text: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("-f", "--file", required=True, metavar="FILE", help="YAML file with the SecretProviderClass; - is stdin")
    add("--class", dest="class_name", default="", metavar="NAME", help="the class, when the file has several")
    add("--namespace", required=True, metavar="NS", help="namespace of the pod")
    add("--service-account", required=True, metavar="SA", help="service account of the pod")
    add("--pod", default="", metavar="NAME", help="name of the pod (default: the token's, else keyferry-mount)")
    add("--socket", metavar="PATH", help="ask the provider behind this socket; without it AWS is read directly")
    add("--token-file", type=Path, metavar="FILE", help="with --socket: the service account's token")
    add("--kubeconfig", type=Path, metavar="FILE", help="with --socket: where to get a token (default: $KUBECONFIG)")
    add("--region", metavar="REGION", help="without --socket: region if the class names none (default: $AWS_REGION)")
    add("--timeout", type=duration, default=110.0, metavar="TIME", help="longest wait for the answer (default: 110s)")
    add("--show-values", action="store_true", help="show the values too")
    add("--write", type=Path, metavar="DIR", help="write the files below DIR, which must be empty or not exist")
    add("--output", choices=("text", "json"), default="text", help="for people (default) or machines")


def main(args: argparse.Namespace) -> int:
    """Show, and write if asked to, the files that a pod would get."""
    chosen = source.choose(args.file, args.class_name)
    if args.write:
        volume.check_empty(args.write)
    outcome = _ask_provider(chosen, args) if args.socket else _read_aws(chosen, args)
    if isinstance(outcome, Refusal):
        return _tell_refusal(outcome, args)
    if args.write:
        volume.write(args.write, outcome)
    _tell_files(outcome, args)
    return 0


def _origin(args: argparse.Namespace) -> str:
    if args.socket:
        return f"answered by the provider at {args.socket}"
    return "read from AWS with your own credentials: what the pod's role may read was not tried"


def _tell_files(found: tuple[File, ...], args: argparse.Namespace) -> None:
    if args.output == "json":
        document = {"ok": True, "origin": _origin(args), "files": volume.described(found, values=args.show_values)}
        print(json.dumps(document, indent=2))
        return
    print(volume.tree(found, values=args.show_values) if found else "no files: all objects are optional and missing")
    print(f"\n{len(found)} file{'s' * (len(found) != 1)}, {_origin(args)}")
    if args.write:
        print(f"written below {args.write}")


def _tell_refusal(refusal: Refusal, args: argparse.Namespace) -> int:
    hint = hint_for(refusal.code, args.file)
    if not args.socket and refusal.code in {"PERMISSION_DENIED", "UNAUTHENTICATED"}:
        hint = "this was asked with your own credentials, not with those of the pod"
    if args.output == "json":
        lines = refusal.text.splitlines()
        print(json.dumps({"ok": False, "code": refusal.code, "problems": lines, "hint": hint}, indent=2))
    else:
        print(f"refused with {refusal.code}:\n{shown(refusal)}\nhint: {hint}", file=sys.stderr)
    return 1


def hint_for(code: str, file: str) -> str:
    """Return what to do next about a refusal of a class in ``file``."""
    return _HINTS.get(code, _OTHER_HINT).format(file=file)


def shown(refusal: Refusal) -> str:
    """Return the text of a refusal for a terminal, a line for each object."""
    return "\n".join(f"  {volume.printable(line)}" for line in refusal.text.splitlines())


def _read_aws(chosen: source.Chosen, args: argparse.Namespace) -> tuple[File, ...] | Refusal:
    from driver.app.room import local_resolver  # noqa: PLC0415 - brings the AWS SDK; asking a provider needs none of it

    region = args.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")
    try:
        plan = objects.parse(chosen.parameters, region=region)
        if not all(want.ref.region for want in plan.wants):
            raise InvalidInput("region", "neither the class nor AWS_REGION names one", "add --region REGION")
        access = Access(AuthMethod.AMBIENT, args.namespace, args.service_account, "", plan.region, plan.failover_region)
        reads = local_resolver(os.environ).resolve(access, plan.wants, Deadline(args.timeout))
        return files.render(plan, reads)
    except KeyferryError as error:
        return Refusal(status_of(error)[0], "\n".join(f"keyferry: {line}" for line in str(error).splitlines()))


def _ask_provider(chosen: source.Chosen, args: argparse.Namespace) -> tuple[File, ...] | Refusal:
    token = _token(AUDIENCES[source.method_of(chosen)], args)
    bound = request.claims(token).kubernetes.pod
    name = args.pod or bound.name or "keyferry-mount"
    uid = bound.uid if bound.uid and name == bound.name else str(uuid.uuid4())
    pod = Pod(args.namespace, name, uid)
    asked = request.mount_request(chosen.parameters, chosen.name, pod, args.service_account, [token])
    return ask(Path(args.socket), asked, args.timeout)


def _token(audience: str, args: argparse.Namespace) -> Token:
    """Return a token from the file, else from the API server's TokenRequest."""
    if args.token_file:
        try:
            return Token(args.token_file.read_text().strip())
        except (OSError, UnicodeDecodeError):
            raise InvalidInput(str(args.token_file), "cannot be read", "name a file with a token") from None
    command = f"kubectl create token {args.service_account} -n {args.namespace} --audience {audience}"
    kubeconfig = str(args.kubeconfig or os.environ.get("KUBECONFIG", ""))
    if not kubeconfig:
        cause = f"a provider wants a token for {audience}, and none is given"
        raise InvalidInput("token", cause, f"add --token-file with the output of {command}, or --kubeconfig")
    try:
        kube = Kube(cluster.find(kubeconfig, "", os.environ))
    except InvalidInput as error:
        raise InvalidInput(error.subject, error.cause, f"add --token-file with the output of {command}") from None
    deadline = Deadline(min(args.timeout, 30.0))
    return Token(kube.create_token(args.namespace, args.service_account, audience, deadline))


def ask(socket: Path, asked: wire.MountRequest, timeout: float) -> tuple[File, ...] | Refusal:
    """Make the driver's call on a provider's socket and return the files, or why driver 1.6.0 would write none.

    ``timeout`` in seconds, the wait for the socket's server included. Raises InvalidInput when there is no socket.
    """
    if not socket.is_socket():
        raise InvalidInput(str(socket), "there is no socket", "name a running provider's, such as <directory>/aws.sock")
    options = [("grpc.default_authority", "localhost"), ("grpc.service_config", json.dumps(_RETRIES))]
    with grpc.insecure_channel(f"unix:{socket.absolute()}", options) as channel:
        call = channel.unary_unary(
            METHOD,
            request_serializer=wire.MountRequest.SerializeToString,
            response_deserializer=wire.MountResponse.FromString,
        )
        try:
            answer = call(asked, timeout=timeout, wait_for_ready=True)
        except grpc.RpcError as error:
            return _status(error)
    return _accepted(answer)


def _status(error: Any) -> Refusal:  # noqa: ANN401 - RpcError is a Call too, which its type does not say
    return Refusal(error.code().name, error.details() or "without a text")


def _accepted(answer: wire.MountResponse) -> tuple[File, ...] | Refusal:
    """Judge an answer as the driver does."""
    if answer.error.code:
        return Refusal("UNKNOWN", f"mount request failed with provider error code {answer.error.code}")
    if not answer.object_version:
        return Refusal("UNKNOWN", "missing object versions")
    versions = {one.id: one.version for one in answer.object_version}
    found = tuple(
        File(one.path, one.mode & 0o777, one.contents, versions.get(one.path, ""))
        for one in sorted(answer.files, key=lambda one: one.path)
    )
    wrong = volume.trouble(found)
    return Refusal("UNKNOWN", str(wrong)) if wrong else found
