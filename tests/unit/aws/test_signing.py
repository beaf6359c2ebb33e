import string

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from driver.aws.signing import Scope, Signer
from driver.model import Credentials

words = st.text(string.ascii_letters + string.digits + "-._~+/=", min_size=1, max_size=40)
names = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=20).map("x-".__add__)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
moments = st.datetimes().map(lambda moment: moment.strftime("%Y%m%dT%H%M%SZ").rjust(16, "0"))
paths = (
    st.lists(st.text(string.ascii_letters + "-_~", min_size=1, max_size=9), max_size=3).map("/".join).map("/".__add__)
)


@given(
    path=paths,
    body=st.binary(max_size=2_000),
    extra=st.dictionaries(names, values, max_size=5),
    keys=st.tuples(words, words, words | st.just("")),
    scope=st.builds(Scope, moments, st.sampled_from(["eu-west-1", "us-gov-west-1", "cn-north-1"]), words),
)
def test_a_signature_is_botocores(
    path: str, body: bytes, extra: dict[str, str], keys: tuple[str, str, str], scope: Scope
) -> None:
    """The reference implementation, fed the same request, sends the same Authorization header."""
    headers = {"host": "service.test", "content-type": "application/x-amz-json-1.1", **extra}
    ours = Signer(path, headers, Credentials(*keys, expires=0, obtained=0), scope).authorization(body)

    request = AWSRequest("POST", f"https://service.test{path}", headers=headers, data=body)
    request.context["timestamp"] = scope.moment
    request.headers["X-Amz-Date"] = scope.moment
    if keys[2]:
        request.headers["X-Amz-Security-Token"] = keys[2]
    signer = SigV4Auth(ReadOnlyCredentials(keys[0], keys[1], None), scope.service, scope.region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))  # type: ignore[attr-defined]  # not in the stubs
    assert ours == request.headers["Authorization"]


def test_without_a_session_token_none_is_sent() -> None:
    signer = Signer("/", {"host": "h"}, Credentials("k", "s", "", 0, 0), Scope("20261125T000000Z", "r", "s"))
    assert set(signer.added) == {"x-amz-date"}
