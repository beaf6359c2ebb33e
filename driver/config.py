"""Settings: one table drives flags, environment variables, defaults, help and the README's table.

A flag wins over its variable, a variable over the default. All problems are reported at once. Components get plain
arguments from the settings, never the settings themselves. AWS endpoints, CA and proxies are not here: they follow the
SDK's standard variables (``driver.aws.session.Sdk``).
"""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from driver.errors import InvalidInput, KeyferryError, all_of

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_SIZE = re.compile(r"(\d+)(Ki|Mi)?", re.ASCII)


def duration(text: str) -> float:
    """Return the seconds of a text such as ``30s``, ``1h30m`` or ``0``. Raises ValueError."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError("not a duration such as 30s, 5m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def size(text: str) -> int:
    """Return the bytes of a text such as ``4194304`` or ``32Mi``. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("not a size such as 4194304, 512Ki or 32Mi")
    return int(match[1]) << {None: 0, "Ki": 10, "Mi": 20}[match[2]]


def count(text: str) -> int:
    """Return a whole number of at least 1. Raises ValueError."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError("not a whole number of at least 1")
    return int(text)


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser that takes only these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"not one of {', '.join(words)}")
        return text

    return parse


def provider_name(text: str) -> str:
    """Return a name that the driver accepts as ``spec.provider``. Raises ValueError."""
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,30}", text) is None:
        raise ValueError("not 1 to 30 letters, digits, - or _")
    return text


def urls(text: str) -> tuple[str, ...]:
    """Return the http(s) addresses of a comma-separated list. Raises ValueError."""
    found = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    if not all(re.match(r"https?://[^/\s]+", url) for url in found):
        raise ValueError("not a list of http:// or https:// addresses")
    return found


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: the flag ``--some-name``, the variable ``KEYFERRY_SOME_NAME`` and the field ``some_name``."""

    name: str
    default: str
    parse: Callable[[str], object]
    metavar: str
    help: str
    also: str = ""
    """A further variable of the field's ecosystem, read when the KEYFERRY one is not set."""

    @property
    def flag(self) -> str:
        """Return the flag."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """Return the environment variable."""
        return "KEYFERRY_" + self.name.replace("-", "_").upper()

    @property
    def field(self) -> str:
        """Return the field of ``Settings``."""
        return self.name.replace("-", "_")


PROVIDER_OPTIONS: tuple[Option, ...] = (
    Option(
        "provider-volume",
        "/var/run/secrets-store-csi-providers",
        Path,
        "DIR",
        "Directory of the socket: the driver's `--provider-volume`",
    ),
    Option("provider-name", "aws", provider_name, "NAME", "Name of the socket and of `spec.provider` in manifests"),
    Option("kubeconfig", "", str, "FILE", "Kubeconfig; empty: the service account of the own pod"),
    Option(
        "metrics-address",
        "0.0.0.0:9809",
        str,
        "HOST:PORT",
        "Where /metrics, /healthz and /readyz are served; empty: nowhere",
    ),
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
    Option(
        "stale-limit",
        "24h",
        duration,
        "TIME",
        "In an outage of AWS, and only then, a last good value this old may be served; 0: never",
    ),
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
    Option("region", "", str, "REGION", "Region when neither object nor class names one", "AWS_REGION"),
    Option("log-level", "info", one_of("debug", "info", "warning", "error"), "LEVEL", "Least level that is logged"),
    Option("log-format", "auto", one_of("auto", "json", "text"), "FORMAT", "`auto`: text on a terminal, else JSON"),
    Option("audit", "stdout", one_of("stdout", "off"), "WHERE", "One JSON record per secret read"),
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


def add_flags(parser: argparse.ArgumentParser, options: tuple[Option, ...]) -> None:
    """Give a command the flags of its settings. They are checked together by ``load``, not one by one."""
    for option in options:
        default = option.default or "none"
        parser.add_argument(
            option.flag,
            metavar=option.metavar,
            help=f"{option.help} ({option.variable}; default: {default})".replace("%", "%%"),
        )


def load(options: tuple[Option, ...], flags: Mapping[str, str | None], environ: Mapping[str, str]) -> dict[str, object]:
    """Return the parsed value of every option. Raises one KeyferryError that names all wrong settings."""
    values: dict[str, object] = {}
    problems: list[KeyferryError] = []
    for option in options:
        text, subject = _chosen(option, flags, environ)
        try:
            values[option.field] = option.parse(text)
        except ValueError as error:
            problems.append(InvalidInput(subject, f"{text!r} is {error}", f"see {option.flag} in --help"))
    if problems:
        raise all_of(problems)
    return values


def _chosen(option: Option, flags: Mapping[str, str | None], environ: Mapping[str, str]) -> tuple[str, str]:
    given = flags.get(option.field)
    if given is not None:
        return given, option.flag
    for variable in (option.variable, option.also):
        if variable and environ.get(variable):
            return environ[variable], variable
    return option.default, option.flag


def provider_settings(flags: Mapping[str, str | None], environ: Mapping[str, str]) -> ProviderSettings:
    """Return the provider's settings. Raises one KeyferryError that names all wrong ones."""
    return ProviderSettings(**load(PROVIDER_OPTIONS, flags, environ))  # type: ignore[arg-type]  # fields are the table's
