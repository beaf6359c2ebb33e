"""From a Mount's bytes to an answer's bytes, and what is told about it. Knows nothing of gRPC.

Whatever goes wrong is a KeyferryError. A warm Mount neither parses a manifest nor renders nor encodes
(``driver.mount.memo``). Follows driver 1.6.0 for the request and the answer.
"""

import logging
import secrets as randomness
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import msgspec
from google.protobuf.message import DecodeError

from driver import __version__, audit, telemetry
from driver.errors import Internal, InvalidInput, KeyferryError, TooLarge, Unavailable, status_of
from driver.metrics import MountMetrics
from driver.model import Access, Clock, Deadline, File, Pod, Read, SecretRef, Source, Want
from driver.mount import attributes
from driver.mount.attributes import Request
from driver.mount.memo import Answer, Answers, Plans
from driver.spc.files import render
from driver.spc.plan import Plan
from driver.wire import csi_provider_pb2 as wire

log = logging.getLogger(__name__)

API_VERSION = "v1alpha1"
REQUEST_LIMIT = 4 << 20
"""Bytes of a request; a manifest in etcd has less than half of that."""
MARGIN = 2.0
"""Seconds kept back from the caller's deadline, and from the grace time, to get the answer out."""
SHORT = 5.0
"""A caller's deadline below this many seconds is worth a warning: with driver 1.6.0 it may start empty pods."""
LEAST = 0.2
"""With fewer seconds than this nothing is tried."""

_REMEDY = "mount fewer objects, or raise the driver's --max-call-recv-msg-size and keyferry's --max-response-bytes"


class Resolves(Protocol):
    """What reads the values: ``driver.resolve.Resolver``."""

    def resolve(self, access: Access, wants: Sequence[Want], deadline: Deadline) -> Mapping[SecretRef, Read]:
        """Return a read for every want that is there. Raises KeyferryError."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes of a provider."""

    budget: float = 25.0
    """Longest time for one Mount; kept below ``grace``, so that a Mount under way at SIGTERM still gets its answer."""
    grace: float = 30.0
    response: int = 4 << 20
    """Largest answer: the driver's ``--max-call-recv-msg-size``."""
    plans: int = 8 << 20
    """Memory for parsed manifests, roughly."""
    answers: int = 8 << 20
    """Memory for finished answers."""
    answer_age: float = 600.0
    """A finished answer is dropped after this long: values of pods that are gone do not linger."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the Mount of a known pod ended. ``error`` is None for a success; ``stale`` counts stale values."""

    pod: Pod
    provider_class: str
    error: KeyferryError | None
    stale: int = 0


@dataclass(frozen=True, slots=True)
class Reports:
    """Where a provider tells what it does. ``audit`` takes complete lines, ``tell`` how Mounts ended; neither waits.

    Without ``audit`` no line is made.
    """

    metrics: MountMetrics
    audit: Callable[[bytes], object] | None
    tell: Callable[[Outcome], object] = lambda _: None


@dataclass(slots=True)
class _Call:
    """What is known of a Mount so far, for its log line."""

    request: Request | None = None
    stale: int = 0


class Provider:
    """Answers Version and Mount. Lives as long as the process; safe for many threads.

    ``region`` is the default region; if empty, ``node_region`` returns this node's for manifests that name none (empty:
    unknown). ``clock`` is monotonic and ``wall`` wall-clock seconds.
    """

    def __init__(
        self,
        resolver: Resolves,
        node_region: Callable[[Deadline], str],
        reports: Reports,
        *,
        region: str = "",
        limits: Limits | None = None,
        clock: Clock = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.instance = ("keyferry-instance", randomness.token_hex(8))
        self._resolver = resolver
        self._node_region = node_region
        self._metrics = reports.metrics
        self._reports = reports
        self._region = region
        self._limits = limits or Limits()
        self._clock = clock
        self._wall = wall
        self._end = float("inf")
        self._plans = Plans(self._limits.plans)
        self._answers = Answers(self._limits.answers, self._limits.answer_age, clock)
        reports.metrics.watch_kept("plans", self._plans.weight)
        reports.metrics.watch_kept("responses", self._answers.weight)

    def version(self) -> bytes:
        """Return the encoded VersionResponse. The caller's version is not judged: driver 1.6.0 sends v1alpha1."""
        answer = wire.VersionResponse(version=API_VERSION, runtime_name="keyferry", runtime_version=__version__)
        return answer.SerializeToString()

    def end_within(self, seconds: float) -> None:
        """From now on give every answer within ``seconds`` from now: the process has been told to end."""
        self._end = self._clock() + seconds - MARGIN

    def trim(self) -> None:
        """Drop answers that are too old, in a process that makes no new ones."""
        self._answers.expire()

    def mount(self, raw: bytes, remaining: float | None) -> bytes:
        """Return the encoded MountResponse for an encoded MountRequest.

        ``remaining`` are the caller's seconds, None if it set no deadline. Raises KeyferryError and nothing else.
        """
        started = self._clock()
        call = _Call()
        error: KeyferryError | None = None
        with self._metrics.mount():
            try:
                answer = self._mount(raw, self._deadline(remaining), call)
            except KeyferryError as refused:
                error = refused
            except BaseException:  # whatever it is, it must end this call only
                log.exception("a Mount failed", extra=_about(call))
                error = Internal()
            self._settle(call, error, self._clock() - started)
        if error is not None:
            raise error
        return answer

    def _deadline(self, remaining: float | None) -> Deadline:
        if remaining is not None and remaining < SHORT:
            self._metrics.short_deadline()
            log.warning("the caller gives a Mount less than %d seconds: its pod may start empty", SHORT)
        budget = min(self._limits.budget, max(self._limits.grace - MARGIN, 1.0), self._end - self._clock())
        seconds = budget if remaining is None else min(budget, remaining - MARGIN)
        if seconds <= LEAST:
            raise Unavailable("mount", "no time is left to read anything", "it is tried again by itself")
        return Deadline(seconds, self._clock)

    def _settle(self, call: _Call, error: KeyferryError | None, seconds: float) -> None:
        code, text = status_of(error) if error else ("OK", "")
        self._metrics.mounted(code, seconds)
        if error is not None:
            said = {telemetry.CODE: code, telemetry.REASON: error.gravest.reason, telemetry.STATUS: text}
            log.warning("Mount refused", extra=_about(call) | said)
        if request := call.request:
            self._reports.tell(Outcome(request.pod, request.provider_class, error, call.stale))

    def _mount(self, raw: bytes, deadline: Deadline, call: _Call) -> bytes:
        message = _decoded(raw)
        call.request = request = attributes.read(message.attributes, message.permission)
        plan, access = self._prepare(request, deadline)
        reads = self._resolver.resolve(access, plan.wants, deadline)
        in_order = [reads.get(want.ref) for want in plan.wants]
        values = [read.value if read else None for read in in_order]
        kept = self._answers.get(access, plan, values)
        self._record(request, [read for read in in_order if read], kept, call)
        if kept is not None:
            return kept.encoded
        encoded = _encoded(plan, render(plan, reads, limit=self._limits.response), self._limits.response)
        cached = (Read(read.ref, read.value, Source.CACHE, 0.0) for read in in_order if read)
        self._answers.keep(access, Answer(plan, values, encoded, self._audited(cached)))
        return encoded

    def _prepare(self, request: Request, deadline: Deadline) -> tuple[Plan, Access]:
        """Return plan and identity. Whatever the request alone shows to be wrong is refused before any call."""
        planned = self._plans.get(request, self._region)
        access = attributes.access(request, planned.plan, self._wall())
        if not planned.lacks_region:
            return planned.plan, access
        region = self._node_region(deadline)
        if not region:
            cause = "no region is named by object, class or AWS_REGION, and this node has no region label"
            raise InvalidInput("region", cause, "set the parameter region in the SecretProviderClass")
        self._region = region  # a node keeps its region
        plan = self._plans.get(request, region).plan
        return plan, msgspec.structs.replace(access, region=plan.region, failover_region=plan.failover_region)

    def _record(self, request: Request, reads: Sequence[Read], kept: Answer | None, call: _Call) -> None:
        """Leave one audit line per value, before it is delivered, and count the values."""
        if kept is not None and all(read.source is Source.CACHE for read in reads):
            ends = kept.audit
            self._metrics.read(Source.CACHE, len(reads))
        else:
            ends = self._audited(reads)
            self._count(reads, call)
        if self._reports.audit:
            self._reports.audit(audit.lines(audit.head(request.pod, request.service_account, self._wall()), ends))

    def _audited(self, reads: Iterable[Read]) -> list[bytes]:
        return audit.tails(reads) if self._reports.audit else []

    def _count(self, reads: Sequence[Read], call: _Call) -> None:
        for source in Source:
            if found := sum(read.source is source for read in reads):
                self._metrics.read(source, found)
        ages = [read.age for read in reads if read.source is Source.STALE]
        if ages:
            call.stale = len(ages)
            self._metrics.stale(max(ages))
            log.warning("%d stale values served, the oldest %.0f s old", len(ages), max(ages), extra=_about(call))


def _about(call: _Call) -> dict[str, str]:
    request = call.request
    if request is None:
        return {}
    return {
        telemetry.NAMESPACE: request.pod.namespace,
        telemetry.POD: request.pod.name,
        telemetry.CLASS: request.provider_class,
    }


def _decoded(raw: bytes) -> wire.MountRequest:
    if len(raw) > REQUEST_LIMIT:
        raise InvalidInput("request", f"has {len(raw):,} bytes of at most {REQUEST_LIMIT:,}", "shorten the manifest")
    try:
        message = wire.MountRequest.FromString(raw)
    except DecodeError:
        raise InvalidInput(
            "request", "is not a MountRequest of v1alpha1", "use a supported release of the driver"
        ) from None
    if not message.target_path:
        raise InvalidInput("target_path", "not in the request", "send it as driver 1.6.0 does")
    return message


def _encoded(plan: Plan, files: Sequence[File], limit: int) -> bytes:
    """Return the answer. An answer without files has an object version all the same: driver 1.6.0 demands one.

    No files means to the driver that there is nothing to do. So when the last object of a class vanishes that was
    optional, its files stay in a pod that has them; a new pod gets an empty volume.
    """
    versions = [wire.ObjectVersion(id=file.path, version=file.version) for file in files]
    if not versions:
        names = "\n".join(planned.subject for planned in plan.objects)
        digest = sha256(names.encode(errors="replace")).hexdigest()[:12]
        versions = [wire.ObjectVersion(id="keyferry", version=f"empty-{digest}")]
    contents = [wire.File(path=file.path, mode=file.mode, contents=file.content) for file in files]
    encoded = wire.MountResponse(object_version=versions, files=contents).SerializeToString()
    if len(encoded) > limit:
        raise TooLarge("volume", f"the answer has {len(encoded):,} bytes of at most {limit:,}", _REMEDY)
    return encoded
