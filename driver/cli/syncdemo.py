"""The demo's second half: an ExternalSecret, an empty Secret, and a Deployment whose variables come from it."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import urllib3
import yaml

from driver.cli.kubectl import Json, Kubectl
from driver.cli.standin import Cloud, SyncProcess, expect
from driver.errors import InvalidInput, Unusable
from driver.kube import from_kubeconfig

NAMESPACE = "keyferry-demo"
"""Made for the demo and removed after it."""

_INTERVAL = 1.0
_ACCOUNT = "123456789012"
"""Where moto puts the caller's own credentials."""

_KEY = "my-secret"
_VALUE = {"username": "admin", "password": "1234"}
_NEW_VALUE = {"username": "admin", "password": "5678"}
_KES_SECRET = "my-external-secret"  # noqa: S105 - a Secret's name
_SECRET = "my-external-secret-data"  # noqa: S105 - a Secret's name

T = TypeVar("T")


def chosen(environ: Mapping[str, str]) -> Path:
    """Return the kubeconfig of the user's cluster. Raises InvalidInput without one."""
    if not environ.get("KUBECONFIG"):
        raise InvalidInput("--cluster", "KUBECONFIG is not set", "set it to the kubeconfig of a cluster to try it in")
    return Path(environ["KUBECONFIG"])


class Namespace:
    """A namespace for the demo, in which the API server has accepted the example's manifests (dry run).

    It is removed when ``stack`` ends. Raises a KeyferryError when the demo cannot be played there.
    """

    def __init__(self, example: Path, kubeconfig: Path, stack: ExitStack) -> None:
        self.manifests = _read(example)
        self.kubeconfig = kubeconfig
        self.cluster = from_kubeconfig(kubeconfig)
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the kubeconfig says how it is checked
        self.kubectl = Kubectl(self.cluster, NAMESPACE)
        stack.callback(self.kubectl.close)
        if self.kubectl.all("ExternalSecret") is None:
            remedy = "kubectl apply --server-side -f deploy/chart/crd/externalsecrets.yaml"
            raise InvalidInput(str(kubeconfig), "its cluster has no ExternalSecrets: the CRD is not there", remedy)
        self.kubectl.create_namespace()
        stack.callback(self.kubectl.delete_namespace)
        for manifest in self.manifests.values():
            self.kubectl.apply(manifest, dry_run=True)


def _read(path: Path) -> dict[str, Json]:
    """Return the example's manifests by their kinds."""
    if not path.is_file():
        raise InvalidInput(str(path), "the example is not there", "run it from a checkout")
    found = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(path.read_text()) if manifest}
    if set(found) != {"ExternalSecret", "Secret", "Deployment"}:
        raise InvalidInput(str(path), "it is not the demo's example", "use the checkout's file unchanged")
    return found


@dataclass(frozen=True, slots=True)
class _Stage:
    cloud: Cloud
    kubectl: Kubectl
    process: SyncProcess
    manifests: Mapping[str, Json]

    def variables(self) -> dict[str, str] | str:
        """Return what a container of the Deployment gets now, or the kubelet's reason for not starting it."""
        return variables(self.manifests["Deployment"], NAMESPACE, lambda name: self.kubectl.get("Secret", name))

    def has(self, value: Mapping[str, str]) -> bool:
        """Tell whether a container gets a value of AWS."""
        return self.variables() == {f"MY_{name.upper()}": text for name, text in value.items()}


def variables(
    deployment: Mapping[str, Any], namespace: str, secret: Callable[[str], Json | None]
) -> dict[str, str] | str:
    """Resolve the ``secretKeyRef`` of a Deployment's first container as the kubelet does when it starts one."""
    found: dict[str, str] = {}
    for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]:
        asked = variable["valueFrom"]["secretKeyRef"]
        live = secret(asked["name"])
        if live is None:
            return f'CreateContainerConfigError: secret "{asked["name"]}" not found'
        if asked["key"] not in live.get("data", {}):
            return f"CreateContainerConfigError: couldn't find key {asked['key']} in Secret {namespace}/{asked['name']}"
        found[variable["name"]] = base64.b64decode(live["data"][asked["key"]]).decode()
    return found


def _until(seen: Callable[[], T | None], otherwise: str, seconds: float) -> tuple[T, str]:
    """Return what is seen, once it is something, and after how long. Raises Unusable when it does not come."""
    start = time.monotonic()
    while not (found := seen()):
        if time.monotonic() - start > seconds:
            raise Unusable("demo", f"{otherwise} within {seconds:g} s", "please report it, with the log below")
        time.sleep(0.01)
    return found, f"{1000 * (time.monotonic() - start):.0f} ms"


def play(namespace: Namespace, aws: str, region: str, folder: Path, stack: ExitStack) -> None:
    """Play the second half. Raises a KeyferryError when something is not as it says."""
    cloud = Cloud(aws, _ACCOUNT, region)
    cloud.call("secretsmanager", "CreateSecret", {"Name": _KEY, "SecretString": json.dumps(_VALUE)})
    process = SyncProcess(folder, cloud, namespace.kubeconfig, NAMESPACE, _INTERVAL)
    stack.callback(process.stop)
    process.wait_until_served()
    print("\n7. The second door: a Kubernetes Secret that follows AWS, for pods that want variables instead of files")
    print(f"   AWS         {_KEY} = {json.dumps(_VALUE)}")
    print(f"   Kubernetes  {namespace.cluster.server}, namespace {NAMESPACE}")
    print(f"   keyferry    process {process.pid}, asks AWS every {_INTERVAL:g} s")
    stage = _Stage(cloud, namespace.kubectl, process, namespace.manifests)
    _external_secret(stage)
    _empty_secret(stage)
    _rotate(stage)
    _edit(stage)
    _rest(stage)
    code = process.stop()
    print(f"\n13. SIGTERM: keyferry sync ended with exit code {code}. Its namespace goes with the demo")
    expect(code == 0, "keyferry sync did not end cleanly")


def _external_secret(stage: _Stage) -> None:
    print(f"\n8. kubectl apply: ExternalSecret {_KES_SECRET}, and a Deployment that wants keys of Secret {_SECRET}")
    stage.kubectl.apply(stage.manifests["ExternalSecret"])
    stage.kubectl.apply(stage.manifests["Deployment"])
    live, took = _until(lambda: stage.kubectl.get("Secret", _KES_SECRET), f"no Secret {_KES_SECRET} came", 2)
    print(f"   Secret {_KES_SECRET} after {took}, as with kubernetes-external-secrets:")
    for key, text in live["data"].items():
        print(f"   {key} = {base64.b64decode(text).decode()}")
    expect(
        {key: json.loads(base64.b64decode(text)) for key, text in live["data"].items()} == {_SECRET: _VALUE},
        "it is not what AWS has",
    )
    print(f"   A container: {stage.variables()}")
    expect(isinstance(stage.variables(), str), f"a container starts without a Secret {_SECRET}")
    message, _ = _until(lambda: _hint(stage.kubectl), "no Event tells what to do", 2)
    print(f"   The ExternalSecret's event: {message}")


def _hint(kubectl: Kubectl) -> str:
    events = kubectl.all("Event") or []
    return next((str(found["message"]) for found in events if found.get("reason") == "NoSecretToFill"), "")


def _empty_secret(stage: _Stage) -> None:
    print(f"\n9. kubectl apply: the empty Secret {_SECRET}")
    stage.kubectl.apply(stage.manifests["Secret"])
    _, took = _until(lambda: stage.has(_VALUE), "the empty Secret was not filled", 2)
    print(f"   A container after {took}: {_shown(stage)}. Any other order of the three gives the same")


def _rotate(stage: _Stage) -> None:
    print(f"\n10. {_KEY} is rotated at AWS")
    body = {"SecretId": _KEY, "SecretString": json.dumps(_NEW_VALUE)}
    stage.cloud.call("secretsmanager", "PutSecretValue", body)
    _, took = _until(lambda: stage.has(_NEW_VALUE), "the Secret did not follow", _INTERVAL + 2)
    print(f"   A container after {took}: {_shown(stage)}")
    print("   One that runs keeps what it started with: keyferry sync --restarts rolls such Deployments out")


def _edit(stage: _Stage) -> None:
    print(f"\n11. Somebody edits Secret {_SECRET} by hand: another password, and a key of their own")
    mine = base64.b64encode(b"by hand").decode()
    stage.kubectl.edit("Secret", _SECRET, {"data": {"password": mine, "note": mine}})
    _, took = _until(lambda: stage.has(_NEW_VALUE), "the edit was not healed", 1)
    live = stage.kubectl.get("Secret", _SECRET) or {}
    print(f"   Healed after {took}: {_shown(stage)}. The key of their own stays")
    expect(live["data"].get("note") == mine, "a key that is not keyferry's was touched")


def _rest(stage: _Stage) -> None:
    print("\n12. Nothing changes, and AWS is asked twice more")
    before = _versions(stage.kubectl)
    time.sleep(2 * _INTERVAL)
    print("   The same resourceVersions: keyferry writes only what is new")
    expect(_versions(stage.kubectl) == before, "something was written although nothing was new")


def _versions(kubectl: Kubectl) -> list[str]:
    events = [one for one in kubectl.all("Event") or [] if one["involvedObject"]["kind"] == "ExternalSecret"]
    found = [*(kubectl.all("Secret") or []), *(kubectl.all("ExternalSecret") or []), *events]
    return [str(one["metadata"]["resourceVersion"]) for one in found]


def _shown(stage: _Stage) -> str:
    found = stage.variables()
    return found if isinstance(found, str) else "  ".join(f"{name}={text}" for name, text in found.items())
