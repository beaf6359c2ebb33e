"""AWS Signature Version 4 for the few requests that keyferry makes (AWS IAM User Guide, "Signature Version 4").

Pure, instead of ``botocore.auth.SigV4Auth``, which costs ten times its CPU; a property test holds the two equal. There
is no default identity: whoever signs brings the credentials.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

from driver.model import Credentials


class Scope(NamedTuple):
    """What a signature is good for: ``moment`` (``YYYYMMDDTHHMMSSZ``, UTC), region and service."""

    moment: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.moment[:8]}/{self.region}/{self.service}/aws4_request"


class Signer:
    """Signs POSTs that differ in their bodies only: all that they have in common is worked out once.

    ``path`` is absolute and percent-encoded, without a query. ``headers`` have lower-case names; all of them are
    signed, so ``host`` is one and ``user-agent`` is not. ``added`` are the headers to send beside them and
    ``authorization``: date and session token.
    """

    def __init__(self, path: str, headers: Mapping[str, str], credentials: Credentials, scope: Scope) -> None:
        self.added = {"x-amz-date": scope.moment}
        if credentials.session_token:
            self.added["x-amz-security-token"] = credentials.session_token
        every = sorted((*headers.items(), *self.added.items()))
        names = ";".join(name for name, _ in every)
        lines = "\n".join(f"{name}:{' '.join(value.split())}" for name, value in every)
        self._request = f"POST\n{path}\n\n{lines}\n\n{names}\n"
        self._text = f"AWS4-HMAC-SHA256\n{scope.moment}\n{scope}\n"
        self._key = _key(credentials.secret_key, scope)
        self._start = f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature="

    def authorization(self, body: bytes) -> str:
        """Return the header of that name for a body."""
        request = f"{self._request}{hashlib.sha256(body).hexdigest()}"
        digest = hashlib.sha256(request.encode()).hexdigest()
        return self._start + _mac(self._key, self._text + digest).hex()


def _key(secret: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (scope.moment[:8], scope.region, scope.service, "aws4_request"):
        key = _mac(key, part)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
