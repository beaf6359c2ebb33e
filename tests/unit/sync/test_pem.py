"""Certificates and keys: the same bytes as Go's encoders give, which ``cryptography`` (OpenSSL) gives too."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import Unusable
from driver.sync import pem

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\n" + b"QUJD" * 16 + b"\nREVG\n-----END CERTIFICATE-----\n"


def text(key: Key, form: PrivateFormat) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_rsa_becomes_pkcs1(rsa_key: rsa.RSAPrivateKey) -> None:
    pkcs1 = text(rsa_key, PrivateFormat.TraditionalOpenSSL)
    assert pem.private_key("s", text(rsa_key, PrivateFormat.PKCS8)) == pkcs1
    assert pem.private_key("s", pkcs1) == pkcs1


@pytest.mark.parametrize(
    "curve", [ec.SECP224R1(), ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: c.name
)
def test_ec_becomes_sec1(curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    sec1 = text(key, PrivateFormat.TraditionalOpenSSL)
    assert pem.private_key("s", text(key, PrivateFormat.PKCS8)) == sec1
    assert pem.private_key("s", sec1) == sec1


def test_the_last_block_that_is_no_certificate_is_the_key(rsa_key: rsa.RSAPrivateKey) -> None:
    key = text(rsa_key, PrivateFormat.TraditionalOpenSSL)
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert pem.private_key("s", parameters + CERTIFICATE + key + CERTIFICATE) == key


def test_certificates_come_in_order_in_lines_of_64() -> None:
    other = CERTIFICATE.replace(b"REVG", b"R0hJ")
    one_line = CERTIFICATE.replace(b"QUJD\nREVG", b"QUJDREVG").replace(b"\n", b"\r\n")
    assert pem.certificates("s", b"comment\n" + other + b"\n" + one_line) == other + CERTIFICATE


def test_headers_and_foreign_text_are_dropped() -> None:
    headed = CERTIFICATE.replace(b"CERTIFICATE-----\nQ", b"CERTIFICATE-----\nName: x\n\nQ", 1)
    assert pem.certificates("s", b"Bag Attributes\n  x: y\n" + headed) == CERTIFICATE


def refused() -> list[object]:
    rsa_text = text(rsa.generate_private_key(65537, 2048), PrivateFormat.PKCS8)
    sec1 = ec.generate_private_key(ec.SECP256R1())
    secp256k1 = text(ec.generate_private_key(ec.SECP256K1()), PrivateFormat.PKCS8)
    locked = sec1.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    locked_old = sec1.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"x"))
    public = sec1.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return [
        pytest.param(b"", id="nothing"),
        pytest.param(CERTIFICATE, id="no key"),
        pytest.param(text(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8), id="Ed25519, as the driver"),
        pytest.param(secp256k1, id="a curve that Go has not"),
        pytest.param(locked, id="encrypted PKCS#8"),
        pytest.param(locked_old, id="encrypted with headers"),
        pytest.param(public, id="a public key"),
        pytest.param(rsa_text[:400] + rsa_text[-30:], id="damaged"),
        pytest.param(b"-----BEGIN X-----\nAAAA\n-----END X-----\n", id="no DER"),
        pytest.param(b"-----BEGIN X-----\n-----END X-----\n", id="an empty block"),
        pytest.param(b"\x30\x82binary", id="PKCS#12 or other binary"),
    ]


@pytest.mark.parametrize("content", refused())
def test_other_keys_are_refused(content: bytes) -> None:
    with pytest.raises(Unusable, match=r"^s: "):
        pem.private_key("s", content)


def test_no_certificate_is_an_error() -> None:
    with pytest.raises(Unusable, match="no PEM certificate"):
        pem.certificates("s", b"x")


def test_an_ec_key_without_public_part_is_refused() -> None:
    der = bytes.fromhex("302d0201010420") + b"\1" * 32 + bytes.fromhex("a00706052b81040022")
    with pytest.raises(Unusable, match="public part"):
        pem.private_key("s", pem._encoded("EC PRIVATE KEY", der))


@given(st.binary(max_size=80))
def test_any_der_is_a_key_or_an_error_of_ours(der: bytes) -> None:
    try:
        pem.private_key("s", pem._encoded("PRIVATE KEY", der))
    except Unusable:
        return
    raise AssertionError("so short a key does not exist")
