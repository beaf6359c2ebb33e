from driver.aws.request import Operation, encoded
from driver.aws.session import Endpoint
from driver.http.connections import Proxy
from driver.model import Credentials

GET = Operation("secretsmanager", "GetSecretValue", bytes)
OWN = Credentials("AKIA", "key", "token", 0, 0)
HOME = Endpoint(True, "aws.test", 443, signing_region="eu-west-1", signing_name="secretsmanager")


def test_each_body_has_its_own_length_and_signature() -> None:
    one, other = encoded(HOME, GET, [b"{}", b"longer"], OWN, 0.0)
    assert one.endswith(b"content-length: 2\r\n\r\n{}")
    assert other.endswith(b"content-length: 6\r\n\r\nlonger")
    assert one.partition(b"Signature=")[2][:64] != other.partition(b"Signature=")[2][:64]


def test_what_is_not_signed_has_neither_date_nor_authorization() -> None:
    (request,) = encoded(HOME, Operation("sts", "AssumeRoleWithWebIdentity", bytes), [b"x"], None, 0.0)
    assert b"x-amz-date" not in request
    assert b"authorization" not in request


def test_a_proxy_for_plain_http_is_told_the_whole_address_and_who_asks() -> None:
    proxied = Endpoint(False, "aws.test", 80, Proxy("proxy", 3128, "Basic x"), "/", "eu-west-1", "secretsmanager")
    (request,) = encoded(proxied, GET, [b"{}"], OWN, 0.0)
    assert request.startswith(b"POST http://aws.test/ HTTP/1.1\r\n")
    assert b"\r\nproxy-authorization: Basic x\r\n" in request
