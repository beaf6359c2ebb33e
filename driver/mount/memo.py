"""What a Mount need not do twice: parsed manifests and finished answers. Bounded in bytes; safe for many threads."""

from collections.abc import Hashable, Sequence
from contextlib import suppress
from operator import is_
from threading import Lock

import msgspec
from cachetools import LRUCache, TTLCache

from driver.model import Access, AuthMethod, Clock, SecretValue
from driver.mount.attributes import Request
from driver.spc import objects
from driver.spc.plan import Plan


class Planned(msgspec.Struct, frozen=True, eq=False):
    """A plan, and whether a region that it needs is still unknown."""

    plan: Plan
    lacks_region: bool
    weight: int


class Plans:
    """Plans by the parameters that they come from. A manifest that is refused is not kept."""

    def __init__(self, weight: int) -> None:
        self._lock = Lock()
        self._kept: LRUCache[Hashable, Planned] = LRUCache(weight, getsizeof=lambda planned: planned.weight)

    def get(self, request: Request, region: str) -> Planned:
        """Return the plan of a request for a default region. Raises as ``driver.spc.objects.parse``."""
        key = (tuple(sorted(request.parameters.items())), request.default_mode, region)
        with self._lock:
            planned = self._kept.get(key)
        if planned is None:
            planned = _plan(request, region)
            with self._lock, suppress(ValueError):  # heavier than all that may be kept
                self._kept[key] = planned
        return planned

    def weight(self) -> float:
        """Return the bytes kept, roughly."""
        return self._kept.currsize


def _plan(request: Request, region: str) -> Planned:
    plan = objects.parse(request.parameters, region=region, default_mode=request.default_mode)
    lacks = any(not want.ref.region for want in plan.wants) or (plan.method is AuthMethod.IRSA and not plan.region)
    text = sum(len(name) + len(value) for name, value in request.parameters.items())
    return Planned(plan, lacks, 2_000 + 12 * text)  # a parsed object takes about ten times its text


class Answer(msgspec.Struct, frozen=True, eq=False):
    """An encoded answer, what it was made of, and the ends of its audit lines when all values come from the cache."""

    plan: Plan
    values: Sequence[SecretValue | None]
    encoded: bytes
    audit: list[bytes]


class Answers:
    """The last answer to each identity and plan.

    It is right for exactly the value objects that it was made of, compared by identity: values are kept per proven
    identity, so no answer reaches another. ``age`` in seconds: an answer is dropped after that long.
    """

    def __init__(self, weight: int, age: float, clock: Clock) -> None:
        self._lock = Lock()
        self._kept: TTLCache[Hashable, Answer] = TTLCache(weight, age, timer=clock, getsizeof=_weight)

    def get(self, access: Access, plan: Plan, values: Sequence[SecretValue | None]) -> Answer | None:
        """Return the answer made of this very plan and these very values."""
        with self._lock:
            answer = self._kept.get(_slot(access, plan))
        fits = answer is not None and answer.plan is plan and len(answer.values) == len(values)
        return answer if answer and fits and all(map(is_, answer.values, values)) else None

    def keep(self, access: Access, answer: Answer) -> None:
        """Keep an answer in place of the identity's last one for the same plan."""
        with self._lock, suppress(ValueError):  # heavier than all that may be kept
            self._kept[_slot(access, answer.plan)] = answer

    def expire(self) -> None:
        """Drop what is too old. ``keep`` does it too; this is for a process that has nothing to keep any more."""
        with self._lock:
            self._kept.expire()

    def weight(self) -> float:
        """Return the bytes kept, roughly."""
        return self._kept.currsize


def _slot(access: Access, plan: Plan) -> Hashable:
    return (id(plan), access.namespace, access.service_account, access.uid)


def _weight(answer: Answer) -> int:
    return 1_000 + len(answer.encoded) + sum(map(len, answer.audit))
