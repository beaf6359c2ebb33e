"""Texts that must never be seen where they do not belong, and the search for them.

A canary is searched for in plain text, base64 at each of its three alignments, hex, URL and JSON form, and in halves,
so that a cut or quoted piece is found too.
"""

import base64
import json
from urllib.parse import quote

from tests.driverside import token

VALUE = 'k4N-4ry"VaLuE/ä+z9Qx7'
"""A secret's text; what escapes change is in it."""
SECRET_KEY = "c4NarySecretKey+/8dHq2Lw0ZrT5vBn1"
SESSION = "c4NarySessionToken+/3kJx7mPq9YsW"
CLAIM = "c4nary-claim-5hGf2Jk8"
TOKEN = token(jti=CLAIM)


def spellings(canary: str) -> set[str]:
    """Return all texts of which one betrays the canary or half of it."""
    raw = canary.encode()
    halves = (raw, raw[: len(raw) // 2], raw[len(raw) // 2 :])
    return {text for half in halves for text in _written(half)}


def _written(raw: bytes) -> set[str]:
    text = raw.decode(errors="replace")
    found = {text, repr(text)[1:-1], repr(raw)[2:-1], raw.hex(), quote(raw, safe=""), json.dumps(text)[1:-1]}
    for shift in range(3):
        inner = base64.b64encode(b"\0" * shift + raw)[4 if shift else 0 : -4].decode()
        found |= {inner, inner.replace("+", "-").replace("/", "_"), quote(inner, safe="")}
    return {each.lower() for each in found if len(each) >= 8}


def leaks(text: str, *canaries: str) -> list[str]:
    """Return what of the canaries is in a text."""
    lower = text.lower()
    return [spelling for canary in canaries for spelling in sorted(spellings(canary)) if spelling in lower]
