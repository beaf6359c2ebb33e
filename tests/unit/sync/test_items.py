"""What kubernetes-external-secrets 8.5.5 did with values, row by row, and where this is deliberately different."""

from base64 import b64encode
from typing import Any

import pytest

from driver.errors import AccessDenied, KeyferryError, NotFound
from driver.sync.plan import Claim, Mode
from tests.unit.sync.material import Stored, lines, rendered, secrets

JSON = b'{"user": "anna", "n": 1.0, "t": true, "z": null, "o": {"b": [1, "x"]}, "a.b": "dot", "bin": "aGk="}'
BINARY = b"\x00\xff\xfe"
MISSING = NotFound("k", "it does not exist", "create it")
SSM = "systemManager"


def item(**fields: Any) -> dict[str, Any]:
    return {"data": [{"key": "k", "name": "n", **fields}]}


SAME = [
    pytest.param(item(), {"k": b"text"}, {"n": b"text"}, id="same: a text"),
    pytest.param(item(), {"k": JSON}, {"n": JSON}, id="same: JSON as it is"),
    pytest.param(item(), {"k": BINARY}, {"n": BINARY}, id="same: SecretBinary needs no flag"),
    pytest.param(item(), {"k": b""}, {"n": b""}, id="same: an empty value"),
    pytest.param(item(isBinary=True), {"k": b64encode(BINARY)}, {"n": BINARY}, id="same: isBinary on base64 text"),
    pytest.param(item(isBinary=True), {"k": BINARY}, {"n": BINARY}, id="same: isBinary on SecretBinary"),
    pytest.param(item(property="bin", isBinary=True), {"k": JSON}, {"n": b"hi"}, id="same: isBinary on a property"),
    pytest.param(item(property="user"), {"k": JSON}, {"n": b"anna"}, id="same: a property"),
    pytest.param(item(property="o.b[1]"), {"k": JSON}, {"n": b"x"}, id="same: a dotted path with an index"),
    pytest.param(item(property="a.b"), {"k": JSON}, {"n": b"dot"}, id="same: the literal key wins"),
    pytest.param(item(property="o"), {"k": JSON}, {"n": b'{"b":[1,"x"]}'}, id="same: an object as JSON text"),
    pytest.param(item(property="z"), {"k": JSON}, {"n": b"null"}, id="same: null is the text null"),
    pytest.param(item(property="t"), {"k": JSON}, {"n": b"true"}, id="same: true"),
    pytest.param(item(property="n"), {"k": JSON}, {"n": b"1.0"}, id="different: a number keeps its digits"),
    pytest.param({"dataFrom": ["k"]}, {"k": b'{"a": "1", "b": 2}'}, {"a": b"1", "b": b"2"}, id="same: dataFrom"),
    pytest.param({"dataFrom": ["k"]}, {"k": b"{}"}, {}, id="same: dataFrom of an empty object"),
    pytest.param({"data": []}, {}, {}, id="same: an empty list gives an empty Secret"),
    pytest.param({"dataFromWithOptions": [{"key": "k"}]}, {"k": b'{"a": "1"}'}, {"a": b"1"}, id="same: options"),
    pytest.param(
        {"dataFromWithOptions": [{"key": "k", "isBinary": True}]},
        {"k": b64encode(b'{"a": "1"}')},
        {"a": b"1"},
        id="different: isBinary counts in dataFromWithOptions",
    ),
    pytest.param(
        {
            "dataFrom": ["a"],
            "dataFromWithOptions": [{"key": "b"}],
            "data": [{"key": "c", "name": "x"}, {"key": "d", "name": "x"}],
        },
        {"a": b'{"x": "1", "y": "1", "z": "1"}', "b": b'{"y": "2"}', "c": b"3", "d": b"4"},
        {"x": b"4", "y": b"2", "z": b"1"},
        id="same: the last one wins",
    ),
    pytest.param(
        {"backendType": SSM, "data": [{"path": "/p"}]},
        {"/p": {"a": b"1", "b": b"2", "deep/c": b"3"}},
        {"a": b"1", "b": b"2"},
        id="same: a path, its own level",
    ),
    pytest.param(
        {"backendType": SSM, "data": [{"path": "/p", "recursive": True}]},
        {"/p": {"a": b"1", "deep/c": b"3"}},
        {"a": b"1", "c": b"3"},
        id="same: a path, recursive",
    ),
    pytest.param(
        {**item(), "template": {"stringData": {"url": "db://<%= data.n %>", "n": "lost"}, "data": {"b": "aGk="}}},
        {"k": "né".encode()},
        {"n": "né".encode(), "url": "db://né".encode(), "b": b"hi"},
        id="same: a template's keys, read ones win; different: non-ASCII stays",
    ),
    pytest.param(
        {**item(name="tls.crt"), "type": "kubernetes.io/tls", "template": {"stringData": {"tls.key": "x"}}},
        {"k": b"c"},
        {"tls.crt": b"c", "tls.key": b"x"},
        id="same: type tls with both keys",
    ),
]


@pytest.mark.parametrize(("spec", "stored", "data"), SAME)
def test_gives_the_keys(spec: dict[str, Any], stored: Stored, data: dict[str, bytes]) -> None:
    found = rendered(spec, stored)
    assert found.error is None
    assert secrets(found) == {"app": data}


WITHHELD = [
    pytest.param(item(), {"k": MISSING}, "does not exist", id="same: a missing secret"),
    pytest.param(item(), {"k": AccessDenied("k", "denied", "allow it")}, "denied", id="same: access denied"),
    pytest.param(item(property="nope"), {"k": JSON}, "Could not find property 'nope'", id="same: a missing property"),
    pytest.param(item(property="p"), {"k": b"text"}, "not JSON", id="different: property on text keeps the Secret"),
    pytest.param(item(property="toString"), {"k": JSON}, "Could not find", id="different: inherited names"),
    pytest.param({"dataFrom": ["k"]}, {"k": b"text"}, "not JSON", id="different: dataFrom on text keeps the Secret"),
    pytest.param({"dataFrom": ["k"]}, {"k": b"[1, 2]"}, "another kind", id="different: dataFrom on a list"),
    pytest.param({"dataFrom": ["k"]}, {"k": b'"abc"'}, "another kind", id="different: dataFrom on a JSON text"),
    pytest.param({"dataFrom": ["k"]}, {"k": b"5"}, "another kind", id="different: dataFrom on a number"),
    pytest.param({"dataFrom": ["k"]}, {"k": b"null"}, "another kind", id="different: dataFrom on null"),
    pytest.param({"dataFrom": ["k"]}, {"k": b'{"a b": "1"}'}, "one of its names", id="different: a key that is none"),
    pytest.param({"dataFrom": ["k"]}, {"k": b'{"": "1"}'}, "one of its names", id="different: an empty key"),
    pytest.param({"dataFrom": ["k"]}, {"k": b'{"..a": "1"}'}, "one of its names", id="different: two dots"),
    pytest.param(item(isBinary=True), {"k": b"!"}, "not base64", id="different: isBinary on other text"),
    pytest.param(
        {"backendType": SSM, "data": [{"path": "/p", "recursive": True}]},
        {"/p": {"a": b"1", "x/a": b"2"}},
        "end in the same name",
        id="different: two parameters of one last segment",
    ),
    pytest.param({**item(), "type": "kubernetes.io/tls"}, {"k": b"x"}, "needs the key", id="same: tls without keys"),
    pytest.param(
        {**item(name=".dockerconfigjson"), "type": "kubernetes.io/dockerconfigjson"},
        {"k": b"x"},
        "needs JSON",
        id="same: dockerconfigjson without JSON",
    ),
    pytest.param({**item(), "type": "kubernetes.io/basic-auth"}, {"k": b"x"}, "username and password", id="basic-auth"),
    pytest.param(item(), {"k": b"x" * (1024 * 1024 + 1)}, "1,048,577 bytes", id="same: more than 1 MiB"),
    pytest.param(
        {**item(), "template": {"stringData": {"x": "<%= data.nope %>"}}}, {"k": b"x"}, "no value 'nope'", id="template"
    ),
    pytest.param({**item(), "template": {"data": {"x": "!"}}}, {"k": b"x"}, "not render to base64", id="template data"),
    pytest.param(
        {**item(), "template": {"metadata": {"labels": {"l": "<%= data.n %>"}}}},
        {"k": b"not a label"},
        "a label has at most 63",
        id="a label that cannot be one",
    ),
]


@pytest.mark.parametrize(("spec", "stored", "message"), WITHHELD)
def test_a_failing_item_withholds_the_secret(spec: dict[str, Any], stored: Stored, message: str) -> None:
    found = rendered(spec, stored)
    assert found.secrets == ()
    assert [one.name for one in found.withheld] == ["app"]
    assert message in str(found.withheld[0].error)


def test_each_item_has_its_own_outcome() -> None:
    spec = {"data": [{"key": "k", "name": "a"}, {"key": "j", "name": "b", "property": "p"}, {"key": "k", "name": "c"}]}
    found = rendered(spec, {"k": b"1", "j": b"text"})
    assert [one.error is None for one in found.items] == [True, False, True]
    assert [one.version for one in found.items] == ["v1", "v1", "v1"]
    assert found.items[1].property_path == "p"


def test_all_failures_are_told_once() -> None:
    spec = {"data": [{"key": "k", "name": "a", "property": "x"}, {"key": "k", "name": "b", "property": "y"}]}
    error = rendered(spec, {"k": b"{}"}).error
    assert error is not None
    assert len(lines(error)) == 2


def test_template_sets_labels_annotations_and_type() -> None:
    template = {"type": "t", "metadata": {"labels": {"a": "<%= data.n %>"}, "annotations": {"b": "c"}}}
    desired = rendered({**item(), "template": template}, {"k": b"x"}).secrets[0]
    assert (desired.labels, desired.annotations, desired.type) == ({"a": "x"}, {"b": "c"}, "t")


def test_values_show_in_no_text() -> None:
    found = rendered(item(), {"k": b"geheim"})
    assert "geheim" not in repr(found)
    assert "geheim" not in repr(found.secrets[0])


NAMED = {"data": [{"key": "k", "name": "my-data"}]}
CLIENT = b'{"username": "admin", "password": "1234"}'


def test_auto_gives_the_key_and_asks_to_fill() -> None:
    found = rendered(NAMED, {"k": CLIENT}, mode=Mode.AUTO)
    spread = {"username": b"admin", "password": b"1234"}
    assert secrets(found) == {"app": {"my-data": CLIENT}, "my-data": spread}
    assert [one.claim for one in found.secrets] == [Claim.MAKE, Claim.FILL]


def test_secret_gives_the_named_secret_alone() -> None:
    found = rendered(NAMED, {"k": CLIENT}, mode=Mode.SECRET)
    assert secrets(found) == {"my-data": {"username": b"admin", "password": b"1234"}}
    assert found.secrets[0].claim is Claim.MAKE


def test_secret_leaves_other_items_to_the_own_secret() -> None:
    spec = {"data": [*NAMED["data"], {"key": "k", "name": "user", "property": "username"}]}
    assert secrets(rendered(spec, {"k": CLIENT}, mode=Mode.SECRET))["app"] == {"user": b"admin"}


def test_key_is_pure_kes() -> None:
    assert secrets(rendered(NAMED, {"k": CLIENT}, mode=Mode.KEY)) == {"app": {"my-data": CLIENT}}


@pytest.mark.parametrize("content", [b"text", b"[]", b'{"a b": "1"}', b"5"])
def test_in_auto_a_value_that_fills_nothing_is_no_failure(content: bytes) -> None:
    found = rendered(NAMED, {"k": content}, mode=Mode.AUTO)
    assert found.error is None
    assert secrets(found)["app"] == {"my-data": content}
    assert isinstance(found.secrets[1].flaw, KeyferryError)


def test_in_secret_a_value_that_fills_nothing_is_one() -> None:
    found = rendered(NAMED, {"k": b"text"}, mode=Mode.SECRET)
    assert [one.name for one in found.withheld] == ["my-data"]
    assert found.items[0].error is not None


def test_a_failing_item_does_not_withhold_a_named_secret_of_another() -> None:
    spec = {"data": [*NAMED["data"], {"key": "j", "name": "n", "property": "p"}]}
    found = rendered(spec, {"k": CLIENT, "j": MISSING}, mode=Mode.AUTO)
    assert list(secrets(found)) == ["my-data"]
    assert [one.name for one in found.withheld] == ["app"]


def test_two_items_of_one_name_fill_one_secret() -> None:
    spec = {"data": [*NAMED["data"], {"key": "j", "name": "my-data"}]}
    found = rendered(spec, {"k": CLIENT, "j": b'{"password": "new", "host": "db"}'}, mode=Mode.AUTO)
    assert secrets(found)["my-data"] == {"username": b"admin", "password": b"new", "host": b"db"}
