"""Settings: one table per process drives flags, environment variables, defaults, help and the README's tables.

Components get plain arguments from the settings, never the settings themselves. AWS endpoints, CA and proxies are not
here: they follow the SDK's standard variables (``driver.aws.session.Sdk``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from driver.options import Option, count, duration, load, namespaces, on_off, one_of, provider_name, size, urls

_KUBECONFIG = Option("kubeconfig", "", str, "FILE", "Kubeconfig; empty: the service account of the own pod")
_REGION = Option("region", "", str, "REGION", "Region when neither object nor class names one", "AWS_REGION")
_STALE = Option(
    "stale-limit",
    "24h",
    duration,
    "TIME",
    "In an outage of AWS, and only then, a last good value this old may be served; 0: never",
)
_OUTPUT = (
    Option("log-level", "info", one_of("debug", "info", "warning", "error"), "LEVEL", "Least level that is logged"),
    Option("log-format", "auto", one_of("auto", "json", "text"), "FORMAT", "`auto`: text on a terminal, else JSON"),
    Option("audit", "stdout", one_of("stdout", "off"), "WHERE", "One JSON record per secret read"),
)
_METRICS = Option(
    "metrics-address",
    "0.0.0.0:9809",
    str,
    "HOST:PORT",
    "Where /metrics, /healthz and /readyz are served; empty: nowhere",
)

PROVIDER_OPTIONS: tuple[Option, ...] = (
    Option(
        "provider-volume",
        "/var/run/secrets-store-csi-providers",
        Path,
        "DIR",
        "Directory of the socket: the driver's `--provider-volume`",
    ),
    Option("provider-name", "aws", provider_name, "NAME", "Name of the socket and of `spec.provider` in manifests"),
    _KUBECONFIG,
    _METRICS,
    Option(
        "pod-identity-endpoint",
        "http://169.254.170.23,http://[fd00:ec2::23]",
        urls,
        "URL,…",
        "EKS Pod Identity agent: IPv4 address, then IPv6; one alone is always used",
    ),
    Option(
        "freshness", "30s", duration, "TIME", "A value read this recently is served without asking AWS; 0: ask always"
    ),
    _STALE,
    Option(
        "forget-after", "10m", duration, "TIME", "Values of an identity that no pod asked for this long are dropped"
    ),
    Option("mount-budget", "25s", duration, "TIME", "Longest time for one Mount; never beyond the caller's deadline"),
    Option("grace", "30s", duration, "TIME", "On SIGTERM, calls in flight have this long to end"),
    Option(
        "max-response-bytes",
        "4194304",
        size,
        "BYTES",
        "Largest answer to a Mount: the driver's `--max-call-recv-msg-size`",
    ),
    Option("cache-bytes", "32Mi", size, "BYTES", "Most memory for kept values"),
    Option("workers", "256", count, "N", "Most Mounts at work at a time; threads start when needed"),
    Option(
        "node-name", "", str, "NAME", "Own node, for its region label when nothing else names a region", "NODE_NAME"
    ),
    _REGION,
    *_OUTPUT,
)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """Settings of ``keyferry provider``; times in seconds, sizes in bytes."""

    provider_volume: Path
    provider_name: str
    kubeconfig: str
    metrics_address: str
    pod_identity_endpoint: tuple[str, ...]
    freshness: float
    stale_limit: float
    forget_after: float
    mount_budget: float
    grace: float
    max_response_bytes: int
    cache_bytes: int
    workers: int
    node_name: str
    region: str
    log_level: str
    log_format: str
    audit: str


def provider_settings(flags: Mapping[str, object], environ: Mapping[str, str]) -> ProviderSettings:
    """Return the provider's settings. Raises one KeyferryError that names all wrong ones."""
    return ProviderSettings(**load(PROVIDER_OPTIONS, flags, environ))  # type: ignore[arg-type]  # fields are the table's


SYNC_OPTIONS: tuple[Option, ...] = (
    _KUBECONFIG,
    Option("namespace", "", namespaces, "NS,…", "Only these namespaces; empty: all"),
    Option(
        "poll-interval", "60s", duration, "TIME", "How often AWS is asked for each object, unless it says otherwise"
    ),
    _METRICS,
    Option("leader-elect", "true", on_off, "", "Of several replicas only the holder of a Lease works", switch=True),
    Option("lease-namespace", "kube-system", str, "NS", "Namespace of the Lease `keyferry-sync`", "POD_NAMESPACE"),
    Option(
        "named-secrets",
        "auto",
        one_of("auto", "secret", "key"),
        "MODE",
        "What an item without property means for a Secret of its name: `auto` fills an empty one, `secret` also makes "
        "it, `key` never",
    ),
    Option(
        "enforce-permissions",
        "false",
        on_off,
        "",
        "A namespace without permission annotations permits nothing instead of everything",
        switch=True,
    ),
    Option("controller-id", "", str, "ID", "Only ExternalSecrets with this `controllerId`", "INSTANCE_ID"),
    Option(
        "restarts",
        "false",
        on_off,
        "",
        "Roll out workloads that ask for it by annotation when their Secrets change",
        switch=True,
    ),
    _STALE,
    _REGION,
    *_OUTPUT,
)


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """Settings of ``keyferry sync``; times in seconds."""

    kubeconfig: str
    namespace: tuple[str, ...]
    poll_interval: float
    metrics_address: str
    leader_elect: bool
    lease_namespace: str
    named_secrets: str
    enforce_permissions: bool
    controller_id: str
    restarts: bool
    stale_limit: float
    region: str
    log_level: str
    log_format: str
    audit: str


def sync_settings(flags: Mapping[str, object], environ: Mapping[str, str]) -> SyncSettings:
    """Return the sync door's settings. Raises one KeyferryError that names all wrong ones."""
    return SyncSettings(**load(SYNC_OPTIONS, flags, environ))  # type: ignore[arg-type]  # fields are the table's
