"""``keyferry demo``: both doors on this machine, through real sockets: a pod's files, then a Secret that follows AWS.

``keyferry provider`` and ``keyferry sync`` are the real ones, in processes of their own; AWS is moto's server and
Kubernetes a small stand-in; with ``--cluster`` the Secret is one of a real cluster. Exit codes: 0 all was as the demo
says, 1 something was not, 2 it could not start.
"""

import argparse
import base64
import io
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

import driver
from driver.cli import apiserver, mount, request, source, standin, syncdemo, volume
from driver.errors import InvalidInput, KeyferryError, Unusable
from driver.model import AUDIENCES, File, Pod, Store
from driver.spc import objects
from driver.spc.plan import Plan

_EXAMPLE = Path(driver.__file__).parents[1] / "deploy" / "examples" / "secretproviderclass.yaml"
_FRESHNESS = 2.0
_TIMEOUT = 20.0

_STORED: Mapping[str, str | bytes] = {
    "shop/api-key": "demo-key-4711",
    "shop/database": '{"username": "shop", "password": "old-password"}',
    "shop/mail": '{"host": "smtp.example.com", "user": "shop"}',
    "shop/keystore": bytes.fromhex("30820a2f0201033082"),
    "/shop/log-level": "info",
}
_ROTATED = "shop/database"
_NEW_VALUE = '{"username": "shop", "password": "new-password"}'
_MISSING = "shop/databse"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--example",
        type=Path,
        default=_EXAMPLE,
        metavar="FILE",
        help="the example's file (default: deploy/examples/secretproviderclass.yaml of the checkout)",
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        help=f"play the sync half in the cluster of $KUBECONFIG, in a namespace {syncdemo.NAMESPACE} made for it",
    )


def main(args: argparse.Namespace) -> int:
    """Play the demo. Raises a KeyferryError when it cannot start."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # each line when it happens, also through a pipe
        sys.stdout.reconfigure(line_buffering=True, errors="replace")
    # told to end, it ends what it started: SystemExit unwinds, a signal alone would not
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return _demo(args)
    except KeyboardInterrupt:
        print("\nstopped")
        return 130


def _demo(args: argparse.Namespace) -> int:
    started = time.monotonic()
    example = _read(args.example)
    there = "Nothing leaves this machine" if not args.cluster else "Of the cluster it touches a namespace of its own"
    print(f"A pod's secrets arrive and rotate, as files and as a Kubernetes Secret. {there}.")
    with tempfile.TemporaryDirectory(prefix="keyferry-") as name, ExitStack() as stack:
        folder = Path(name)
        cloud = standin.Cloud(stack.enter_context(_moto()), example.role.split(":")[4], example.plan.region)
        url = stack.enter_context(apiserver.serve(example.account))
        kubeconfig = folder / "kubeconfig"
        standin.write_kubeconfig(kubeconfig, url)
        chosen = syncdemo.chosen(os.environ) if args.cluster else kubeconfig
        namespace = syncdemo.Namespace(example.path.with_name("externalsecret.yaml"), chosen, stack)
        try:
            process = standin.Process(folder, cloud.url, kubeconfig, f"{_FRESHNESS:g}s")
            stack.callback(process.stop)
            _play(_Stage(example, cloud, process), url)
            syncdemo.play(namespace, cloud.url, cloud.region, folder, stack)
        except KeyferryError as error:
            print(f"\nThis is not as it should be: {error}")
            for log in sorted(folder.glob("*.log")):
                print(f"The log of keyferry {log.stem}:\n{log.read_text()[-3000:]}")
            return 1
    print(f"\nAll was as it should be, in {time.monotonic() - started:.1f} s. Next, with a file of your own:")
    print("   keyferry lint FILE        every problem of its classes, with file and line")
    print("   keyferry policy -f FILE   the least IAM policy and trust policy for it")
    print("   keyferry mount -f FILE --namespace NS --service-account SA   what a pod would get")
    return 0


@dataclass(frozen=True, slots=True)
class _Example:
    """The example's file: its class, what the class asks for, and the pod's service account and role."""

    path: Path
    chosen: source.Chosen
    plan: Plan
    account: Mapping[str, Any]

    @property
    def role(self) -> str:
        return str(self.account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"])

    def pod(self, number: int) -> Pod:
        uid = f"00000000-0000-4000-8000-{number:012}"
        return Pod(str(self.account["metadata"]["namespace"]), f"shop-{number}", uid)


def _read(path: Path) -> _Example:
    if not path.is_file():
        remedy = "run it from a checkout, or name the file with --example"
        raise InvalidInput(str(path), "the example is not there", remedy)
    chosen = source.choose(str(path), "")
    plan = objects.parse(chosen.parameters, region="")
    accounts = (found for found in yaml.safe_load_all(path.read_text()) if found and found["kind"] == "ServiceAccount")
    account = next(accounts, None)
    if account is None or not plan.region or {want.ref.name for want in plan.wants} != set(_STORED):
        cause = "it is not the demo's example: other objects, or no region or service account"
        raise InvalidInput(str(path), cause, "use deploy/examples/secretproviderclass.yaml unchanged")
    return _Example(path, chosen, plan, account)


@contextmanager
def _moto() -> Iterator[str]:
    """Start moto's server in this process and yield its URL."""
    try:
        from moto.server import ThreadedMotoServer  # noqa: PLC0415 - only the demo needs it, and it may not be there
    except ImportError:
        remedy = "run make setup in a checkout, or pip install 'keyferry[demo]'"
        raise Unusable("demo", "moto, the AWS stand-in, is not installed", remedy) from None
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield "http://{}:{}".format(*server.get_host_and_port())
    finally:
        server.stop()


@dataclass(frozen=True, slots=True)
class _Stage:
    example: _Example
    cloud: standin.Cloud
    process: standin.Process

    def store(self, name: str, value: str | bytes) -> None:
        """Create a secret or parameter at the AWS stand-in."""
        store = next(want.ref.store for want in self.example.plan.wants if want.ref.name == name)
        if store is Store.PARAMETER:
            self.cloud.call("ssm", "PutParameter", {"Name": name, "Value": value, "Type": "SecureString"})
        elif isinstance(value, bytes):
            binary = base64.b64encode(value).decode()
            self.cloud.call("secretsmanager", "CreateSecret", {"Name": name, "SecretBinary": binary})
        else:
            self.cloud.call("secretsmanager", "CreateSecret", {"Name": name, "SecretString": value})

    def mount(self, pod: Pod, more: str = "") -> tuple[File, ...] | mount.Refusal:
        """Make the driver's call for a pod of the example; ``more`` is added to the class's objects."""
        chosen = self.example.chosen
        account = str(self.example.account["metadata"]["name"])
        parameters = {**chosen.parameters, "objects": chosen.parameters["objects"] + more}
        token = standin.token(pod, account, AUDIENCES[self.example.plan.method])
        asked = request.mount_request(parameters, chosen.name, pod, account, [token])
        return mount.ask(self.process.socket, asked, _TIMEOUT)

    def files(self, number: int) -> tuple[File, ...]:
        """Mount for a pod and return the files, with versions short enough to read. Raises Unusable for a refusal."""
        outcome = self.mount(self.example.pod(number))
        if isinstance(outcome, mount.Refusal):
            raise Unusable("demo", f"a mount was refused with {outcome.code}", outcome.text)
        return tuple(msgspec.structs.replace(file, version=_short(file.version)) for file in outcome)


def _short(version: str) -> str:
    """Return the start of the AWS version and the start of the digest of how the file is made."""
    of_aws, _, made = version.rpartition("-")
    return f"{of_aws[:8]}-{made[:4]}"


def _play(stage: _Stage, api_server: str) -> None:
    _set_up(stage, api_server)
    before = _first_mount(stage)
    _second_pod(stage, before)
    _rotate(stage, before)
    _refuse(stage)
    code = stage.process.stop()
    print(f"\n6. SIGTERM: the provider ended with exit code {code}")
    standin.expect(code == 0, "the provider did not end cleanly")
    standin.expect(not stage.process.socket.exists(), "the provider left its socket behind")


def _set_up(stage: _Stage, api_server: str) -> None:
    for name, value in _STORED.items():
        stage.store(name, value)
    stage.process.wait_until_served()
    print("\n1. The stage")
    print(f"   AWS         {stage.cloud.url} (moto), with {len(_STORED)} secrets and parameters of the demo")
    print(f"   Kubernetes  {api_server}, says which role a service account has")
    print(f"   keyferry    process {stage.process.pid}, serves {stage.process.socket}")


def _first_mount(stage: _Stage) -> tuple[File, ...]:
    print(f"\n2. Pod shop-1 starts: the driver's Mount call for the class of {stage.example.path.name}")
    started = time.monotonic()
    files = stage.files(1)
    elapsed = time.monotonic() - started
    print(_indented(volume.tree(files, values=True)))
    print(f"   {len(files)} files after {elapsed * 1000:.0f} ms. Only the demo shows values: they are its own")
    found = {file.path: file for file in files}
    for planned in stage.example.plan.objects:
        stored = _STORED[planned.subject]
        expected = stored if isinstance(stored, bytes) else stored.encode()
        standin.expect(found[planned.file].content == expected, f"the file {planned.file} is not what AWS has")
    return files


def _second_pod(stage: _Stage, before: tuple[File, ...]) -> None:
    print("\n3. Pod shop-2 of the same service account starts")
    started = time.monotonic()
    files = stage.files(2)
    elapsed = time.monotonic() - started
    records = stage.process.audit("shop-2", len(_STORED))
    cached = sum(record["source"] == "cache" for record in records)
    print(
        f"   the same files after {elapsed * 1000:.0f} ms, {cached} of {len(records)} reads from memory. The audit log:"
    )
    for record in records:
        name = record["secret"].split(":", 5)[-1]
        print(f"   {record['pod']} as {record['service_account']} read {name} from {record['source']}")
    standin.expect(files == before, "two pods of one identity got different files")
    standin.expect(cached == len(records) == len(_STORED), "AWS was asked again for what was just read")


def _rotate(stage: _Stage, before: tuple[File, ...]) -> None:
    print(f"\n4. {_ROTATED} is rotated at AWS, and the kubelet asks again for shop-1")
    stage.cloud.call("secretsmanager", "PutSecretValue", {"SecretId": _ROTATED, "SecretString": _NEW_VALUE})
    time.sleep(_FRESHNESS)  # until then a value counts as fresh
    after = stage.files(1)
    pairs = list(zip(before, after, strict=True))
    for old, new in pairs:
        if old.version != new.version:
            print(f"   {new.path:<18} {old.version} → {new.version}   {_change(old, new)}")
    kept = [new for old, new in pairs if old == new]
    print(f"   {len(kept)} other files keep bytes and version. A version begins with that of the secret at AWS")
    standin.expect(
        json.loads(_NEW_VALUE)["password"].encode()
        in {new.content for old, new in pairs if old.content != new.content},
        "the new password did not arrive",
    )
    standin.expect(
        all((old == new) is (old.version == new.version) for old, new in pairs), "versions do not tell a change"
    )


def _change(old: File, new: File) -> str:
    if old.content == new.content:
        return "the same bytes"
    texts = [volume.text_of(file.content) for file in (old, new)]
    return " → ".join(texts) if max(map(len, texts)) < 20 else "other bytes"


def _refuse(stage: _Stage) -> None:
    print(f"\n5. Somebody adds {_MISSING} to the class. The pod's event then reads")
    outcome = stage.mount(stage.example.pod(1), more=f"\n- objectName: {_MISSING}\n  objectType: secretsmanager\n")
    if not isinstance(outcome, mount.Refusal):
        raise Unusable("demo", "a class with a missing secret was mounted", "please report it")
    print(f"   {outcome.code}\n{_indented(mount.shown(outcome))}")
    print("   All or nothing: a pod that runs keeps its files, a new one does not start with half of them")
    standin.expect(
        outcome.code == "NOT_FOUND" and _MISSING in outcome.text, "the refusal does not name the missing secret"
    )


def _indented(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
