"""Certificates and private keys as driver 1.6.0 puts them into Secrets of type ``kubernetes.io/tls``.

The driver re-encodes keys: RSA as PKCS#1, EC as SEC 1, whatever form they were in. For both that is a matter of the
DER around the numbers (RFC 8017 A.1.2, RFC 5958, RFC 5915), so no cryptography is done here, and the bytes are equal.
Where it would be needed (PKCS#12, an encrypted key, an EC key without its public half) the key is refused. The driver
writes an empty PEM block for a key that it cannot read; here that is an error.
"""

import base64
import binascii
from collections.abc import Iterator

from driver.errors import Unusable

_INTEGER, _BITS, _OCTETS, _OID, _SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30
_CURVE, _PUBLIC = 0xA0, 0xA1
_RSA = bytes.fromhex("2a864886f70d010101")
_EC = bytes.fromhex("2a8648ce3d0201")
_CURVE_BYTES = {
    bytes.fromhex("2b81040021"): 28,  # P-224
    bytes.fromhex("2a8648ce3d030107"): 32,  # P-256
    bytes.fromhex("2b81040022"): 48,  # P-384
    bytes.fromhex("2b81040023"): 66,  # P-521
}
_REMEDY = "store the certificate chain and an unencrypted RSA or EC key as PEM"

_Tlv = tuple[int, bytes]


class _Malformed(Exception):
    """Not the DER that was expected. It becomes an error where the subject is known."""


def certificates(subject: str, content: bytes) -> bytes:
    """Return all certificates of a PEM text, in order. Raises ``Unusable`` when there is none."""
    found = [_encoded("CERTIFICATE", der) for kind, der in _blocks(subject, content) if kind == "CERTIFICATE"]
    if not found:
        raise Unusable(subject, "there is no PEM certificate in it", _REMEDY)
    return b"".join(found)


def private_key(subject: str, content: bytes) -> bytes:
    """Return the private key of a PEM text: its last block that is no certificate. Raises ``Unusable``."""
    others = [block for block in _blocks(subject, content) if block[0] != "CERTIFICATE"]
    if not others:
        raise Unusable(subject, "there is no PEM private key in it", _REMEDY)
    try:
        return _key(_children(_only(others[-1][1], _SEQUENCE)), others[-1][1])
    except _Malformed:
        cause = "its private key is of a kind or form that cannot be converted"
        raise Unusable(subject, cause, _REMEDY + "; an EC key needs its public part too") from None


def _blocks(subject: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    kind = ""
    lines: list[str] = []
    for line in content.decode("latin-1").splitlines():
        text = line.strip()
        if text.startswith("-----BEGIN ") and text.endswith("-----"):
            kind, lines = text[11:-5], []
        elif kind and text == f"-----END {kind}-----":
            yield kind, _body(subject, lines)
            kind = ""
        elif kind:
            lines.append(text)


def _body(subject: str, lines: list[str]) -> bytes:
    if any(":" in line for line in lines):
        if any("ENCRYPTED" in line for line in lines):
            raise Unusable(subject, "its private key is encrypted", _REMEDY)
        lines = lines[lines.index("") :] if "" in lines else []
    try:
        return base64.b64decode("".join(lines), validate=True)
    except binascii.Error:
        raise Unusable(subject, "a PEM block in it is damaged", _REMEDY) from None


def _encoded(kind: str, der: bytes) -> bytes:
    text = base64.b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {kind}-----", *lines, f"-----END {kind}-----", ""]).encode()


def _key(parts: list[_Tlv], der: bytes) -> bytes:
    tags = [tag for tag, _ in parts]
    if tags[:2] == [_INTEGER, _SEQUENCE] and len(parts) > 2 and tags[2] == _OCTETS:
        return _pkcs8(parts)
    if tags == [_INTEGER] * 9:
        return _encoded("RSA PRIVATE KEY", der)
    if tags[:2] == [_INTEGER, _OCTETS]:
        return _sec1(parts, b"")
    raise _Malformed


def _pkcs8(parts: list[_Tlv]) -> bytes:
    algorithm = _children(parts[1][1])
    inner = _children(_only(parts[2][1], _SEQUENCE))
    if algorithm[:1] == [(_OID, _RSA)] and [tag for tag, _ in inner] == [_INTEGER] * 9:
        return _encoded("RSA PRIVATE KEY", parts[2][1])
    if algorithm[:1] == [(_OID, _EC)] and [tag for tag, _ in algorithm] == [_OID, _OID]:
        return _sec1(inner, algorithm[1][1])
    raise _Malformed


def _sec1(parts: list[_Tlv], curve: bytes) -> bytes:
    """Return an EC key with curve and public key, both of which are optional in what comes in."""
    if [tag for tag, _ in parts[:2]] != [_INTEGER, _OCTETS]:
        raise _Malformed
    optional = dict(parts[2:])
    curve = curve or _only(optional.get(_CURVE, b""), _OID)
    size = _CURVE_BYTES.get(curve, 0)
    number = parts[1][1].lstrip(b"\0")
    public = _only(optional.get(_PUBLIC, b""), _BITS)
    if parts[0][1] != b"\1" or not 0 < len(number) <= size:
        raise _Malformed
    if public[:2] != b"\0\4" or len(public) != 2 + 2 * size:  # all bits used, point not compressed
        raise _Malformed
    der = _tlv(_INTEGER, b"\1") + _tlv(_OCTETS, number.rjust(size, b"\0"))
    der += _tlv(_CURVE, _tlv(_OID, curve)) + _tlv(_PUBLIC, _tlv(_BITS, public))
    return _encoded("EC PRIVATE KEY", _tlv(_SEQUENCE, der))


def _only(der: bytes, tag: int) -> bytes:
    """Return the content of the one value of this tag that fills ``der``."""
    found = _children(der)
    if len(found) != 1 or found[0][0] != tag:
        raise _Malformed
    return found[0][1]


def _children(der: bytes) -> list[_Tlv]:
    found: list[_Tlv] = []
    at = 0
    while at < len(der):
        length, start = _length(der, at + 1)
        if start + length > len(der):
            raise _Malformed
        found.append((der[at], der[start : start + length]))
        at = start + length
    return found


def _length(der: bytes, at: int) -> tuple[int, int]:
    """Return a length and where the content starts."""
    if at >= len(der):
        raise _Malformed
    first = der[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    if not 1 <= count <= 3 or at + count >= len(der):
        raise _Malformed
    return int.from_bytes(der[at + 1 : at + 1 + count], "big"), at + 1 + count


def _tlv(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content
