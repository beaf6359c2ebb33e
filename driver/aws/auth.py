"""Who a pod is: its token becomes AWS credentials, kept while they hold.

No call is served from memory without a proof: a principal (method, namespace, service account, uid, role) has one while
credentials that AWS gave for it have not expired. In an outage, and only then, a principal that AWS accepted within the
last day has a proof without credentials: nothing can be read with it, and last good values may be served.

Tokens differ from pod to pod of one service account, so a refused token refuses only its own call and those that bring
the very same; a pod with another token asks for itself. A denied role concerns all pods alike, and ends their proofs.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as NotInTime
from contextlib import contextmanager

from driver.aws.podidentity import PodIdentity
from driver.aws.sts import Sts
from driver.aws.transport import Transport
from driver.cache import Cache
from driver.errors import IdentityRefused, KeyferryError, Unavailable
from driver.model import Access, AuthMethod, Clock, Credentials, Deadline, Principal, Proof, Role, Token

RoleOf = Callable[[str, str, Deadline], str]
"""The role ARN of a service account: (namespace, name, deadline). Raises KeyferryError."""

EARLY = 300.0
"""Credentials are renewed this many seconds before they expire."""
REFUSED = 3.0
UNAVAILABLE = 0.4
"""Seconds for which a refusal and an outage are remembered."""
PATIENCE = 3.0
"""Seconds that a renewal may take when there is something to fall back on."""
PRINCIPALS = 4_096


class Authenticator:
    """An Auth (``driver.resolve``). Lives as long as the process; safe for many threads.

    ``stale``: seconds for which an accepted principal may be served last good values in an outage. ``refreshed`` is
    told how each attempt to get credentials ended: ``ok`` or an error's reason.
    """

    def __init__(
        self,
        transport: Transport,
        role_of: RoleOf,
        *,
        agent: PodIdentity | None = None,
        ambient: Callable[[], Credentials] | None = None,
        stale: float = 86_400.0,
        refreshed: Callable[[str], object] = len,
        clock: Clock = time.monotonic,
    ) -> None:
        self._refreshed = refreshed
        self._sts = Sts(transport, clock)
        self._role_of = role_of
        self._agent = agent or PodIdentity(clock=clock)
        self._ambient = ambient
        self._stale = stale
        self._clock = clock
        self._held: Cache[Principal, Credentials] = Cache(weight=PRINCIPALS, weigh=lambda _: 1, clock=clock)
        self._apart: Cache[tuple[Principal, Token | None], Credentials] = Cache(
            weight=256, weigh=lambda _: 1, clock=clock
        )
        self._chained: Cache[tuple[Principal, tuple[Role, ...]], Credentials] = Cache(
            weight=PRINCIPALS, weigh=lambda _: 1, clock=clock
        )

    def prove(self, access: Access, deadline: Deadline) -> Proof:
        """Return the proof for an access (``driver.resolve.Auth``)."""
        principal = self._principal(access, deadline)
        if access.method is AuthMethod.AMBIENT:
            return Proof(access, principal, self._own())
        try:
            return Proof(access, principal, self._accepted(access, principal, deadline))
        except Unavailable as failure:
            return self._fallback(access, principal, failure)

    def _principal(self, access: Access, deadline: Deadline) -> Principal:
        role = ""
        if access.method is AuthMethod.IRSA:
            role = self._role_of(access.namespace, access.service_account, deadline)
        return Principal(access.method, access.namespace, access.service_account, access.uid, role)

    def _own(self) -> Credentials:
        if self._ambient is None:
            raise IdentityRefused("this process", "it acts for pods only", "name a service account")
        return self._ambient()

    def _accepted(self, access: Access, principal: Principal, deadline: Deadline) -> Credentials:
        """Return credentials that AWS gave for the principal, asking with this token if there are none."""
        asked = False

        def ask() -> Credentials:
            nonlocal asked
            asked = True
            return self._ask(access, principal, limit)

        limit = self._limit(self._held, principal, deadline)
        try:
            return self._held.load(principal, ask, self._seconds, limit.remaining())
        except NotInTime:
            raise _late(access) from None
        except IdentityRefused:
            if asked:
                raise
        key = (principal, access.token)  # it was another pod's token that was refused
        try:
            return self._apart.load(key, ask, self._seconds, limit.remaining())
        except NotInTime:
            raise _late(access) from None

    def _ask(self, access: Access, principal: Principal, deadline: Deadline) -> Credentials:
        with self._told():
            return self._obtained(access, principal, deadline)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except KeyferryError as error:
            self._refreshed(error.reason)
            raise
        self._refreshed("ok")

    def _obtained(self, access: Access, principal: Principal, deadline: Deadline) -> Credentials:
        if access.method is AuthMethod.POD_IDENTITY:
            return self._agent.with_token(access, deadline)
        if not access.failover_region:
            return self._sts.with_token(access, principal, access.region, deadline)
        try:
            first = deadline.within(deadline.remaining() / 2)
            return self._sts.with_token(access, principal, access.region, first)
        except Unavailable:
            return self._sts.with_token(access, principal, access.failover_region, deadline)

    def _limit(self, cache: Cache[Principal, Credentials], principal: Principal, deadline: Deadline) -> Deadline:
        entry = cache.last_good(principal)
        spare = entry is not None and self._clock() - entry.value.obtained <= self._stale
        return deadline.within(PATIENCE) if spare else deadline

    def _fallback(self, access: Access, principal: Principal, failure: Unavailable) -> Proof:
        """Return the proof that an outage leaves: credentials that still hold, else leave to serve what is kept."""
        entry = self._held.last_good(principal)
        if entry is not None and self._clock() < entry.value.expires:
            return Proof(access, principal, entry.value)
        if entry is not None and self._clock() - entry.value.obtained <= self._stale:
            return Proof(access, principal, None, failure)
        raise failure

    def _seconds(self, outcome: Credentials | KeyferryError) -> float:
        if isinstance(outcome, KeyferryError):
            return UNAVAILABLE if isinstance(outcome, Unavailable) else REFUSED
        left = outcome.expires - self._clock()
        return max(left - EARLY, left / 2)

    def credentials(self, proof: Proof, chain: tuple[Role, ...], region: str, deadline: Deadline) -> Credentials:
        """Return the credentials at the end of a chain of roles (``driver.resolve.Auth``)."""
        if not chain:
            return _held_by(proof)
        key = (proof.principal, chain)
        try:
            return self._chained.load(
                key, lambda: self._hop(proof, chain, region, deadline), self._seconds, deadline.remaining()
            )
        except (Unavailable, NotInTime) as failure:
            entry = self._chained.last_good(key)
            if entry is not None and self._clock() < entry.value.expires:
                return entry.value
            if isinstance(failure, Unavailable):
                raise
            raise _late(proof.access) from None

    def _hop(self, proof: Proof, chain: tuple[Role, ...], region: str, deadline: Deadline) -> Credentials:
        caller = self.credentials(proof, chain[:-1], region, deadline)
        with self._told():
            return self._sts.assume(
                chain[-1], caller, access=proof.access, principal=proof.principal, region=region, deadline=deadline
            )

    def renew(self, proof: Proof, deadline: Deadline) -> Proof:
        """Forget all credentials that came of a proof and prove anew (``driver.resolve.Auth``).

        Credentials that another call renewed meanwhile are kept: a storm of refusals costs one renewal.
        """
        principal, old = proof.principal, proof.credentials
        self._held.drop(lambda key, entry: key == principal and entry.value is old)
        self._apart.drop(lambda key, entry: key[0] == principal and entry.value is old)
        newer = self._held.last_good(principal)
        before = newer.loaded if newer else self._clock()
        self._chained.drop(lambda key, entry: key[0] == principal and entry.loaded <= before)
        return self.prove(proof.access, deadline)


def _held_by(proof: Proof) -> Credentials:
    if proof.credentials is not None:
        return proof.credentials
    if isinstance(proof.failure, KeyferryError):
        raise proof.failure
    raise _late(proof.access)


def _late(access: Access) -> Unavailable:
    subject = f"service account {access.namespace}/{access.service_account}"
    return Unavailable(subject, "its credentials did not come in time", "try again; check the network path to AWS")
