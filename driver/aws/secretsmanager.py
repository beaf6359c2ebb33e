"""Reads secrets: as many as possible with BatchGetSecretValue, the rest one by one.

A batch is an offer that AWS may refuse (IAM grants it on its own, and it has a quota of 100 a second for the whole
account); what a batch did not bring is read by itself, so that no reference is ever lost.
API pages: Secrets Manager "BatchGetSecretValue", "GetSecretValue".
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from threading import Lock

import msgspec
from cachetools import TTLCache

from driver.aws.failures import Asked, Refusal, translate, who
from driver.aws.request import Ask, Ending, Operation, Order
from driver.aws.transport import Transport
from driver.errors import AccessDenied, IdentityRefused, KeyferryError, NotFound, Throttled, Unavailable, Unusable
from driver.fanout import Fanout
from driver.model import Call, Clock, Outcome, Principal, SecretRef, SecretValue

log = logging.getLogger(__name__)

BATCH = 20
"""Ids in one BatchGetSecretValue."""
PAGES = 50
"""Pages of one batch that are asked for: an endpoint that goes on for ever is not AWS."""
WIDTH = 8
"""Batches of one call side by side."""
REFUSED_SECONDS = 3_600.0
"""For how long a principal that may not use the batch is not asked to try again."""
THROTTLED_SECONDS = 60.0
"""For how long a region whose batch quota is spent is asked one by one."""


class _Secret(msgspec.Struct):
    ARN: str
    Name: str
    VersionId: str
    SecretString: str | None = None
    SecretBinary: bytes | None = None


class _Error(msgspec.Struct):
    SecretId: str = ""
    ErrorCode: str = ""
    Message: str | None = ""


class _Batch(msgspec.Struct):
    SecretValues: list[_Secret] | None = None
    Errors: list[_Error] | None = None
    NextToken: str | None = None


GET = Operation("secretsmanager", "GetSecretValue", msgspec.json.Decoder(_Secret).decode)
BATCH_GET = Operation("secretsmanager", "BatchGetSecretValue", msgspec.json.Decoder(_Batch).decode)


class SecretsManager:
    """A Backend. Lives as long as the process; safe for many threads."""

    def __init__(self, transport: Transport, fanout: Fanout, clock: Clock = time.monotonic) -> None:
        self._transport = transport
        self._fanout = fanout
        self._lock = Lock()
        self._refused: TTLCache[tuple[Principal, str], bool] = TTLCache(4_096, REFUSED_SECONDS, clock)
        self._throttled: TTLCache[str, bool] = TTLCache(256, THROTTLED_SECONDS, clock)

    def fetch(self, call: Call, refs: Sequence[SecretRef]) -> Mapping[SecretRef, Outcome]:
        """Return an outcome for every reference (``driver.resolve.Backend``)."""
        outcomes: dict[SecretRef, Outcome] = {}
        latest = [ref for ref in refs if not ref.version and not ref.label]
        if len(latest) > 1 and self._batch_is_open(call):
            parts = [latest[i : i + BATCH] for i in range(0, len(latest), BATCH)]
            for found in self._fanout.run([partial(self._batch, call, part) for part in parts], WIDTH):
                outcomes.update(found)
        left = [ref for ref in refs if ref not in outcomes]
        outcomes.update(zip(left, self._singles(call, left), strict=True))
        return outcomes

    def _batch_is_open(self, call: Call) -> bool:
        with self._lock:
            return (call.principal, call.region) not in self._refused and call.region not in self._throttled

    def _batch(self, call: Call, refs: Sequence[SecretRef]) -> dict[SecretRef, Outcome]:
        """Return what a batch settles; a reference that is not in the result is to be read by itself."""
        if len(refs) < 2 or not self._batch_is_open(call):
            return {}
        ids = list(dict.fromkeys(ref.name for ref in refs))
        try:
            return _settled(call, refs, *self._pages(call, ids))
        except AccessDenied:
            with self._lock:
                self._refused[call.principal, call.region] = True
        except Throttled:
            with self._lock:
                self._throttled[call.region] = True
        except (Unavailable, IdentityRefused) as error:
            return {ref: type(error)(ref.name, error.cause, error.remedy) for ref in refs}
        except KeyferryError as error:
            # most likely one id that AWS takes for malformed: it spoils the whole batch
            log.info("a batch was refused: reading one by one", extra={"reason": error.reason, "region": call.region})
        return {}

    def _pages(self, call: Call, ids: Sequence[str]) -> tuple[list[tuple[_Secret, str]], list[_Error]]:
        """Return the secrets, each with its request id, and the errors of all pages."""
        secrets: list[tuple[_Secret, str]] = []
        errors: list[_Error] = []
        token = None
        asked = _asked(call, "secretsmanager:BatchGetSecretValue", f"{len(ids)} secrets")
        # half of the time: what a throttled batch did not bring can still be read one by one in the other
        deadline = call.deadline.within(call.deadline.remaining() / 2)
        order = Order(call.region, call.credentials, call.principal, deadline, asked)
        for _ in range(PAGES):
            wanted = {"SecretIdList": ids} | ({"NextToken": token} if token else {})
            page, request_id, _ = self._transport.call(BATCH_GET, msgspec.json.encode(wanted), order)
            secrets.extend((secret, request_id) for secret in page.SecretValues or ())
            errors.extend(page.Errors or ())
            token = page.NextToken
            if not token:
                break
        return secrets, errors

    def _singles(self, call: Call, refs: Sequence[SecretRef]) -> list[Outcome]:
        replies = self._transport.call_all(GET, [_ask(call, ref) for ref in refs]) if refs else []
        return [_single(ref, reply) for ref, reply in zip(refs, replies, strict=True)]


def _ask(call: Call, ref: SecretRef) -> Ask:
    wanted = {"SecretId": ref.name}
    if ref.version:
        wanted["VersionId"] = ref.version
    if ref.label:
        wanted["VersionStage"] = ref.label
    asked = _asked(call, GET.permission, ref.name, ref)
    return Ask(msgspec.json.encode(wanted), Order(call.region, call.credentials, call.principal, call.deadline, asked))


def _single(ref: SecretRef, reply: Ending[_Secret]) -> Outcome:
    if isinstance(reply, KeyferryError):
        return reply
    if not _is(reply.result, ref.name):
        return Unavailable(ref.name, "AWS answered with another secret", "check what answers at the endpoint")
    return _value(reply.result, reply.request_id)


def _settled(
    call: Call, refs: Iterable[SecretRef], secrets: Sequence[tuple[_Secret, str]], errors: Iterable[_Error]
) -> dict[SecretRef, Outcome]:
    """Match what came back to what was asked, by ARN and by name; order and repeats do not matter.

    Only an answer and a plain denial settle a reference: everything else gets a read of its own, whose error is exact
    (a batch, say, does not find a secret by a part of its ARN).
    """
    known = {_partial(found[0].ARN): found for found in secrets}
    # an exact name goes before a cut one: an ARN may look like another's without its end
    known.update((name, found) for found in secrets for name in (found[0].ARN, found[0].Name))
    failed = {error.SecretId: error for error in errors}
    settled: dict[SecretRef, Outcome] = {}
    for ref in refs:
        if ref.name in known:
            settled[ref] = _value(*known[ref.name])
        elif ref.name in failed:
            error = failed[ref.name]
            asked = _asked(call, "secretsmanager:GetSecretValue", ref.name, ref)
            outcome = translate(Refusal(400, error.ErrorCode, error.Message or ""), asked)
            if _final(outcome, ref):
                settled[ref] = outcome
    return settled


def _final(outcome: KeyferryError, ref: SecretRef) -> bool:
    by_name = not ref.name.startswith("arn:")
    return isinstance(outcome, AccessDenied) or (by_name and isinstance(outcome, NotFound | Unusable))


def _partial(arn: str) -> str:
    """Return an ARN without the six random characters that end it, for which ARNs in manifests may be cut."""
    head, dash, tail = arn.rpartition("-")
    return head if dash and len(tail) == 6 else arn


def _is(secret: _Secret, name: str) -> bool:
    """Return whether an answer is about the secret that was asked for, by name, ARN or partial ARN."""
    asked = name.split(":", 6)[-1]
    return asked in {secret.Name, secret.ARN.split(":", 6)[-1]} or _partial(asked) == secret.Name


def _value(secret: _Secret, request_id: str) -> SecretValue:
    content = secret.SecretString.encode() if secret.SecretString is not None else secret.SecretBinary or b""
    return SecretValue(content, secret.ARN, secret.VersionId, request_id=request_id)


def _asked(call: Call, permission: str, name: str, ref: SecretRef | None = None) -> Asked:
    version, label = (ref.version, ref.label) if ref else ("", "")
    return Asked(permission, name, call.region, who(call.principal), version, label)
