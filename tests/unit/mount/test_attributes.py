import base64
import contextlib
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import IdentityRefused, InvalidInput, KeyferryError
from driver.model import AUDIENCES, Access, AuthMethod, Pod, Token
from driver.mount.attributes import TOKENS, Request, access, read
from driver.spc.plan import Plan

NOW = 1_700_000_000.0
STS = "sts.amazonaws.com"
PODS = "pods.eks.amazonaws.com"
CANARY = "c4n4ry"


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def claims(**changes: Any) -> dict[str, Any]:
    return {
        "aud": [STS],
        "exp": NOW + 3_600,
        "iss": "https://kubernetes.default.svc",
        "sub": "system:serviceaccount:shop:web",
        "kubernetes.io": {
            "namespace": "shop",
            "pod": {"name": "web-0", "uid": "pod-uid"},
            "serviceaccount": {"name": "web", "uid": "sa-uid"},
        },
    } | changes


def bound(**changes: Any) -> dict[str, Any]:
    return claims(**{"kubernetes.io": claims()["kubernetes.io"] | changes})


def jwt(body: object) -> str:
    return f"{part({'alg': 'RS256'})}.{part(body)}.{CANARY}"


def issued(token: str, audience: str = STS) -> str:
    return json.dumps({audience: {"token": token, "expirationTimestamp": "2020-01-01T00:00:00Z"}})


ATTRIBUTES = {
    "csi.storage.k8s.io/ephemeral": "true",
    "csi.storage.k8s.io/pod.name": "web-0",
    "csi.storage.k8s.io/pod.namespace": "shop",
    "csi.storage.k8s.io/pod.uid": "pod-uid",
    "csi.storage.k8s.io/serviceAccount.name": "web",
    TOKENS: issued(jwt(claims())),
    "objects": "- objectName: a\n  objectType: secretsmanager\n",
    "region": "eu-west-1",
    "secretProviderClass": "shop-secrets",
}
PLAN = Plan(
    method=AuthMethod.IRSA, address_type="ipv6", region="eu-west-1", failover_region="eu-west-2", objects=(), wants=()
)
POD_IDENTITY = Plan(
    method=AuthMethod.POD_IDENTITY, address_type="auto", region="", failover_region="", objects=(), wants=()
)


def request(tokens: str | None = None, **changes: str) -> Request:
    told = ATTRIBUTES | changes | ({TOKENS: tokens} if tokens is not None else {})
    return read(json.dumps(told), "420")


def test_a_request_is_read_into_parameters_pod_and_token() -> None:
    found = request()
    assert found.pod == Pod(namespace="shop", name="web-0", uid="pod-uid")
    assert (found.service_account, found.provider_class, found.default_mode) == ("web", "shop-secrets", 0o644)
    assert found.parameters == {k: v for k, v in ATTRIBUTES.items() if not k.startswith("csi.storage.k8s.io/")}


def test_a_request_does_not_show_its_tokens() -> None:
    assert CANARY not in repr(request())


def test_a_null_counts_as_empty() -> None:
    assert read(json.dumps(ATTRIBUTES | {"region": None}), "420").parameters["region"] == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "attributes: failed to unmarshal attributes: not a JSON object"),
        ("null", "not a JSON object"),
        ("[]", "not a JSON object"),
        ('[["a", "b"]]', "not a JSON object"),
        ('"a"', "not a JSON object"),
        ("{", "not a JSON object"),
        ("{}{}", "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ('{"objects": 3}', "the value of objects is not a text"),
        ('{"objects": []}', "the value of objects is not a text"),
        ('{"objects": {}}', "the value of objects is not a text"),
        ('{"objects": true}', "the value of objects is not a text"),
        ('{"a": "1", "a": "1"}', "a is there twice"),
        ('{"csi.storage.k8s.io/pod.uid": "1", "csi.storage.k8s.io\\/pod.uid": "2"}', "pod.uid is there twice"),
        ('{"csi.storage.k8s.io/pod.uid": "1", "\\u0063si.storage.k8s.io/pod.uid": "2"}', "pod.uid is there twice"),
        ("{}", "csi.storage.k8s.io/pod.namespace: not in the request: set podInfoOnMount: true"),
    ],
    ids=lambda text: text[:40],
)
def test_attributes_that_are_not_the_drivers_are_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(text, "420")
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["pod.name", "pod.namespace", "pod.uid", "serviceAccount.name"])
def test_a_request_must_tell_its_pod(name: str) -> None:
    with pytest.raises(InvalidInput, match="podInfoOnMount"):
        request(**{f"csi.storage.k8s.io/{name}": ""})


@pytest.mark.parametrize(("permission", "mode"), [("420", 0o644), ("384", 0o600), ("0", 0), ("4294967295", 0o777)])
def test_the_permission_is_a_decimal_number(permission: str, mode: int) -> None:
    assert read(json.dumps(ATTRIBUTES), permission).default_mode == mode


@pytest.mark.parametrize("permission", ["", "-1", "0x1", "4.2", '"420"', "null", "٤٢٠", "9" * 5_000])
def test_a_permission_that_is_no_number_is_refused(permission: str) -> None:
    with pytest.raises(InvalidInput, match="failed to unmarshal file permission"):
        read(json.dumps(ATTRIBUTES), permission)


def test_a_token_that_agrees_with_the_attributes_gives_access() -> None:
    token = jwt(claims())
    assert access(request(issued(token)), PLAN, NOW) == Access(
        method=AuthMethod.IRSA,
        namespace="shop",
        service_account="web",
        uid="sa-uid",
        region="eu-west-1",
        failover_region="eu-west-2",
        token=Token(token),
        address_type="ipv6",
        pod=Pod(namespace="shop", name="web-0", uid="pod-uid"),
    )


def test_pod_identity_takes_the_token_for_the_agent() -> None:
    tokens = json.dumps({STS: {"token": "x"}, PODS: {"token": (token := jwt(claims(aud=PODS)))}})
    found = access(request(tokens), POD_IDENTITY, NOW)
    assert (found.method, found.token) == (AuthMethod.POD_IDENTITY, Token(token))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(claims(aud=STS), id="one audience as text"),
        pytest.param(claims(aud=["other", STS]), id="two audiences"),
        pytest.param(claims(exp=NOW - 29), id="expired within the leeway"),
        pytest.param(claims(exp=NOW + 0.5), id="fraction of a second"),
        pytest.param(bound(pod=None), id="not bound to a pod"),
        pytest.param(bound(pod={"uid": "pod-uid"}), id="bound by uid alone"),
        pytest.param({k: v for k, v in claims().items() if k != "kubernetes.io"}, id="subject alone"),
    ],
)
def test_claims_that_are_enough(body: dict[str, Any]) -> None:
    assert access(request(issued(jwt(body))), PLAN, NOW).service_account == "web"


def test_a_token_without_uid_gives_an_empty_one() -> None:
    assert access(request(issued(jwt(bound(serviceaccount={"name": "web"})))), PLAN, NOW).uid == ""


REFUSED = [
    pytest.param(claims(sub="system:serviceaccount:shop:admin"), "belongs to another service account", id="subject"),
    pytest.param(claims(sub=""), "belongs to another service account", id="no subject"),
    pytest.param(bound(namespace="bank"), "belongs to another service account", id="namespace"),
    pytest.param(bound(serviceaccount={"name": "admin"}), "belongs to another service account", id="account"),
    pytest.param(bound(serviceaccount=None), "belongs to another service account", id="no account"),
    pytest.param(bound(pod={"name": "web-1", "uid": "pod-uid"}), "belongs to another pod than web-0", id="pod name"),
    pytest.param(bound(pod={"name": "web-0", "uid": "other"}), "belongs to another pod than web-0", id="pod uid"),
    pytest.param(claims(aud=[PODS]), "is not for audience sts.amazonaws.com", id="audience"),
    pytest.param(claims(aud=[]), "is not for audience sts.amazonaws.com", id="no audience"),
    pytest.param(claims(exp=NOW - 31), "has expired", id="expired"),
    pytest.param(claims(exp=None), "has expired", id="no expiry"),
    pytest.param(claims(exp=CANARY), "is not a JWT of Kubernetes", id="expiry is text"),
    pytest.param([CANARY], "is not a JWT of Kubernetes", id="list"),
    pytest.param(claims(sub=[CANARY]), "is not a JWT of Kubernetes", id="subject is list"),
]


def refusal(found: Request, plan: Plan = PLAN) -> IdentityRefused:
    with pytest.raises(IdentityRefused) as caught:
        access(found, plan, NOW)
    return caught.value


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_claims_that_disagree_are_refused(body: object, message: str) -> None:
    error = refusal(request(issued(jwt(body))))
    assert str(error).startswith("service account shop/web: ")
    assert message in str(error)


@pytest.mark.parametrize(
    "token",
    [
        CANARY,
        f"{CANARY}.{CANARY}",
        f"a.{CANARY}.b.c",
        f"a.{CANARY}!.b",
        f"a.{part(claims())}==.b",
        f"a.{CANARY}\u00e9.b",
        f"a.{part(CANARY)}.b",
        f"a.{'A' * 20_000}.b",
        "a.." + CANARY,
        "a." + base64.urlsafe_b64encode(b"[" * 5_000).decode().rstrip("=") + ".b",
    ],
    ids=lambda token: ascii(token[:20]),
)
def test_a_text_that_is_no_jwt_is_refused_without_showing_it(token: str) -> None:
    error = refusal(request(issued(token)))
    assert error.cause == "its token is not a JWT of Kubernetes"
    assert error.__context__ is None
    assert CANARY not in str(error)


def test_base64_of_the_other_alphabet_is_no_jwt() -> None:
    body = base64.b64encode(json.dumps(claims(iss="\u00fb\u00ff~~~???")).encode()).decode().rstrip("=")
    plain = body if "+" in body or "/" in body else body[:-1] + "/"
    assert "not a JWT" in str(refusal(request(issued(f"a.{plain}.b"))))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ("", "serviceAccount.tokens not provided: no token for audience sts.amazonaws.com"),
        (CANARY, "failed to parse serviceAccount.tokens"),
        (f'["{CANARY}"]', "failed to parse serviceAccount.tokens"),
        (f'{{"{STS}": "{CANARY}"}}', "failed to parse serviceAccount.tokens"),
        (f'{{"{STS}": {{"token": 3}}}}', "failed to parse serviceAccount.tokens"),
        ("[" * 100_000, "failed to parse serviceAccount.tokens"),
        ("{}", "token for audience sts.amazonaws.com not found"),
        (f'{{"{STS}": null}}', "token for audience sts.amazonaws.com not found"),
        (f'{{"{PODS}": {{"token": "{CANARY}"}}}}', "token for audience sts.amazonaws.com not found"),
        (f'{{"{STS}": {{"token": ""}}}}', "token for audience sts.amazonaws.com is empty"),
        (f'{{"{STS}": {{}}}}', "token for audience sts.amazonaws.com is empty"),
    ],
    ids=lambda text: text[:40],
)
def test_a_missing_token_is_told_with_the_setting_that_brings_it(tokens: str, message: str) -> None:
    error = refusal(request(tokens))
    assert message in error.cause
    assert "tokenRequests" in error.remedy
    assert error.__context__ is None
    assert CANARY not in str(error)


def test_pod_identity_says_which_audience_is_missing() -> None:
    error = refusal(request(), POD_IDENTITY)
    assert error.cause == "token for audience pods.eks.amazonaws.com not found"


@given(st.text(max_size=80), st.text(max_size=10))
def test_any_text_is_read_or_refused(text: str, permission: str) -> None:
    with contextlib.suppress(InvalidInput):
        read(text, permission)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_any_token_is_refused_without_showing_it(body: str) -> None:
    found = request(issued(f"{CANARY}.{body}.{CANARY}"))
    with pytest.raises(KeyferryError) as caught:
        access(found, PLAN, NOW)
    assert CANARY not in str(caught.value)


def test_reading_and_checking_a_request_is_cheap() -> None:
    text = json.dumps(ATTRIBUTES | {"objects": "x" * 1_500})
    started = time.perf_counter()
    for _ in range(200):
        access(read(text, "420"), PLAN, NOW)
    # About 15 µs each; a busy machine may take far longer
    assert (time.perf_counter() - started) / 200 < 0.002


def test_the_audiences_are_those_of_aws() -> None:
    assert {STS, PODS} == set(AUDIENCES.values())
