"""What a Secret may hold."""

import pytest

from driver.sync import secrettype


@pytest.mark.parametrize("kind", ["Opaque", "kubernetes.io/tls", "example.com/own", "kubernetes.io/dockerconfigjson"])
def test_types_that_may_be(kind: str) -> None:
    assert secrettype.type_problem(kind) is None


@pytest.mark.parametrize(
    "kind",
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1", "<%= x %>", "a\nb"],
)
def test_types_that_may_not_be(kind: str) -> None:
    assert secrettype.type_problem(kind) is not None


@pytest.mark.parametrize("key", ["a", "a.b", "_A-1", ".dockerconfigjson", "x" * 253, "a..b"])
def test_keys_that_may_be(key: str) -> None:
    assert secrettype.key_problem(key) is None


@pytest.mark.parametrize("key", ["", ".", "..", "..a", "a/b", "a b", "é", "a\n", "x" * 254])
def test_keys_that_may_not_be(key: str) -> None:
    assert secrettype.key_problem(key) is not None


@pytest.mark.parametrize(
    ("kind", "data", "fits"),
    [
        ("Opaque", {}, True),
        ("kubernetes.io/tls", {"tls.crt": b"", "tls.key": b""}, True),
        ("kubernetes.io/tls", {"tls.crt": b""}, False),
        ("kubernetes.io/basic-auth", {"password": b"x"}, True),
        ("kubernetes.io/basic-auth", {"x": b"x"}, False),
        ("kubernetes.io/ssh-auth", {"ssh-privatekey": b"x"}, True),
        ("kubernetes.io/ssh-auth", {}, False),
        ("kubernetes.io/dockercfg", {".dockercfg": b"{}"}, True),
        ("kubernetes.io/dockercfg", {".dockercfg": b"{"}, False),
        ("Opaque", {"a": b"x" * 524_288, "b": b"x" * 524_288}, True),
        ("Opaque", {"a": b"x" * 524_288, "b": b"x" * 524_289}, False),
        ("Opaque", {f"{i:0250}": b"" for i in range(300)}, False),
    ],
)
def test_data_that_a_type_takes(kind: str, data: dict[str, bytes], fits: bool) -> None:
    assert (secrettype.check("s", kind, data) is None) is fits


@pytest.mark.parametrize(
    ("labels", "annotations", "fits"),
    [
        ({"app.kubernetes.io/name": "x"}, {"any": "text of\nany kind"}, True),
        ({"a": ""}, {}, True),
        ({"a": "-x"}, {}, False),
        ({"a": "x" * 64}, {}, False),
        ({"a b": "x"}, {}, False),
        ({}, {"/x": ""}, False),
        ({}, {"a": "x" * 200_000}, False),
    ],
)
def test_labels_and_annotations(labels: dict[str, str], annotations: dict[str, str], fits: bool) -> None:
    assert (secrettype.metadata_problem(labels, annotations) is None) is fits
