"""The driver's side of a Mount: requests as Secrets Store CSI driver 1.6.0 sends them, and a channel like its."""

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import yaml

from driver.wire import csi_provider_pb2 as wire

STS = "sts.amazonaws.com"
AGENT = "pods.eks.amazonaws.com"
MOUNT = "/v1alpha1.CSIDriverProvider/Mount"


def token(
    namespace: str = "shop",
    account: str = "app",
    audience: str = STS,
    *,
    lifetime: float = 3600,
    pod: tuple[str, str] | None = None,
    **changes: Any,
) -> str:
    """Return an unsigned service account token; ``changes`` replace claims."""
    bound: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": account, "uid": f"uid-{account}"}}
    if pod:
        bound["pod"] = {"name": pod[0], "uid": pod[1]}
    claims = {
        "aud": [audience],
        "exp": int(time.time() + lifetime),
        "iat": int(time.time()),
        "iss": "https://oidc.test",
        "kubernetes.io": bound,
        "sub": f"system:serviceaccount:{namespace}:{account}",
        **changes,
    }
    parts = (json.dumps({"alg": "RS256"}).encode(), json.dumps(claims).encode(), b"signature")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def tokens(namespace: str = "shop", account: str = "app", **more: Any) -> str:
    """Return the tokens attribute with both audiences."""
    return json.dumps(
        {
            audience: {
                "token": token(namespace, account, audience, **more),
                "expirationTimestamp": "2999-01-01T00:00:00Z",
            }
            for audience in (STS, AGENT)
        }
    )


def attributes(
    objects: str | list[dict[str, Any]],
    *,
    namespace: str = "shop",
    account: str = "app",
    pod: str = "app-1",
    **parameters: str,
) -> dict[str, str]:
    """Return a Mount's attributes for a pod and a class with these objects and parameters."""
    return {
        "objects": objects if isinstance(objects, str) else yaml.safe_dump(objects, sort_keys=False),
        "csi.storage.k8s.io/pod.name": pod,
        "csi.storage.k8s.io/pod.namespace": namespace,
        "csi.storage.k8s.io/pod.uid": f"uid-{pod}",
        "csi.storage.k8s.io/serviceAccount.name": account,
        "csi.storage.k8s.io/serviceAccount.tokens": tokens(namespace, account),
        "csi.storage.k8s.io/ephemeral": "true",
        "secretProviderClass": "class",
        "region": "us-west-2",
        **parameters,
    }


def request(
    given: Mapping[str, str], target: str = "/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/v/mount"
) -> bytes:
    """Return the request's bytes: sorted attributes, no secrets, permission 0644."""
    text = json.dumps(dict(given), sort_keys=True, separators=(",", ":"))
    message = wire.MountRequest(attributes=text, secrets="null", target_path=target, permission="420")
    return message.SerializeToString()


def channel(socket: Path | str) -> grpc.Channel:
    """Return a channel as the driver dials it: authority localhost, answers of any size (the driver takes 4 MiB)."""
    options = [("grpc.default_authority", "localhost"), ("grpc.max_receive_message_length", -1)]
    return grpc.insecure_channel(f"unix:{socket}", options=options)


def mount(dialled: grpc.Channel, given: Mapping[str, str], timeout: float = 30) -> dict[str, wire.File]:
    """Mount and return the files by path. Raises grpc.RpcError."""
    answer = mount_raw(dialled, request(given), timeout)
    return {file.path: file for file in answer.files}


def mount_raw(dialled: grpc.Channel, raw: bytes, timeout: float = 30) -> wire.MountResponse:
    """Send bytes as a Mount and return the answer. Raises grpc.RpcError."""
    call = dialled.unary_unary(MOUNT, request_serializer=bytes, response_deserializer=wire.MountResponse.FromString)
    answer: wire.MountResponse = call(raw, timeout=timeout, wait_for_ready=True)
    return answer
