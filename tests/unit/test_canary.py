"""No value and no token in what a value prints or an error tells."""

import base64
import copy
import json
import logging
import re
import traceback
from collections.abc import Callable

import pytest

from driver.errors import KeyferryError, status_of
from driver.model import (
    Access,
    AuthMethod,
    Credentials,
    File,
    Principal,
    Proof,
    Read,
    SecretRef,
    SecretValue,
    Source,
    Store,
    Token,
)
from driver.mount import attributes
from driver.spc import files, objects
from driver.telemetry import trace
from tests.canary import VALUE, leaks
from tests.driverside import STS, token


@pytest.mark.parametrize("shift", range(3))
def test_the_search_finds_every_spelling(shift: int) -> None:
    around = [b"{'a': '" + b"x" * shift + VALUE.encode() + b"'}", b"y" * shift + VALUE.encode()[-14:] + b"yyy"]
    for data in around:
        for text in (data.decode(), str(data), data.hex(), base64.b64encode(data).decode(), json.dumps(data.decode())):
            assert leaks(text, VALUE), text
    assert not leaks("nothing of it", VALUE)


def secret_values() -> list[object]:
    """Return one of each value that has a secret in it, with the canary there."""
    ref = SecretRef(Store.SECRETS_MANAGER, "db", "eu-west-1")
    held = Credentials("AKIAEXAMPLE", VALUE, VALUE, 1.0, 0.0)
    access = Access(AuthMethod.IRSA, "shop", "app", "uid", "eu-west-1", token=Token(VALUE))
    value = SecretValue(VALUE.encode(), "arn:x", "v1")
    path = SecretValue(b"", "arn:y", "v1", children=(("child", value),))
    return [
        Token(VALUE),
        held,
        access,
        Proof(access, Principal(AuthMethod.IRSA, "shop", "app", "uid", "role"), held),
        value,
        path,
        Read(ref, value, Source.AWS, 0.0),
        Read(ref, path, Source.STALE, 9.0),
        File("db", 0o600, VALUE.encode(), "v1"),
        attributes.read(request(tokens=VALUE), "420"),
    ]


def request(**changes: str) -> str:
    """Return a request's attributes as JSON."""
    base = "csi.storage.k8s.io/"
    told = {"pod.name": "p", "pod.namespace": "shop", "pod.uid": "u", "serviceAccount.name": "app"}
    told["serviceAccount.tokens"] = changes.pop("tokens", json.dumps({STS: {"token": token()}}))
    return json.dumps({**{base + name: text for name, text in told.items()}, **changes})


PRINTERS: dict[str, Callable[[object], str]] = {
    "str": str,
    "repr": repr,
    "format": format,
    "percent": lambda value: "%s %r %a" % (value, value, value),  # noqa: UP031 - one of the ways
    "container": lambda value: f"{[value]} {(value,)} { ({'k': value}) }",
    "copy": lambda value: repr(copy.copy(value)),
    "log": lambda value: logging.LogRecord("x", 10, "f", 1, "%s %r", (value, value), None).getMessage(),
    "exception": lambda value: "".join(traceback.format_exception(ValueError(value))),
}


@pytest.mark.parametrize("how", PRINTERS)
@pytest.mark.parametrize("value", secret_values(), ids=lambda value: type(value).__name__)
def test_a_value_never_prints_its_secret(value: object, how: str) -> None:
    assert leaks(PRINTERS[how](value), VALUE) == []


def delivered(content: bytes, **entry: object) -> None:
    """Render one object with this content."""
    described = {"objectName": "db", "objectType": "secretsmanager", "objectAlias": "db", **entry}
    plan = objects.parse({"objects": json.dumps([described])}, region="eu-west-1")
    ref = plan.wants[0].ref
    value = SecretValue(content, "arn:x", "v1")
    if ref.store is Store.PARAMETER_PATH:
        value = SecretValue(b"", "", "1", children=(("a", value),))
    files.render(plan, {ref: Read(ref, value, Source.AWS, 0.0)}, limit=10_000)


def refused(text: str, permission: str = "420") -> None:
    """Read a request and prove its identity."""
    found = attributes.read(text, permission)
    plan = objects.parse({"objects": "[{objectName: a, objectType: ssmparameter}]"}, region="eu-west-1")
    attributes.access(found, plan, now=2e9)


def keyed(path: str) -> list[dict[str, str]]:
    return [{"path": path, "objectAlias": "x"}]


QUOTED = json.dumps(VALUE).encode()
FAILING: dict[str, Callable[[], None]] = {
    "not JSON": lambda: delivered(VALUE.encode(), jmesPath=keyed("a")),
    "JSON cut short": lambda: delivered(b'{"a": ' + QUOTED, jmesPath=keyed("a")),
    "JSON with a byte too many": lambda: delivered(b'{"a": ' + QUOTED + b"}}", jmesPath=keyed("a")),
    "not UTF-8": lambda: delivered(b'{"a": ' + QUOTED + b"\xff", jmesPath=keyed("a")),
    "a key that is not there": lambda: delivered(b'{"a": ' + QUOTED + b"}", jmesPath=keyed("b")),
    "a key that is no file name": lambda: delivered(b'{"../' + QUOTED[1:] + b": 1}", jmesPath="*"),
    "keys that clash": lambda: delivered(json.dumps({"a/b": VALUE, "a_b": VALUE}).encode(), jmesPath="*"),
    "all keys of a text": lambda: delivered(QUOTED, jmesPath="*"),
    "a wrong type": lambda: delivered(b'{"a": ' + QUOTED + b"}", jmesPath=keyed("sum(a)")),
    "too deep": lambda: delivered(b"[" * 100_000 + QUOTED, jmesPath=keyed("a")),
    "not base64": lambda: delivered(VALUE.encode(), decode="base64"),
    "not hex": lambda: delivered(VALUE.encode(), decode="hex"),
    "too large": lambda: delivered(VALUE.encode() * 1_000),
    "attributes that are not JSON": lambda: refused('{"a": ' + VALUE),
    "attributes that are a list": lambda: refused(json.dumps([VALUE])),
    "a repeated attribute": lambda: refused(f'{{"a": "x", "a": {json.dumps(VALUE)}}}'),
    "an attribute that is no text": lambda: refused(json.dumps({"a": [VALUE]})),
    "tokens that are not JSON": lambda: refused(request(tokens=VALUE)),
    "tokens cut short": lambda: refused(request(tokens=json.dumps({STS: {"token": VALUE}})[:-2])),
    "tokens of a wrong shape": lambda: refused(request(tokens=json.dumps({STS: VALUE}))),
    "a token that is a number": lambda: refused(request(tokens=json.dumps({STS: {"token": [VALUE]}}))),
    "no token for the audience": lambda: refused(request(tokens=json.dumps({VALUE: {"token": VALUE}}))),
    "a token that is no JWT": lambda: refused(request(tokens=json.dumps({STS: {"token": VALUE}}))),
    "a token with a wrong payload": lambda: refused(request(tokens=json.dumps({STS: {"token": f"a.{VALUE}.b"}}))),
    "an expired token": lambda: refused(request(tokens=json.dumps({STS: {"token": token(lifetime=-9, jti=VALUE)}}))),
    "another account's token": lambda: refused(
        request(tokens=json.dumps({STS: {"token": token(account="b", jti=VALUE, lifetime=2e9)}}))
    ),
    "a wrong permission": lambda: refused(request(), VALUE),
}


@pytest.mark.parametrize("case", FAILING)
def test_an_error_tells_nothing_of_the_value(case: str) -> None:
    """Neither its text, nor its status, nor its traceback, with all causes and contexts."""
    with pytest.raises(KeyferryError) as caught:
        FAILING[case]()
    error = caught.value
    told = [str(error), repr(error), repr(error.args), status_of(error)[1], trace(error), *chained(error)]
    assert [leak for text in told for leak in leaks(re.sub(r'File ".*', "", text), VALUE)] == []


def chained(error: BaseException) -> list[str]:
    """Return the traceback as Python prints it, and the texts of what it hides."""
    seen: list[BaseException] = [error]
    for each in seen:
        seen.extend(e for e in (each.__cause__, each.__context__) if e is not None and e not in seen)
    return [
        "".join(traceback.format_exception(error)),
        *(str(each) for each in seen if isinstance(each, KeyferryError)),
    ]
