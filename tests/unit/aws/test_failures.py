import gzip
import json
from pathlib import Path

import botocore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.aws.failures import _TABLE, Asked, Refusal, translate, who
from driver.aws.refusals import refusal_of
from driver.errors import (
    AccessDenied,
    CredentialsExpired,
    IdentityRefused,
    KeyferryError,
    NotFound,
    Throttled,
    Unavailable,
    Unusable,
)
from driver.http.exchange import Answer
from driver.model import AuthMethod, Principal

READ = Asked("secretsmanager:GetSecretValue", "db", "eu-west-1", "arn:aws:iam::1:role/app")
PIN = Asked("secretsmanager:GetSecretValue", "db", "eu-west-1", "role", "v7", "AWSPENDING")
ASSUME = Asked("sts:AssumeRoleWithWebIdentity", "arn:aws:iam::1:role/app", "eu-west-1", "system:serviceaccount:a:b")
USED = {
    "secretsmanager": ("GetSecretValue", "BatchGetSecretValue"),
    "ssm": ("GetParameters", "GetParametersByPath"),
    "sts": ("AssumeRoleWithWebIdentity", "AssumeRole"),
}


def modelled() -> set[str]:
    """Return every error code that botocore's models name for the operations that are called."""
    codes: set[str] = set()
    for service, operations in USED.items():
        (path,) = (Path(botocore.__file__).parent / "data" / service).glob("*/service-2.json.gz")
        model = json.loads(gzip.decompress(path.read_bytes()))
        for operation in operations:
            for error in model["operations"][operation].get("errors", ()):
                shape = model["shapes"][error["shape"]]
                codes.add(shape.get("error", {}).get("code", error["shape"]))
    return codes


@pytest.mark.parametrize("code", sorted(modelled()))
def test_every_error_that_an_operation_is_modelled_with_is_known(code: str) -> None:
    assert code in _TABLE


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", AccessDenied),
        ("ResourceNotFoundException", NotFound),
        ("ParameterNotFound", NotFound),
        ("InvalidRequestException", Unusable),
        ("DecryptionFailure", Unusable),
        ("ExpiredTokenException", CredentialsExpired),
        ("UnrecognizedClientException", CredentialsExpired),
        ("InvalidSignatureException", CredentialsExpired),
        ("RequestTimeTooSkewed", CredentialsExpired),
        ("ThrottlingException", Throttled),
        ("SlowDown", Throttled),
        ("InternalServiceError", Unavailable),
        ("ServiceUnavailable", Unavailable),
        ("NobodyKnows", Unusable),
    ],
)
def test_a_code_means_a_class(code: str, kind: type[KeyferryError]) -> None:
    assert type(translate(Refusal(400, code), READ)) is kind or issubclass(kind, CredentialsExpired)
    assert isinstance(translate(Refusal(400, code), READ), kind)


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        ("AccessDenied", AccessDenied, "trust policy"),
        ("ExpiredTokenException", IdentityRefused, "expired"),
        ("InvalidIdentityToken", IdentityRefused, "OIDC"),
        ("IDPRejectedClaim", IdentityRefused, "audience"),
        ("IDPCommunicationError", Unavailable, "again"),
        ("RegionDisabledException", IdentityRefused, "activate"),
    ],
)
def test_sts_says_what_to_change(code: str, kind: type[KeyferryError], word: str) -> None:
    error = translate(Refusal(400, code), ASSUME)
    assert isinstance(error, kind)
    assert not isinstance(error, CredentialsExpired)
    assert word in str(error)


@pytest.mark.parametrize(
    ("status", "kind"), [(429, Throttled), (500, Unavailable), (503, Unavailable), (403, AccessDenied)]
)
def test_without_a_code_the_status_speaks(status: int, kind: type[KeyferryError]) -> None:
    assert isinstance(translate(Refusal(status, ""), READ), kind)


def test_a_missing_version_is_told_from_a_missing_secret() -> None:
    missing = translate(Refusal(400, "ResourceNotFoundException", "can't find the specified secret value for"), PIN)
    assert "version v7 with label AWSPENDING" in missing.cause
    gone = translate(Refusal(400, "ResourceNotFoundException", "can't find the specified secret."), READ)
    assert "does not exist in eu-west-1" in gone.cause


def test_a_secret_to_be_deleted_can_be_restored() -> None:
    assert "RestoreSecret" in translate(Refusal(400, "InvalidRequestException"), READ).remedy


@given(
    status=st.integers(100, 999),
    code=st.text(max_size=100) | st.sampled_from(sorted(_TABLE)),
    message=st.text(min_size=12, max_size=60).map("canary {}".format),
    asked=st.sampled_from([READ, PIN, ASSUME]),
)
def test_every_refusal_has_an_error_that_names_the_object_and_quotes_nothing(
    status: int, code: str, message: str, asked: Asked
) -> None:
    error = translate(Refusal(status, code, message), asked)
    assert isinstance(error, KeyferryError)
    assert error.subject == asked.name
    assert asked.region in error.cause
    assert "canary" not in str(error)


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, b'{"__type": "com.amazonaws#ThrottlingException", "message": "m"}', ("ThrottlingException", "m")),
        ({"x-amzn-errortype": "AccessDeniedException:http://x/"}, b'{"Message": "m"}', ("AccessDeniedException", "m")),
        ({}, b'{"code": "X"}', ("X", "")),
        (
            {},
            b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>m</Message></Error></ErrorResponse>",
            ("AccessDenied", "m"),
        ),
        ({}, b"<html>Bad Gateway</html>", ("", "")),
        ({}, b"", ("", "")),
        ({}, b'{"__type": 7}', ("", "")),
        ({}, b"[" * 100_000, ("", "")),
        ({}, b'\xff\xfe{"', ("", "")),
    ],
    ids=["json", "header", "code", "xml", "html", "empty", "type", "deep", "bytes"],
)
def test_a_refusal_is_read_in_any_form(headers: dict[str, str], body: bytes, expected: tuple[str, str]) -> None:
    read = refusal_of(Answer(400, headers, body, reusable=True))
    assert (read.code, read.message) == expected


@pytest.mark.parametrize(
    ("principal", "words"),
    [
        (Principal(AuthMethod.IRSA, "shop", "app", "u", "arn:r"), "arn:r"),
        (Principal(AuthMethod.POD_IDENTITY, "shop", "app", "u"), "service account shop/app"),
        (Principal(AuthMethod.AMBIENT, "", "", ""), "the process's own identity"),
    ],
)
def test_an_identity_has_words(principal: Principal, words: str) -> None:
    assert who(principal) == words
