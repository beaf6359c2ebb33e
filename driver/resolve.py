"""The room between the doors: whose identity, which values, fetched once, all or nothing.

Knows neither gRPC nor Kubernetes nor AWS: what proves an identity (``Auth``) and what reads values (``Backend``) are
handed in. A value never crosses principals: each is kept under the principal for which AWS returned it, and a call
reaches a principal only by a proof.

A read, from inside to outside: kept and fresh → one read shared by all who want it → the failover region, when the
first is unavailable → the last good value, when both are and it is not too old.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from driver.cache import Cache, Entry, Flight
from driver.errors import (
    AccessDenied,
    CredentialsExpired,
    Internal,
    KeyferryError,
    NotFound,
    Unavailable,
    all_of,
)
from driver.fanout import Fanout
from driver.model import (
    Access,
    Call,
    Clock,
    Credentials,
    Deadline,
    Outcome,
    Principal,
    Proof,
    Read,
    Role,
    SecretRef,
    SecretValue,
    Source,
    Store,
    Want,
)

log = logging.getLogger(__name__)

Found = Read | KeyferryError
Key = tuple[Principal, SecretRef]


class Auth(Protocol):
    """Proves identities and turns proofs into credentials."""

    def prove(self, access: Access, deadline: Deadline) -> Proof:
        """Return the proof for an access, from memory while it holds.

        Raises IdentityRefused, AccessDenied, Unavailable.
        """
        ...

    def credentials(self, proof: Proof, chain: tuple[Role, ...], region: str, deadline: Deadline) -> Credentials:
        """Return the credentials at the end of a chain of roles, the proof's own for an empty one.

        From memory while they hold. Raises as ``prove``.
        """
        ...

    def renew(self, proof: Proof, deadline: Deadline) -> Proof:
        """Forget all credentials that came of a proof and prove anew. Raises as ``prove``."""
        ...


class Backend(Protocol):
    """Reads references of one store, as many in one call as the store allows."""

    def fetch(self, call: Call, refs: Sequence[SecretRef]) -> Mapping[SecretRef, Outcome]:
        """Return an outcome for every reference, by the call's deadline. All refs are of the call's region.

        Raises nothing that concerns a single reference; a KeyferryError that is raised concerns all of them.
        """
        ...


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long what is kept, in seconds."""

    fresh: float = 30.0
    """A value is served without asking AWS. 0: every call asks."""
    pinned: float = 3_600.0
    """The same for a value of an explicit version, which cannot change: a revoked right is noticed this late."""
    refused: float = 3.0
    """A denial or a not-found is remembered."""
    unavailable: float = 0.4
    """An outage is remembered: for all who asked together, and not until the kubelet's first retry (0.5 s)."""
    stale: float = 86_400.0
    """A last good value may serve in an outage. 0: never."""
    unseen: float = 600.0
    """The values of a principal that nobody asked for are dropped."""
    patience: float = 5.0
    """AWS has this long to answer when a last good value could serve instead."""


GROUPS_AT_ONCE = 4
"""Stores, regions and role chains of one call that are asked side by side."""

STALE_CREDENTIALS = 300.0
"""Credentials older than this many seconds are renewed once when a read is denied: rights may have changed since."""


class Resolver:
    """Reads what manifests want. Lives as long as the process; safe for many threads."""

    def __init__(
        self,
        *,
        auth: Auth,
        backends: Mapping[Store, Backend],
        fanout: Fanout,
        lifetimes: Lifetimes | None = None,
        weight: int = 32 << 20,
        clock: Clock = time.monotonic,
    ) -> None:
        self._auth = auth
        self._backends = backends
        self._fanout = fanout
        self._lifetimes = lifetimes or Lifetimes()
        self._clock = clock
        self._values: Cache[Key, SecretValue] = Cache(weight=weight, weigh=SecretValue.weight, clock=clock)
        self._seen: dict[Principal, float] = {}

    def resolve(self, access: Access, wants: Sequence[Want], deadline: Deadline) -> dict[SecretRef, Read]:
        """Return a read for every want, under the want's ``ref`` even if the failover region supplied it.

        An optional want that does not exist is left out. Raises one KeyferryError that names every object that could
        not be read; then nothing is returned.
        """
        proof = self._auth.prove(access, deadline)
        self._seen[proof.principal] = self._clock()
        found = self._read(proof, [want.ref for want in wants], deadline)
        self._fail_over(proof, wants, found, deadline)
        return self._judge(proof, wants, found)

    def _fail_over(
        self, proof: Proof, wants: Sequence[Want], found: dict[SecretRef, Found], deadline: Deadline
    ) -> None:
        """Ask the failover region for what the first region was too unwell to give. Never for a refusal."""
        ask = [w.failover for w in wants if w.failover and isinstance(found[w.ref], Unavailable)]
        if ask:
            found.update(self._read(proof, ask, deadline))

    def _judge(self, proof: Proof, wants: Sequence[Want], found: Mapping[SecretRef, Found]) -> dict[SecretRef, Read]:
        reads: dict[SecretRef, Read] = {}
        errors: list[KeyferryError] = []
        for want in wants:
            outcomes = [found[ref] for ref in (want.ref, want.failover) if ref and ref in found]
            read = next((o for o in outcomes if isinstance(o, Read)), None) or self._stale(proof, want, outcomes)
            if read is not None:
                reads[want.ref] = read
            elif not (want.optional and isinstance(outcomes[-1], NotFound)):
                errors.extend(o for o in outcomes if isinstance(o, KeyferryError))
        if errors:
            raise all_of(errors)
        return reads

    def _stale(self, proof: Proof, want: Want, outcomes: Sequence[Found]) -> Read | None:
        """Return the last good value if every region was asked and none was well."""
        if not all(isinstance(outcome, Unavailable) for outcome in outcomes):
            return None
        for ref in (want.ref, want.failover):
            entry = ref and self._servable((proof.principal, ref))
            if ref and entry:
                return Read(ref, entry.value, Source.STALE, self._clock() - entry.loaded)
        return None

    def _servable(self, key: Key) -> Entry[SecretValue] | None:
        entry = self._values.last_good(key)
        return entry if entry and self._clock() - entry.loaded <= self._lifetimes.stale else None

    def _read(self, proof: Proof, refs: Iterable[SecretRef], deadline: Deadline) -> dict[SecretRef, Found]:
        principal = proof.principal
        claim = self._values.claim((principal, ref) for ref in refs)
        now = self._clock()
        found: dict[SecretRef, Found] = {
            ref: Read(ref, entry.value, Source.CACHE, now - entry.loaded) for (_, ref), entry in claim.ready.items()
        }
        found.update((ref, failure) for (_, ref), failure in claim.failed.items())
        if claim.owned:
            found.update(self._load(proof, [ref for _, ref in claim.owned], deadline))
        for (_, ref), flight in claim.pending.items():
            found[ref] = _landed(ref, flight, deadline)
        return found

    def _load(self, proof: Proof, refs: Sequence[SecretRef], deadline: Deadline) -> dict[SecretRef, Found]:
        """Read references that this call owns, and settle every one of them."""
        outcomes: dict[SecretRef, Outcome] = {}
        try:
            if all(self._servable((proof.principal, ref)) for ref in refs):
                deadline = deadline.within(self._lifetimes.patience)
            outcomes.update(self._ask(proof, refs, deadline))
            again = [ref for ref, outcome in outcomes.items() if self._worth_renewing(proof, outcome)]
            if again:
                outcomes.update(self._ask_anew(proof, again, deadline))
        finally:
            for ref in refs:
                outcome = outcomes.setdefault(ref, Internal(ref.name))
                self._values.settle((proof.principal, ref), outcome, self._seconds(ref, outcome))
        return {
            ref: outcome if isinstance(outcome, KeyferryError) else Read(ref, outcome, Source.AWS, 0.0)
            for ref, outcome in outcomes.items()
        }

    def _worth_renewing(self, proof: Proof, outcome: Outcome) -> bool:
        if isinstance(outcome, AccessDenied) and proof.credentials is not None:
            return self._clock() - proof.credentials.obtained > STALE_CREDENTIALS
        return isinstance(outcome, CredentialsExpired)

    def _ask_anew(self, proof: Proof, refs: Sequence[SecretRef], deadline: Deadline) -> dict[SecretRef, Outcome]:
        try:
            renewed = self._auth.renew(proof, deadline)
        except KeyferryError as error:
            return dict.fromkeys(refs, error)
        return self._ask(renewed, refs, deadline)

    def _ask(self, proof: Proof, refs: Sequence[SecretRef], deadline: Deadline) -> dict[SecretRef, Outcome]:
        """Ask the backends, one call per store, region and role chain; the groups run side by side."""
        groups: dict[tuple[Store, str, tuple[Role, ...]], list[SecretRef]] = defaultdict(list)
        for ref in refs:
            groups[ref.store, ref.region, ref.chain].append(ref)
        jobs = [partial(self._ask_group, proof, group, deadline) for group in groups.values()]
        results = self._fanout.run(jobs, GROUPS_AT_ONCE) if len(jobs) > 1 else [jobs[0]()]
        return {ref: outcome for result in results for ref, outcome in result.items()}

    def _ask_group(self, proof: Proof, refs: Sequence[SecretRef], deadline: Deadline) -> Mapping[SecretRef, Outcome]:
        first = refs[0]
        try:
            credentials = self._auth.credentials(proof, first.chain, first.region, deadline)
            call = Call(proof.principal, credentials, first.region, deadline)
            return self._backends[first.store].fetch(call, refs)
        except KeyferryError as error:
            return dict.fromkeys(refs, error)
        except Exception:
            log.exception("a backend failed", extra={"store": first.store, "region": first.region})
            return {ref: Internal(ref.name) for ref in refs}

    def _seconds(self, ref: SecretRef, outcome: Outcome) -> float:
        """Return for how long an outcome needs no new call."""
        if isinstance(outcome, Unavailable):
            return self._lifetimes.unavailable
        if isinstance(outcome, KeyferryError):
            return self._lifetimes.refused
        fresh = self._lifetimes.fresh
        return max(fresh, self._lifetimes.pinned) if fresh and ref.version and not ref.label else fresh

    def prefetch(self, access: Access, refs: Sequence[SecretRef], deadline: Deadline) -> None:
        """Read what is not fresh, in as few calls as the stores allow, for the ``resolve`` calls that follow soon.

        Failures are remembered for those calls; here none is raised but that of the identity.
        """
        proof = self._auth.prove(access, deadline)
        self._seen[proof.principal] = self._clock()
        self._read(proof, refs, deadline)

    def weight(self) -> float:
        """Return the bytes of the values that are kept, roughly."""
        return self._values.weight()

    def forget_unseen(self) -> int:
        """Drop the values of principals that nobody asked for lately, and values too old to serve; return how many."""
        now = self._clock()
        gone = {p for p, seen in list(self._seen.items()) if now - seen > self._lifetimes.unseen}
        for principal in gone:
            self._seen.pop(principal, None)
        oldest = now - max(self._lifetimes.stale, self._lifetimes.fresh)
        return self._values.drop(lambda key, entry: key[0] in gone or entry.loaded < oldest)


def _landed(ref: SecretRef, flight: Flight[SecretValue], deadline: Deadline) -> Found:
    """Wait for a load that another call has under way."""
    try:
        outcome = flight.result(timeout=deadline.remaining())
    except NotInTime:
        return Unavailable(ref.name, "AWS did not answer in time", "try again; check the network path to AWS")
    return outcome if isinstance(outcome, KeyferryError) else Read(ref, outcome, Source.CACHE, 0.0)
