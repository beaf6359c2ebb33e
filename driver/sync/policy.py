"""What a namespace's annotations permit its objects to read, and with which roles.

The annotations of kubernetes-external-secrets (KES) 8.5.5. A pattern must match the whole name or ARN (in KES a part
was enough, so that ``dev/.*`` permitted ``prod/dev/x``), and is held against every name that is read (KES left out
``dataFromWithOptions``). An annotation may also be a JSON list of patterns, as kube2iam has them for roles.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from driver.errors import AccessDenied, InvalidInput, KeyferryError, all_of
from driver.spc.fields import quoted
from driver.sync.pattern import Pattern
from driver.sync.plan import SyncPlan

PATTERNS_LIMIT = 100
"""Patterns of one annotation."""


class Rules(msgspec.Struct, frozen=True):
    """Names of the annotations on a namespace, and whether they must be there."""

    role_annotation: str = "iam.amazonaws.com/permitted"
    key_annotation: str = "externalsecrets.kubernetes-client.io/permitted-key-name"
    enforce: bool = False


def verdict(plan: SyncPlan, annotations: Mapping[str, str], rules: Rules) -> KeyferryError | None:
    """Return why a namespace with these annotations does not permit the plan; None when it does.

    ``AccessDenied`` names the first few names that do not match, ``InvalidInput`` or ``TooLarge`` a pattern that cannot
    be used: such a pattern permits nothing. An absent or empty annotation permits everything unless ``rules.enforce``.
    """
    errors = [
        *_denied(plan, annotations, rules.role_annotation, "role", [role.arn for role in plan.roles], rules.enforce),
        *_denied(plan, annotations, rules.key_annotation, "key", plan.keys, rules.enforce),
    ]
    return all_of(errors) if errors else None


def _denied(
    plan: SyncPlan, annotations: Mapping[str, str], name: str, what: str, asked: Sequence[str], enforce: bool
) -> list[KeyferryError]:
    text = annotations.get(name, "")
    who = f"{plan.origin.namespace}/{plan.origin.name}"
    if not asked or (not text and not enforce):
        return []
    if not text:
        cause = f"not allowed to fetch secret: {who}: the namespace has no annotation {name}, which is enforced"
        return [AccessDenied(who, cause, f"set it on the namespace to a pattern of the permitted {what}s")]
    try:
        refused = list(_unmatched(f"namespace {plan.origin.namespace}, annotation {name}", text, asked))
    except KeyferryError as error:
        return [error]
    return [_refusal(who, what, one, name) for one in refused[:10]]


def _refusal(who: str, what: str, asked: str, name: str) -> KeyferryError:
    cause = f"not allowed to fetch secret: {who}: {what} {quoted(asked)} is not permitted in its namespace"
    return AccessDenied(who, cause, f"ask for a permitted {what}, or extend the namespace's annotation {name}")


def _unmatched(subject: str, text: str, asked: Iterable[str]) -> Iterable[str]:
    patterns = [Pattern(subject, one) for one in _listed(subject, text)]
    return (one for one in asked if not any(pattern.fullmatch(one) for pattern in patterns))


def _listed(subject: str, text: str) -> list[str]:
    if not text.lstrip().startswith('["'):
        return [text]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return [text]
    if len(found) > PATTERNS_LIMIT:
        raise InvalidInput(subject, f"more than {PATTERNS_LIMIT} patterns", "join them")
    return found
