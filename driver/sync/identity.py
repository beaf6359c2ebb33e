"""As whom an object's values are read: a service account's token, asked for by TokenRequest, or keyferry's own role.

A token is always of the object's own namespace, so that no object can borrow the identity of another's.
"""

import base64
import binascii
import time
from dataclasses import dataclass

import msgspec

from driver.cache import Cache
from driver.errors import AccessDenied, KeyferryError, Unavailable
from driver.model import AUDIENCES, Access, AuthMethod, Clock, Token
from driver.sync.cluster import Api
from driver.sync.plan import SyncPlan

LIFE = 3_600
"""Seconds for which a token is asked for; the API server may give less or more."""

RENEW = 0.8
"""Part of its life after which a token is replaced."""


class _Account(msgspec.Struct):
    uid: str = ""


class _Kubernetes(msgspec.Struct):
    serviceaccount: _Account = msgspec.field(default_factory=_Account)


class _Claims(msgspec.Struct):
    exp: float
    iat: float
    kubernetes: _Kubernetes = msgspec.field(default_factory=_Kubernetes, name="kubernetes.io")


@dataclass(frozen=True, slots=True)
class _Held:
    token: Token
    uid: str
    life: float


_Key = tuple[str, str, str]


class Identities:
    """Tokens of service accounts, kept until most of their life is over. Lives as long as the process."""

    def __init__(self, api: Api, *, clock: Clock = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._tokens: Cache[_Key, _Held] = Cache(weight=10_000, weigh=lambda _: 1, clock=clock)

    def access(self, plan: SyncPlan) -> Access:
        """Return how a plan's values are asked for. Raises KeyferryError when there is no token to be had."""
        if plan.method is AuthMethod.AMBIENT:
            # keyferry itself, whatever the namespace: what a namespace may ask of it is the policy's matter, and
            # objects that share a role share its reads
            return Access(AuthMethod.AMBIENT, "", "", "", plan.region, plan.failover_region)
        held = self._held((plan.origin.namespace, plan.service_account, AUDIENCES[plan.method]))
        return Access(
            plan.method,
            plan.origin.namespace,
            plan.service_account,
            held.uid,
            plan.region,
            plan.failover_region,
            held.token,
            plan.address_type,
        )

    def _held(self, account: _Key) -> _Held:
        try:
            return self._tokens.load(account, lambda: self._ask(account), _seconds, timeout=10)
        except (Unavailable, TimeoutError) as error:
            entry = self._tokens.last_good(account)  # the last fifth of its life is for this
            if entry and self._clock() - entry.loaded < entry.value.life:
                return entry.value
            if isinstance(error, Unavailable):
                raise
            subject = _subject(account)
            raise Unavailable(subject, "the Kubernetes API server did not answer", "check the API server") from None

    def _ask(self, account: _Key) -> _Held:
        try:
            token = self._api.create_token(*account, LIFE)
        except AccessDenied:
            remedy = "give it the right: sync.tokenRequests.enabled=true in the chart"
            raise AccessDenied(_subject(account), "keyferry may not make one", remedy) from None
        claims = _claims(token, _subject(account))
        return _Held(token, claims.kubernetes.serviceaccount.uid, claims.exp - claims.iat)


def _subject(account: _Key) -> str:
    return f"token of service account {account[0]}/{account[1]}"


def _seconds(outcome: _Held | KeyferryError) -> float:
    return outcome.life * RENEW if isinstance(outcome, _Held) else 2.0


def _claims(token: Token, subject: str) -> _Claims:
    """Return what a token of the API server says about itself; AWS checks the signature."""
    try:
        payload = token.reveal().split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), type=_Claims)
    except (IndexError, binascii.Error, msgspec.DecodeError, msgspec.ValidationError):
        raise Unavailable(subject, "the API server's token is not understood", "check the API server") from None
