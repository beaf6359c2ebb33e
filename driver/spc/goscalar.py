"""What go-yaml v2 makes of a plain YAML scalar, and the text sigs.k8s.io/yaml then hands to a string field.

AWS provider 3.1.1 decodes ``objects`` with these two libraries (YAML 1.1): an unquoted ``0600`` reaches it as ``384``,
``yes`` as ``true``, ``1.10`` as ``1.1``. A float is printed with 32-bit precision (``FormatFloat(x, 'g', -1, 32)``).
"""

import math
import re
import struct

_WORDS = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), "true"),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), "false"),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), "NaN"),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), "+Inf"),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), "-Inf"),
}
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
# Python's float takes underscores between digits as Go's ParseFloat does
_FRACTION = re.compile(r"\.[0-9]+(_[0-9]+)*([eE][-+]?[0-9]+(_[0-9]+)*)?", re.ASCII)
_DIGITS = {
    2: re.compile(r"[01]+"),
    8: re.compile(r"[0-7]+"),
    10: re.compile(r"[0-9]+", re.ASCII),
    16: re.compile(r"[0-9a-fA-F]+"),
}
_NUMBER_LIMIT = 400
"""Characters beyond which a text of digits is no number of Go's: its float would be infinite."""


def resolve(raw: str) -> str | None:
    """Return the text that a string field gets for a plain scalar; None for a null."""
    return None if raw in _NULLS else _coerced(raw) or raw


def is_text(raw: str) -> bool:
    """Tell whether a plain scalar is a text to Kubernetes, not a number, truth value or null."""
    return raw not in _NULLS and _coerced(raw) is None


def _coerced(raw: str) -> str | None:
    if raw[0] in "+-.0123456789":
        return _WORDS.get(raw) or _number(raw, raw[0])
    return _WORDS.get(raw)


def _number(raw: str, first: str) -> str | None:
    if len(raw) > _NUMBER_LIMIT:
        return None
    if first == ".":
        return _float_text(float(raw)) if _FRACTION.fullmatch(raw) else None
    plain = raw.replace("_", "")
    whole = _integer(plain)
    if whole is not None:
        return str(whole)
    return _float_text(float(plain)) if _FLOAT.fullmatch(plain) else None


def _integer(plain: str) -> int | None:
    """Read as Go's ``ParseInt(x, 0, 64)`` and ``ParseUint(x, 0, 64)`` do: a leading 0 alone means octal."""
    signed = plain[:1] in {"+", "-"}
    body = plain[1:] if signed else plain
    base, digits = _base(body)
    if not _DIGITS[base].fullmatch(digits):
        return None
    value = -int(digits, base) if plain.startswith("-") else int(digits, base)
    # An unsigned number takes no sign
    highest = 2**63 if signed else 2**64
    return value if -(2**63) <= value < highest else None


def _base(body: str) -> tuple[int, str]:
    prefixed = {"0x": 16, "0o": 8, "0b": 2}.get(body[:2].lower())
    if prefixed:
        return prefixed, body[2:]
    return (8, body[1:]) if len(body) > 1 and body[0] == "0" else (10, body)


def _float_text(value: float) -> str | None:
    if math.isinf(value):
        return None
    single = _single(value)
    if math.isinf(single):
        return "+Inf" if single > 0 else "-Inf"
    mantissa, exponent = _shortest(single).split("e")
    power = int(exponent)
    return _positional(mantissa, power) if -4 <= power < 6 else f"{mantissa}e{power:+03d}"


def _single(value: float) -> float:
    """Round to a 32-bit float, infinite when it is too large for one."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _shortest(single: float) -> str:
    """Return the scientific form with the fewest digits that reads back as the same 32-bit float."""
    forms = (f"{single:.{digits}e}" for digits in range(9))
    return next(text for text in forms if _single(float(text)) == single)


def _positional(mantissa: str, power: int) -> str:
    digits = mantissa.lstrip("-").replace(".", "")
    sign = "-" if mantissa.startswith("-") else ""
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{digits}"
    padded = digits.ljust(power + 1, "0")
    rest = padded[power + 1 :]
    return sign + padded[: power + 1] + (f".{rest}" if rest else "")
