"""Stand-ins at real seams: a clock that moves when told, an Auth and a Backend that follow a script."""

import threading
from collections.abc import Callable, Mapping, Sequence

from driver.errors import KeyferryError
from driver.model import (
    Access,
    AuthMethod,
    Call,
    Credentials,
    Deadline,
    Outcome,
    Principal,
    Proof,
    Role,
    SecretRef,
    SecretValue,
    Store,
    Token,
)


class FakeClock:
    """Monotonic seconds that pass only by ``advance``."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def access(account: str = "app", *, namespace: str = "shop", uid: str = "u-1", token: str = "t") -> Access:
    """Return a pod's access by IRSA."""
    return Access(AuthMethod.IRSA, namespace, account, uid, "eu-west-1", token=Token(token))


def ref(name: str, region: str = "eu-west-1", version: str = "", label: str = "") -> SecretRef:
    """Return a Secrets Manager reference."""
    return SecretRef(Store.SECRETS_MANAGER, name, region, version, label)


class FakeAuth:
    """Proves everyone, counts, and refuses or fails as its ``failure`` says."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.generation = 1
        self.renewals = 0
        self.failure: KeyferryError | None = None
        self.outage: KeyferryError | None = None
        self.assumed: list[tuple[Role, ...]] = []
        self.obtained = clock()

    def prove(self, access: Access, deadline: Deadline) -> Proof:
        if self.failure:
            raise self.failure
        principal = Principal(access.method, access.namespace, access.service_account, access.uid, "role")
        held = None if self.outage else self._held()
        return Proof(access, principal, held, self.outage)

    def _held(self) -> Credentials:
        return Credentials(f"key-{self.generation}", "s", "t", self.obtained + 3600, self.obtained)

    def credentials(self, proof: Proof, chain: tuple[Role, ...], region: str, deadline: Deadline) -> Credentials:
        if proof.credentials is None:
            assert isinstance(proof.failure, KeyferryError)
            raise proof.failure
        self.assumed.append(chain)
        return proof.credentials

    def renew(self, proof: Proof, deadline: Deadline) -> Proof:
        self.renewals += 1
        self.generation += 1
        self.obtained = self._clock()
        return self.prove(proof.access, deadline)


class FakeBackend:
    """Answers ``value of NAME`` unless ``outcomes`` says otherwise; a closed ``gate`` holds all calls back."""

    def __init__(self) -> None:
        self.calls: list[tuple[Call, tuple[SecretRef, ...]]] = []
        self.outcomes: dict[str, Outcome | Callable[[Call], Outcome]] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self._lock = threading.Lock()

    def fetch(self, call: Call, refs: Sequence[SecretRef]) -> Mapping[SecretRef, Outcome]:
        with self._lock:
            self.calls.append((call, tuple(refs)))
        self.entered.set()
        assert self.gate.wait(10)
        return {r: self._one(call, r) for r in refs}

    def _one(self, call: Call, ref: SecretRef) -> Outcome:
        planned = self.outcomes.get(f"{ref.region}/{ref.name}", self.outcomes.get(ref.name))
        if planned is None:
            return value(f"value of {ref.name}")
        return planned(call) if callable(planned) else planned

    def asked(self) -> list[str]:
        """Return the names of every call, in order, a call's names joined."""
        return [" ".join(r.name for r in refs) for _, refs in self.calls]


def value(text: str, *, version: str = "v1", arn: str = "arn:x") -> SecretValue:
    return SecretValue(text.encode(), arn, version)
