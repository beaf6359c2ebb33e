import json
from typing import Any

import pytest

from driver.cli import request
from driver.errors import InvalidInput
from driver.model import AuthMethod, Pod, Token
from driver.mount import attributes
from driver.spc import objects
from tests.driverside import AGENT, STS, token

POD = Pod("shop", "app-1", "uid-app-1")
OBJECTS = "- objectName: a<b>&c\n  objectType: ssmparameter\n  objectAlias: grün\n"


def sent(parameters: dict[str, str] | None = None, **claims: Any) -> attributes.Request:
    given = {"objects": OBJECTS, "region": "eu-west-1"} if parameters is None else parameters
    asked = request.mount_request(given, "class", POD, "app", [Token(token(**claims))])
    return attributes.read(asked.attributes, asked.permission)


def test_the_provider_reads_what_is_sent() -> None:
    found = sent()
    assert (found.pod, found.service_account, found.provider_class) == (POD, "app", "class")
    assert found.parameters["objects"] == OBJECTS
    assert found.default_mode == 0o644


def test_the_token_proves_the_pod() -> None:
    found = sent(audience=STS)
    plan = objects.parse(found.parameters, region="")
    assert attributes.access(found, plan, now=0).method is AuthMethod.IRSA


def test_the_text_is_what_go_writes() -> None:
    """Keys sorted, no spaces, UTF-8 as it is, and HTML signs escaped, as encoding/json does."""
    asked = request.mount_request({"z": "1", "objects": OBJECTS}, "class", POD, "app", [])
    assert asked.attributes.startswith('{"csi.storage.k8s.io/ephemeral":"true","csi.storage.k8s.io/pod.name":"app-1",')
    assert asked.attributes.endswith('"secretProviderClass":"class","z":"1"}')
    assert r"a\u003cb\u003e\u0026c" in asked.attributes
    assert "grün" in asked.attributes
    assert list(json.loads(asked.attributes)) == sorted(json.loads(asked.attributes))


def test_the_other_fields_are_the_drivers() -> None:
    asked = request.mount_request({}, "class", POD, "app", [])
    assert (asked.secrets, asked.permission) == ("null", "420")
    assert asked.target_path == "/var/lib/kubelet/pods/uid-app-1/volumes/kubernetes.io~csi/secrets/mount"
    assert not asked.current_object_version


def test_a_parameter_cannot_pass_for_the_kubelets() -> None:
    assert sent({"objects": OBJECTS, "csi.storage.k8s.io/pod.name": "other"}).pod == POD


def test_tokens_are_listed_by_their_own_audience_and_expiry() -> None:
    texts = [token(audience=STS, exp=1_700_000_000), token(audience=AGENT, aud=AGENT, exp=1_700_000_000.5)]
    assert json.loads(request.tokens(map(Token, texts))) == {
        audience: {"token": text, "expirationTimestamp": "2023-11-14T22:13:20Z"}
        for audience, text in zip((STS, AGENT), texts, strict=True)
    }


def test_a_token_of_a_pod_tells_which() -> None:
    assert request.claims(Token(token(pod=("app-1", "u")))).kubernetes.pod == request.Bound("app-1", "u")
    assert request.claims(Token(token())).kubernetes.pod == request.Bound()


@pytest.mark.parametrize("text", ["", "opaque", "a.b.c", "a.e30x.c", "a.W10.c", "a.\N{SNOWMAN}.c"])
def test_what_is_no_token_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(InvalidInput, match="no token of Kubernetes") as caught:
        request.tokens([Token(text)])
    assert caught.value.__cause__ is None
    assert not text or text not in str(caught.value)
