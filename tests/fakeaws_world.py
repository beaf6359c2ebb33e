"""What the fake AWS holds and does: secrets, parameters, roles, tokens, denials, faults. Knows no HTTP server."""

import base64
import json
import re
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

ACCOUNT = "111122223333"
AUDIENCES = {"AssumeRoleWithWebIdentity": "sts.amazonaws.com", "PodIdentity": "pods.eks.amazonaws.com"}


@dataclass
class Request:
    """One HTTP request, its headers by lower-case name."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Response:
    """One HTTP response. ``cut``: close after so many bytes of the body; ``hang``: never answer; ``delay``: seconds."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    hang: bool = False


@dataclass(frozen=True)
class Seen:
    """A call as the log keeps it. ``who``: the role or subject whose credentials signed it."""

    operation: str
    who: str
    access_key: str
    region: str
    names: tuple[str, ...]


class Refused(Exception):
    """An AWS error."""

    def __init__(self, code: str, status: int = 400, message: str = "") -> None:
        super().__init__(code)
        self.code, self.status, self.message = code, status, message


@dataclass
class Fault:
    """What happens to a call instead of, or on top of, an answer.

    ``kind``: ``error`` (with ``code``, ``status``, ``message``), ``empty``, ``html``, ``truncated``, ``shape``,
    ``cut``, ``hang``, ``slow`` (by ``seconds``), ``redirect``. It applies to calls of ``operation`` (empty: any) whose
    names or caller contain ``match``, ``times`` times (None: always).
    """

    kind: str
    operation: str = ""
    match: str = ""
    times: int | None = None
    code: str = "InternalServiceError"
    status: int = 500
    message: str = ""
    seconds: float = 0.0
    chance: float = 1.0


@dataclass
class Stored:
    """Versions of a secret or parameter, oldest first, and the index that each label points to."""

    arn: str
    contents: list[str | bytes]
    ids: list[str]
    labels: dict[str, int]
    deleted: bool = False
    modified: float = 0.0


class World:
    """The state of the fake. Change it directly; its lock is held while a call is answered."""

    def __init__(self, *, generous: bool = False, verify: bool = True) -> None:
        self.lock = threading.RLock()
        self.generous = generous
        """Any name exists, any service account has a role: for benchmarks."""
        self.verify = verify
        """Check every signature with botocore's signer."""
        self.secrets: dict[tuple[str, str], Stored] = {}
        self.parameters: dict[tuple[str, str], Stored] = {}
        self.denied: list[tuple[str, str, str]] = []
        """(permission, part of the caller, part of the name): each empty for any."""
        self.roles: dict[str, str] = {}
        """Role → the only subject, or caller's role, that its trust policy allows; a role not here allows all."""
        self.external_ids: dict[str, str] = {}
        self.annotations: dict[tuple[str, str], str] = {}
        self.associations: dict[str, str] = {}
        """Subject → role, for the Pod Identity agent."""
        self.keys: dict[str, tuple[str, str]] = {"AKIATEST": ("secret", "the process")}
        """Access key → (secret key, holder)."""
        self.expired: set[str] = set()
        self.lifetime = 3600.0
        self.skew = 0.0
        """Seconds by which this world's clock is ahead."""
        self.faults: list[Fault] = []
        self.rates: dict[str, float] = {}
        """Operation → calls per second, beyond which it is throttled."""
        self._buckets: dict[str, tuple[float, float]] = {}
        self.latency = 0.0
        self.calls: list[Seen] = []
        self.counts: Counter[str] = Counter()
        self.per_page = 100
        """Secrets in a page of a batch."""

    # what a test arranges

    def put(self, name: str, content: str | bytes, region: str = "eu-west-1", *labels: str) -> str:
        """Add a secret, or a version to it that becomes AWSCURRENT; return the version id."""
        with self.lock:
            arn = f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:{name}-AbCdEf"
            stored = self.secrets.setdefault((region, name), Stored(arn, [], [], {}))
            stored.contents.append(content)
            stored.ids.append(str(uuid.uuid5(uuid.NAMESPACE_URL, f"{arn}{len(stored.ids)}")))
            if "AWSCURRENT" in stored.labels:
                stored.labels["AWSPREVIOUS"] = stored.labels["AWSCURRENT"]
            stored.labels.update(dict.fromkeys(("AWSCURRENT", *labels), len(stored.ids) - 1))
            return stored.ids[-1]

    def put_parameter(self, name: str, content: str, region: str = "eu-west-1", *labels: str) -> None:
        """Add a parameter, or a version to it."""
        with self.lock:
            arn = f"arn:aws:ssm:{region}:{ACCOUNT}:parameter/{name.lstrip('/')}"
            stored = self.parameters.setdefault((region, name), Stored(arn, [], [], {}))
            stored.contents.append(content)
            stored.ids.append(str(len(stored.contents)))
            stored.labels.update(dict.fromkeys(labels, len(stored.ids) - 1))
            stored.modified = time.time()

    def deny(self, permission: str, who: str = "", name: str = "") -> None:
        """Deny a permission to callers and for names that contain these texts."""
        self.denied.append((permission, who, name))

    def fail(self, kind: str, operation: str = "", **more: Any) -> Fault:
        """Add a fault."""
        fault = Fault(kind, operation, **more)
        self.faults.append(fault)
        return fault

    def expire_all(self) -> None:
        """Make all credentials given out so far expire."""
        self.expired.update(self.keys)

    def count(self, operation: str) -> int:
        """Return how often an operation was called."""
        return self.counts[operation]

    def now(self) -> float:
        """Return this world's clock."""
        return time.time() + self.skew

    # what a call meets

    def throttle(self, operation: str) -> None:
        """Take a call from the operation's quota. Raises ThrottlingException when there is none left."""
        rate = self.rates.get(operation)
        if rate is None:
            return
        left, at = self._buckets.get(operation, (rate, time.monotonic()))
        now = time.monotonic()
        left = min(rate, left + (now - at) * rate)
        self._buckets[operation] = (left - 1 if left >= 1 else left, now)
        if left < 1:
            raise Refused("ThrottlingException", message="Rate exceeded")

    def check(self, permission: str, who: str, name: str) -> None:
        """Raise AccessDeniedException for what is denied."""
        for denied, caller, part in self.denied:
            if denied == permission and caller in who and part in name:
                raise Refused("AccessDeniedException", message=f"{who} is not authorized to perform: {permission}")

    def secret(self, region: str, name: str) -> tuple[str, Stored]:
        """Return a secret by its name, ARN or partial ARN."""
        short = name.split(":", 6)[6] if name.startswith("arn:") else name
        for candidate in (re.sub(r"-\w{6}$", "", short), short) if name.startswith("arn:") else (short,):
            if (region, candidate) in self.secrets:
                return candidate, self.secrets[region, candidate]
        if self.generous and "missing" not in name:
            self.put(short, f"value of {short}".ljust(64, "x"), region)
            return short, self.secrets[region, short]
        raise Refused("ResourceNotFoundException", message="Secrets Manager can't find the specified secret.")

    def secret_entry(self, region: str, who: str, name: str, version: str = "", label: str = "") -> dict[str, Any]:
        """Return a secret as GetSecretValue does."""
        self.check("secretsmanager:GetSecretValue", who, name)
        short, stored = self.secret(region, name)
        if stored.deleted:
            raise Refused("InvalidRequestException", message="it was marked for deletion")
        index = stored.labels.get(label or "AWSCURRENT")
        if version:
            index = stored.ids.index(version) if version in stored.ids else None
        if index is None:
            message = f"Secrets Manager can't find the specified secret value for {version or label}"
            raise Refused("ResourceNotFoundException", message=message)
        entry = {"ARN": stored.arn, "Name": short, "VersionId": stored.ids[index], "CreatedDate": 1.7e9}
        content = stored.contents[index]
        if isinstance(content, bytes):
            return entry | {"SecretBinary": base64.b64encode(content).decode()}
        return entry | {"SecretString": content}

    def parameter_entry(self, region: str, who: str, full: str) -> dict[str, Any] | None:
        """Return a parameter as GetParameters does, None if there is none."""
        prefix, _, rest = full.rpartition("parameter/") if full.startswith("arn:") else ("", "", full)
        name, _, selector = rest.partition(":")
        self.check("ssm:GetParameters", who, name)
        found = next((n for n in (name, f"/{name}") if (region, n) in self.parameters), None)
        if found is None and self.generous and "missing" not in name:
            found = f"/{name}" if prefix else name
            self.put_parameter(found, f"value of {name}", region)
        if found is None:
            return None
        stored = self.parameters[region, found]
        index = len(stored.ids) - 1
        if selector:
            index = stored.ids.index(selector) if selector in stored.ids else stored.labels.get(selector, -1)
        if index < 0:
            return None
        entry: dict[str, Any] = {
            "Name": found,
            "ARN": stored.arn,
            "Value": stored.contents[index],
            "Version": index + 1,
        }
        entry |= {"Type": "SecureString", "LastModifiedDate": stored.modified}
        return entry | ({"Selector": f":{selector}"} if selector else {})

    def subject(self, token: str, operation: str) -> str:
        """Return the subject of a token that is good for an operation."""
        try:
            part = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        except (IndexError, ValueError):
            raise Refused("InvalidIdentityToken") from None
        if AUDIENCES[operation] not in claims["aud"]:
            raise Refused("InvalidIdentityToken")
        if claims["exp"] < self.now():
            raise Refused("ExpiredTokenException")
        return str(claims["sub"])

    def issue(self, holder: str) -> dict[str, str]:
        """Return new credentials of a holder."""
        key = f"ASIA{uuid.uuid4().hex[:16].upper()}"
        self.keys[key] = (f"secret-{key}", holder)
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now() + self.lifetime))
        return {"AccessKeyId": key, "SecretAccessKey": f"secret-{key}", "Token": f"token-{key}", "Expiration": expires}


def form(body: bytes) -> dict[str, str]:
    """Return the fields of a Query protocol request."""
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}
