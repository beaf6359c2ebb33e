"""A Mount request as driver 1.6.0 sends it (``nodeserver.go``, ``provider_client.go``), byte for byte."""

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from driver.errors import InvalidInput
from driver.model import Pod, Token
from driver.mount.attributes import TOKENS
from driver.wire import csi_provider_pb2 as wire

_OURS = "csi.storage.k8s.io/"
_HTML = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


class Bound(msgspec.Struct):
    """A pod that a token is bound to."""

    name: str = ""
    uid: str = ""


class _Kubernetes(msgspec.Struct):
    pod: Bound = msgspec.field(default_factory=Bound)


class Claims(msgspec.Struct):
    """What a service account token says of itself. Its signature is not checked: that is for AWS to do."""

    aud: str | list[str] = ""
    exp: float = 0.0
    kubernetes: _Kubernetes = msgspec.field(name="kubernetes.io", default_factory=_Kubernetes)

    @property
    def audiences(self) -> list[str]:
        """The services that the token is for."""
        return [self.aud] if isinstance(self.aud, str) else self.aud


def claims(token: Token) -> Claims:
    """Return a token's claims (RFC 7519). Raises InvalidInput, without any part of the token."""
    try:
        payload = token.reveal().split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=Claims)
    except (IndexError, ValueError, msgspec.MsgspecError):
        remedy = "make one with kubectl create token SERVICEACCOUNT --audience AUDIENCE"
        raise InvalidInput("token", "it is no token of Kubernetes", remedy) from None


def tokens(given: Iterable[Token]) -> str:
    """Return the attribute with tokens, as the kubelet writes it: JSON, audience → token and expiry."""
    by_audience: dict[str, object] = {}
    for token in given:
        found = claims(token)
        expiry = datetime.fromtimestamp(int(found.exp), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for audience in found.audiences:
            by_audience[audience] = {"token": token.reveal(), "expirationTimestamp": expiry}
    return _go_json(by_audience)


def mount_request(
    parameters: Mapping[str, str], class_name: str, pod: Pod, service_account: str, given: Iterable[Token]
) -> wire.MountRequest:
    """Return the request for a pod's inline volume of a class. Raises InvalidInput for what is no token."""
    of_the_kubelet = {
        _OURS + "pod.name": pod.name,
        _OURS + "pod.namespace": pod.namespace,
        _OURS + "pod.uid": pod.uid,
        _OURS + "serviceAccount.name": service_account,
        _OURS + "ephemeral": "true",
        "secretProviderClass": class_name,
        TOKENS: tokens(given),
    }
    return wire.MountRequest(
        attributes=_go_json(dict(sorted({**parameters, **of_the_kubelet}.items()))),
        secrets="null",  # a nil map in Go: no nodePublishSecretRef
        target_path=f"/var/lib/kubelet/pods/{pod.uid}/volumes/kubernetes.io~csi/secrets/mount",
        permission="420",  # 0644, as a decimal number
    )


def _go_json(document: object) -> str:
    """Return compact JSON as Go's ``json.Marshal`` writes it: UTF-8 as it is, HTML signs escaped."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).translate(_HTML)
