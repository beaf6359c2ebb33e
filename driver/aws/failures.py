"""What an AWS error code means for the caller: one table, one function.

Codes are those of the API pages of Secrets Manager (GetSecretValue, BatchGetSecretValue), Systems Manager
(GetParameters, GetParametersByPath), STS (AssumeRoleWithWebIdentity, AssumeRole) and their "Common Errors". AWS's
message texts are looked at where a code has two meanings, and never quoted.
"""

from collections.abc import Callable, Mapping

import msgspec

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
from driver.model import AuthMethod, Principal


class Asked(msgspec.Struct, frozen=True):
    """What was asked, for the words of an error.

    ``permission`` is the IAM action. ``name`` is the object; for STS the role. ``who`` is the identity that asked.
    """

    permission: str
    name: str
    region: str
    who: str
    version: str = ""
    label: str = ""


def who(principal: Principal) -> str:
    """Return the words for an identity."""
    if principal.role:
        return principal.role
    if principal.method is AuthMethod.AMBIENT:
        return "the process's own identity"
    return f"service account {principal.namespace}/{principal.service_account}"


class Refusal(msgspec.Struct, frozen=True):
    """AWS's error: HTTP status, code (empty if none was understood) and message, which is never shown."""

    status: int
    code: str
    message: str = ""

    def __repr__(self) -> str:
        return f"Refusal({self.status}, {self.code!r})"


class ClockSkewed(CredentialsExpired):
    """AWS refused the signature's time. The transport learns the offset and signs again."""


_Maker = Callable[[Asked, Refusal], KeyferryError]


def translate(refusal: Refusal, asked: Asked) -> KeyferryError:
    """Return the error for a refusal. Total: an unknown code is Unavailable from 500 on, else Unusable."""
    maker = _TABLE.get(refusal.code)
    if maker is not None:
        return maker(asked, refusal)
    if refusal.status == 429:
        return _throttled(asked, refusal)
    if refusal.status >= 500 or refusal.status < 400:
        return _down(asked, refusal)
    if refusal.status == 403 or refusal.code.startswith("AccessDenied"):
        return _access_denied(asked, refusal)
    return Unusable(asked.name, f"AWS refused {_at(asked, refusal)}", "look the code up in the API's documentation")


def _at(asked: Asked, refusal: Refusal) -> str:
    """Return which call, where, with which code."""
    code = refusal.code if refusal.code.isascii() and refusal.code.isalnum() and len(refusal.code) < 80 else ""
    return f"{asked.permission} in {asked.region} ({code or f'HTTP {refusal.status}'})"


def _version(asked: Asked) -> str:
    parts = [f"version {asked.version}" if asked.version else "", f"label {asked.label}" if asked.label else ""]
    return " with ".join(part for part in parts if part)


def _denied(asked: Asked, refusal: Refusal) -> KeyferryError:
    if "KMS" in refusal.message or "kms:" in refusal.message:
        return _key_denied(asked, refusal)
    remedy = f"allow {asked.permission} on it, and kms:Decrypt for a key of your own"
    return AccessDenied(asked.name, f"{asked.who} may not do {_at(asked, refusal)}", remedy)


def _key_denied(asked: Asked, refusal: Refusal) -> KeyferryError:
    remedy = f"allow kms:Decrypt for {asked.who} in the policy of the KMS key"
    return AccessDenied(asked.name, f"its KMS key may not be used for {_at(asked, refusal)}", remedy)


def _trust(asked: Asked, refusal: Refusal) -> KeyferryError:
    """Return the error of an AssumeRole... that the role's trust policy does not allow."""
    remedy = f"let the trust policy of the role, which must exist, allow {asked.permission} for {asked.who}"
    return AccessDenied(asked.name, f"{asked.who} may not assume the role: {_at(asked, refusal)}", remedy)


def _access_denied(asked: Asked, refusal: Refusal) -> KeyferryError:
    return (_trust if asked.permission.startswith("sts:") else _denied)(asked, refusal)


def _missing(asked: Asked, refusal: Refusal) -> KeyferryError:
    which = _version(asked)
    if which and "secret value" in refusal.message:
        remedy = "correct objectVersion or objectVersionLabel"
        return NotFound(asked.name, f"it has no {which} in {asked.region} ({refusal.code})", remedy)
    cause = f"it does not exist in {asked.region}" + (f", or has no {which}" if which else "")
    return NotFound(asked.name, f"{cause} ({refusal.code})", "create it there, or correct its name or the region")


def _version_missing(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"it has no {_version(asked) or 'such version'} in {asked.region} ({refusal.code})"
    return NotFound(asked.name, cause, "correct objectVersion or objectVersionLabel")


def _pending(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"its state in {asked.region} does not allow reading ({refusal.code}): it is most likely to be deleted"
    return Unusable(asked.name, cause, "restore it with secretsmanager:RestoreSecret, or remove it from the manifest")


def _malformed(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"AWS takes it for no valid request: {_at(asked, refusal)}"
    return Unusable(asked.name, cause, "correct its name, version or label")


def _key_unusable(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"its KMS key cannot decrypt it: {_at(asked, refusal)}"
    return Unusable(asked.name, cause, "check that the key exists, is enabled and is used by this object")


def _expired(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"AWS does not take the credentials of {asked.who}: {_at(asked, refusal)}"
    return CredentialsExpired(asked.name, cause, "try again; if it stays, check the node's clock")


def _signature(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"AWS refused the signature: {_at(asked, refusal)}"
    return CredentialsExpired(asked.name, cause, "check the node's clock and what stands between it and AWS")


def _skewed(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"the node's clock and AWS's differ: {_at(asked, refusal)}"
    return ClockSkewed(asked.name, cause, "set the node's clock")


def _signature_or_clock(asked: Asked, refusal: Refusal) -> KeyferryError:
    clock = "expired" in refusal.message or "not yet current" in refusal.message
    return (_skewed if clock else _signature)(asked, refusal)


def _expired_token(asked: Asked, refusal: Refusal) -> KeyferryError:
    if asked.permission != "sts:AssumeRoleWithWebIdentity":
        return _expired(asked, refusal)
    cause = f"the token of {asked.who} has expired, says STS in {asked.region} ({refusal.code})"
    return IdentityRefused(asked.name, cause, "check the node's clock; the kubelet brings a new token by itself")


def _bad_token(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"STS does not take the token of {asked.who} in {asked.region} ({refusal.code})"
    remedy = "check the cluster's IAM OIDC provider: issuer, audience sts.amazonaws.com, the role's account"
    return IdentityRefused(asked.name, cause, remedy)


def _region_off(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"STS is not active in {asked.region} for the role's account ({refusal.code})"
    return IdentityRefused(asked.name, cause, "activate the region in IAM's account settings or name another")


def _throttled(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"AWS asks for fewer calls: {_at(asked, refusal)}"
    return Throttled(asked.name, cause, "it is tried again by itself; raise the account's quota if it stays")


def _down(asked: Asked, refusal: Refusal) -> KeyferryError:
    cause = f"AWS is unwell: {_at(asked, refusal)}"
    return Unavailable(asked.name, cause, "it is tried again by itself; see the AWS Health Dashboard if it stays")


_CODES: Mapping[_Maker, str] = {
    _access_denied: "AccessDenied AccessDeniedException NotAuthorized OptInRequired UnauthorizedOperation"
    " AccountProblem InvalidClientException",
    _key_denied: "KMSAccessDeniedException KMS.AccessDeniedException KmsAccessDenied",
    _missing: "ResourceNotFoundException ResourceNotFound ParameterNotFound ResourceNotReady",
    _version_missing: "ParameterVersionNotFound ParameterVersionLabelLimitExceeded",
    _pending: "InvalidRequestException",
    _malformed: "InvalidParameterException InvalidParameterValue ValidationException ValidationError"
    " InvalidFilterKey InvalidFilterValue InvalidFilterOption InvalidContextAssertion"
    " InvalidNextTokenException InvalidNextToken MalformedPolicyDocument"
    " PackedPolicyTooLarge SerializationException InvalidParameterCombination MissingParameter"
    " UnknownOperationException InvalidAction",
    _key_unusable: "DecryptionFailure DecryptionFailureException EncryptionFailure InvalidKeyId KMSDisabledException"
    " KMSInvalidStateException KMSNotFoundException KMS.DisabledException KMS.InvalidStateException"
    " KMS.NotFoundException KMSOptInRequired KMSInvalidKeyUsageException InvalidCiphertextException",
    _expired: "UnrecognizedClientException InvalidClientTokenId InvalidAccessKeyId MissingAuthenticationToken"
    " MissingAuthenticationTokenException InvalidSecurity TokenRefreshRequired",
    _expired_token: "ExpiredToken ExpiredTokenException",
    _signature: "SignatureDoesNotMatch IncompleteSignature IncompleteSignatureException",
    _signature_or_clock: "InvalidSignatureException",
    _skewed: "RequestTimeTooSkewed RequestExpired RequestInTheFuture",
    _bad_token: "InvalidIdentityToken InvalidIdentityTokenException IDPRejectedClaim IDPRejectedClaimException",
    _region_off: "RegionDisabledException RegionDisabled",
    _throttled: "Throttling ThrottlingException ThrottledException RequestThrottled RequestThrottledException"
    " TooManyRequests TooManyRequestsException RequestLimitExceeded BandwidthLimitExceeded LimitExceededException"
    " SlowDown PriorRequestNotComplete TransactionInProgressException ProvisionedThroughputExceededException"
    " KMSThrottlingException EC2ThrottledException",
    _down: "InternalServiceError InternalServiceErrorException InternalServerError InternalServerErrorException"
    " InternalFailure InternalError ServiceUnavailable ServiceUnavailableException IDPCommunicationError"
    " IDPCommunicationErrorException RequestTimeout RequestTimeoutException DependencyTimeout KMSInternalException",
}
_TABLE: Mapping[str, _Maker] = {code: maker for maker, codes in _CODES.items() for code in codes.split()}
