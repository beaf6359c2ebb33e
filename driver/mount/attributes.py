"""What the driver sends with a Mount: its attributes, the pod's identity in them, and the token that must bear it out.

Follows driver 1.6.0 (``nodeserver.go``) for the request and the Kubernetes API page "TokenRequest" for the claims. The
signature of a token is for AWS to verify; here its claims must agree with the attributes before AWS is asked anything.
Pure: no I/O, no clock. No message has a token or any part of one.
"""

import binascii
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal, cast

import msgspec

from driver.errors import IdentityRefused, InvalidInput
from driver.model import AUDIENCES, Access, Pod, Token
from driver.spc.plan import Plan

TOKENS = "csi.storage.k8s.io/serviceAccount.tokens"
"""The attribute with the tokens, as JSON: audience → token."""

LEEWAY = 30.0
"""Seconds by which the clocks of this node and the API server may differ."""

TOKEN_LIMIT = 16 * 1024
"""Longest token in characters."""

_OURS = "csi.storage.k8s.io/"
_POD_NAME = _OURS + "pod.name"
_POD_NAMESPACE = _OURS + "pod.namespace"
_POD_UID = _OURS + "pod.uid"
_SERVICE_ACCOUNT = _OURS + "serviceAccount.name"
_LIST_AUDIENCE = "list it in tokenRequests of the CSIDriver object (Helm value tokenRequests of the driver's chart)"


class Request(msgspec.Struct, frozen=True):
    """A Mount request, read. ``parameters`` are all attributes but the kubelet's own; ``tokens`` is JSON text."""

    parameters: dict[str, str]
    pod: Pod
    service_account: str
    tokens: Token | None
    provider_class: str
    default_mode: int


class _Bound(msgspec.Struct):
    """An object that a token is bound to."""

    name: str = ""
    uid: str = ""


class _Kubernetes(msgspec.Struct):
    namespace: str = ""
    serviceaccount: _Bound | None = None
    pod: _Bound | None = None


class _Claims(msgspec.Struct):
    sub: str = ""
    aud: str | list[str] = ""
    exp: float | None = None
    kubernetes: _Kubernetes | None = msgspec.field(name="kubernetes.io", default=None)


class _Issued(msgspec.Struct):
    token: str = ""


_read_claims = msgspec.json.Decoder(_Claims).decode
_read_tokens = msgspec.json.Decoder(dict[str, _Issued | None]).decode


def _pairs(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return pairs


# Keeps repeated keys, which a mapping would hide: what another reader of the same text takes could differ
_read_attributes = json.JSONDecoder(object_pairs_hook=_pairs).decode


def read(attributes_json: str, permission: str) -> Request:
    """Read a request's ``attributes`` and ``permission`` (a decimal number as JSON).

    Raises ``InvalidInput`` for text that is not an object of texts, for a repeated key, and when the pod is not told.
    """
    attributes = _attributes(attributes_json)
    return Request(
        pod=Pod(
            namespace=_told(attributes, _POD_NAMESPACE),
            name=_told(attributes, _POD_NAME),
            uid=_told(attributes, _POD_UID),
        ),
        service_account=_told(attributes, _SERVICE_ACCOUNT),
        tokens=Token(text) if (text := attributes.get(TOKENS)) else None,
        provider_class=attributes.get("secretProviderClass", ""),
        parameters={name: value for name, value in attributes.items() if not name.startswith(_OURS)},
        default_mode=_mode(permission),
    )


def _attributes(text: str) -> dict[str, str]:
    pairs = None
    with suppress(ValueError, RecursionError):
        pairs = _read_attributes(text)
    # An object comes as a list of pairs; a list of the text's own must not pass for one
    if not isinstance(pairs, list) or not text.lstrip().startswith("{"):
        remedy = "send what driver 1.6.0 sends: a JSON object of texts"
        raise InvalidInput("attributes", "failed to unmarshal attributes: not a JSON object", remedy)
    attributes: dict[str, str] = {}
    for name, value in pairs:
        if name in attributes:
            raise InvalidInput("attributes", f"{_shown(name)} is there twice", "send every key once")
        if value is not None and not isinstance(value, str):
            raise InvalidInput("attributes", f"the value of {_shown(name)} is not a text", "write it in quotes")
        attributes[name] = value or ""
    return attributes


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:100])


def _told(attributes: Mapping[str, str], name: str) -> str:
    value = attributes.get(name, "")
    if not value:
        raise InvalidInput(name, "not in the request", "set podInfoOnMount: true in the CSIDriver object")
    return value


def _mode(permission: str) -> int:
    # Never more than a few digits, so no decoder is needed
    if not (permission.isascii() and permission.isdecimal() and len(permission) <= 10):
        cause = "failed to unmarshal file permission: not a decimal number"
        raise InvalidInput("permission", cause, 'send it as driver 1.6.0 does: "420" is 0644')
    return int(permission) & 0o777


def access(request: Request, plan: Plan, now: float) -> Access:
    """Return the identity that a request proves, for the method that the plan asks for. ``now`` is wall-clock seconds.

    Raises ``IdentityRefused`` for a token that is missing, malformed, expired, for another audience, or of another
    service account or pod than the attributes say.
    """
    token = _token(request, AUDIENCES[plan.method])
    claims = _claims(token, request)
    _check_use(claims, AUDIENCES[plan.method], request, now)
    _check_owner(claims, request)
    account = claims.kubernetes.serviceaccount if claims.kubernetes else None
    return Access(
        method=plan.method,
        namespace=request.pod.namespace,
        service_account=request.service_account,
        uid=account.uid if account else "",
        region=plan.region,
        failover_region=plan.failover_region,
        token=Token(token),
        address_type=cast("Literal['auto', 'ipv4', 'ipv6']", plan.address_type),
        pod=request.pod,
    )


def _subject(request: Request) -> str:
    return f"service account {request.pod.namespace}/{request.service_account}"


def _token(request: Request, audience: str) -> str:
    if request.tokens is None:
        cause = f"serviceAccount.tokens not provided: no token for audience {audience}"
        raise IdentityRefused(_subject(request), cause, _LIST_AUDIENCE)
    issued = None
    with suppress(msgspec.MsgspecError, RecursionError):
        issued = _read_tokens(request.tokens.reveal())
    if issued is None:
        remedy = "set tokenRequests in the CSIDriver object; no volume attribute or parameter may set them"
        raise IdentityRefused(_subject(request), "failed to parse serviceAccount.tokens", remedy)
    found = issued.get(audience)
    if found is None:
        cause = f"token for audience {audience} not found"
        raise IdentityRefused(_subject(request), cause, _LIST_AUDIENCE)
    if not found.token:
        raise IdentityRefused(_subject(request), f"token for audience {audience} is empty", _LIST_AUDIENCE)
    return found.token


def _claims(token: str, request: Request) -> _Claims:
    claims = None
    # The foreign error could quote the token: it must not even be the context of ours
    with suppress(ValueError, msgspec.MsgspecError, RecursionError):
        claims = _read_claims(_payload(token))
    if claims is None:
        remedy = "let the kubelet provide it: tokenRequests of the CSIDriver object"
        raise IdentityRefused(_subject(request), "its token is not a JWT of Kubernetes", remedy)
    return claims


def _payload(token: str) -> bytes:
    """Return the bytes of a JWT's second part (RFC 7519). Raises ``ValueError``."""
    if len(token) > TOKEN_LIMIT:
        raise ValueError
    _, payload, _ = token.split(".")
    if "+" in payload or "/" in payload:
        raise ValueError
    text = payload.replace("-", "+").replace("_", "/")
    return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)


def _check_use(claims: _Claims, audience: str, request: Request, now: float) -> None:
    audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if audience not in audiences:
        cause = f"its token is not for audience {audience}"
        raise IdentityRefused(_subject(request), cause, _LIST_AUDIENCE)
    if claims.exp is None or claims.exp + LEEWAY <= now:
        remedy = "check the node's clock; the kubelet renews a token before it expires"
        raise IdentityRefused(_subject(request), "its token has expired", remedy)


def _check_owner(claims: _Claims, request: Request) -> None:
    pod, account = request.pod, request.service_account
    kubernetes = claims.kubernetes
    same = claims.sub == f"system:serviceaccount:{pod.namespace}:{account}"
    if kubernetes and same:
        owner = kubernetes.serviceaccount
        same = kubernetes.namespace == pod.namespace and owner is not None and owner.name == account
    if not same:
        cause = "its token belongs to another service account"
        remedy = "remove csi.storage.k8s.io/ keys from volume attributes and parameters"
        raise IdentityRefused(_subject(request), cause, remedy)
    bound = kubernetes.pod if kubernetes else None
    if bound and (bound.name not in {"", pod.name} or bound.uid not in {"", pod.uid}):
        cause = f"its token belongs to another pod than {_shown(pod.name)}"
        raise IdentityRefused(_subject(request), cause, "let the kubelet provide the token, nothing else")
