"""Every metric: its name, what it means, and the words that its labels may have."""

from collections.abc import Mapping
from dataclasses import dataclass

from driver import __version__, errors
from driver.errors import Failures, KeyferryError
from driver.model import Source

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Metric:
    """A row of the documentation's table. ``labels`` gives each label's words."""

    name: str
    kind: str
    meaning: str
    labels: Mapping[str, tuple[str, ...]]


_ERRORS = tuple(e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, KeyferryError))
CODES = ("OK", *sorted({each.code for each in _ERRORS}))
REASONS = (*sorted({each.reason for each in _ERRORS if each is not Failures}), OTHER)
RESULTS = ("ok", *REASONS)
SYNC_REASONS = ("Conflict", "OwnedByOthers", *REASONS)
"""What may be wrong with an object; the first two are the sync door's own."""
OPERATIONS = (
    "GetSecretValue",
    "BatchGetSecretValue",
    "GetParameters",
    "GetParametersByPath",
    "AssumeRole",
    "AssumeRoleWithWebIdentity",
    "PodIdentity",
    OTHER,
)
_SOURCES = {"source": tuple(Source)}
_BOTH = tuple(f"keyferry_{each}_" for each in ("aws", "credential", "reads", "oldest", "kept", "log"))
YES, UNKNOWN = "yes", "unknown"
"""Whether this process has seen a volume mounted."""
WATCH, LEASE, QUEUE = "watch", "lease", "queue"
"""What can stand still in the sync door: the copies of the cluster, the lease, the objects that wait for a worker."""


def _build(door: str) -> Metric:
    return Metric(
        "keyferry_build_info", "gauge", "Always 1, with version and door", {"version": (__version__,), "door": (door,)}
    )


METRICS = (
    _build("mount"),
    Metric("keyferry_mounts_total", "counter", "Mounts answered, by gRPC code", {"code": CODES}),
    Metric("keyferry_mount_duration_seconds", "histogram", "Time from a Mount's arrival to its answer", {}),
    Metric("keyferry_mounts_in_flight", "gauge", "Mounts at work now", {}),
    Metric("keyferry_short_deadlines_total", "counter", "Mounts whose caller gave less than 5 seconds", {}),
    Metric(
        "keyferry_rotation_failures_total",
        "counter",
        "Mounts that failed though their volume was mounted before: driver 1.6.0 tells nobody",
        {"reason": REASONS},
    ),
    Metric(
        "keyferry_volumes_failing",
        "gauge",
        "Volumes whose last Mount failed; `mounted` says whether this process had filled them before",
        {"mounted": (YES, UNKNOWN), "reason": REASONS},
    ),
    Metric("keyferry_reads_total", "counter", "Values delivered, by where they came from", _SOURCES),
    Metric(
        "keyferry_oldest_stale_age_seconds", "gauge", "Age of the oldest stale value of the last minutes; 0: none", {}
    ),
    Metric(
        "keyferry_aws_attempts_total",
        "counter",
        "Calls to AWS and to the Pod Identity agent, each attempt",
        {"operation": OPERATIONS, "result": RESULTS},
    ),
    Metric("keyferry_aws_attempt_duration_seconds", "histogram", "Time of an attempt", {"operation": OPERATIONS}),
    Metric("keyferry_credential_refreshes_total", "counter", "Credentials obtained, by result", {"result": RESULTS}),
    Metric("keyferry_socket_is_mine", "gauge", "1 while the socket's path leads to this process", {}),
    Metric(
        "keyferry_kept_bytes",
        "gauge",
        "Bytes kept in memory, roughly",
        {"what": ("values", "plans", "responses", OTHER)},
    ),
    Metric(
        "keyferry_log_lines_dropped_total",
        "counter",
        "Lines that the reader of a stream did not take in time",
        {"stream": ("log", "audit", OTHER)},
    ),
)
"""Every metric of the mount door, and those that both have, for /metrics and for the documentation."""

SYNC_METRICS = (
    _build("sync"),
    *(metric for metric in METRICS if metric.name.startswith(_BOTH)),
    Metric(
        "keyferry_sync_secrets_total",
        "counter",
        "Secrets looked at, by what became of them",
        {"state": ("written", "unchanged", "skipped", "failed", OTHER)},
    ),
    Metric("keyferry_sync_objects", "gauge", "Objects that Secrets are made of", {}),
    Metric(
        "keyferry_sync_objects_failing",
        "gauge",
        "Objects whose last pass failed, by what most needs a person",
        {"reason": SYNC_REASONS},
    ),
    Metric("keyferry_sync_queue_depth", "gauge", "Objects that wait for a worker", {}),
    Metric("keyferry_sync_leading", "gauge", "1 while this replica may write", {}),
    Metric(
        "keyferry_sync_progress_age_seconds",
        "gauge",
        "Seconds since something moved that should: the copies of the cluster, the lease, an object that waits",
        {"what": (WATCH, LEASE, QUEUE)},
    ),
)
"""The same of the sync door."""

PROCESS_METRICS = (
    Metric("process_resident_memory_bytes", "gauge", "Memory in RAM", {}),
    Metric("process_virtual_memory_bytes", "gauge", "Address space", {}),
    Metric("process_cpu_seconds_total", "counter", "CPU time", {}),
    Metric("process_open_fds", "gauge", "Open file descriptors", {}),
    Metric("process_max_fds", "gauge", "Most file descriptors that may be open", {}),
    Metric("process_start_time_seconds", "gauge", "When the process started, in seconds since 1970", {}),
)
"""What both doors show of their process, as every Prometheus client does."""
