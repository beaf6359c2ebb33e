"""AWS Signature Version 4 for the few requests that keyferry makes (AWS IAM User Guide, "Signature Version 4").

A pure function instead of ``botocore.auth.SigV4Auth``, which costs five times its CPU; a property test holds the two
equal. There is no default identity: whoever signs brings the credentials.
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


def sign(path: str, headers: Mapping[str, str], body: bytes, credentials: Credentials, scope: Scope) -> dict[str, str]:
    """Return the headers to add to a POST so that it is signed: date, session token, authorization.

    ``path`` is absolute and percent-encoded, without a query. ``headers`` have lower-case names; all of them are
    signed, so ``host`` is one and ``user-agent`` is not.
    """
    added = {"x-amz-date": scope.moment}
    if credentials.session_token:
        added["x-amz-security-token"] = credentials.session_token
    every = sorted((*headers.items(), *added.items()))
    names = ";".join(name for name, _ in every)
    lines = "\n".join(f"{name}:{' '.join(value.split())}" for name, value in every)
    request = f"POST\n{path}\n\n{lines}\n\n{names}\n{hashlib.sha256(body).hexdigest()}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    signature = _mac(_key(credentials.secret_key, scope), f"AWS4-HMAC-SHA256\n{scope.moment}\n{scope}\n{digest}").hex()
    added["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return added


def _key(secret: str, scope: Scope) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (scope.moment[:8], scope.region, scope.service, "aws4_request"):
        key = _mac(key, part)
    return key


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
