"""What a call to the API server needs, and what roles grant (kubernetes.io, "Using RBAC Authorization")."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.fakeapi import Request

ROOT = Path(__file__).parents[1]
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, order=True)
class Right:
    """What one call needs; ``namespace`` empty: all of them, ``name`` empty: any."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True)
class Grant:
    """One verb on one resource; ``namespace`` empty: in all, ``names`` empty: of any name."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    names: frozenset[str] = frozenset()

    def covers(self, right: Right) -> bool:
        """Tell whether this allows that."""
        same = (self.group, self.resource, self.verb) == (right.group, right.resource, right.verb)
        return same and self.namespace in {"", right.namespace} and (not self.names or right.name in self.names)


def needed(request: Request) -> Iterator[Right]:
    """Yield the rights that a request needs; server-side apply of what may not be there needs ``create`` too."""
    base, _, plural = request.kind.rpartition("/")
    group = base.split("/")[2] if base.startswith("/apis/") else ""
    resource = f"{plural}/{request.sub}" if request.sub else plural
    found = "watch" if "watch" in request.query else "get" if request.name else "list"
    selected = re.fullmatch(r"metadata\.name=(.+)", request.query.get("fieldSelector", ""))
    name = request.name or (selected[1] if selected else "")
    yield Right(group, resource, _VERBS.get(request.method, found), request.namespace, name)
    if request.method == "PATCH" and request.headers.get("content-type", "").startswith("application/apply-patch"):
        yield Right(group, resource, "create", request.namespace)


def grants(manifests: Iterable[Mapping[str, Any]], account: str) -> list[Grant]:
    """Return what the roles that are bound to a service account grant it."""
    found = list(manifests)
    roles = {(m["kind"], m["metadata"].get("namespace", ""), m["metadata"]["name"]): m for m in found if "rules" in m}
    granted: list[Grant] = []
    for binding in found:
        if account not in {subject["name"] for subject in binding.get("subjects", ())}:
            continue
        namespace = binding["metadata"].get("namespace", "")
        wanted = binding["roleRef"]
        role = roles[wanted["kind"], namespace if wanted["kind"] == "Role" else "", wanted["name"]]
        granted += (each for rule in role["rules"] for each in _of(rule, namespace))
    return granted


def _of(rule: Mapping[str, Any], namespace: str) -> Iterator[Grant]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                yield Grant(group, resource, verb, namespace, frozenset(rule.get("resourceNames", ())))


EVERYTHING = "tests/golden/chart-everything.yaml"
"""The chart with all of its switches on."""


@cache
def manifests(path: str) -> list[dict[str, Any]]:
    """Return the objects of a file of the checkout: read once, for every run of a door is checked against them."""
    return [found for found in yaml.safe_load_all((ROOT / path).read_text()) if found]


def ungranted(granted: Iterable[Grant], calls: Iterable[Request]) -> list[Right]:
    """Return the rights that calls need and nobody granted."""
    held = list(granted)
    wanted = {right for call in calls for right in needed(call)}
    return sorted(right for right in wanted if not any(grant.covers(right) for grant in held))


def check(account: str, calls: Iterable[Request]) -> None:
    """Check that a door with all of its switches on may make these calls, wherever it and its Lease are."""
    needs = ungranted(grants(manifests(EVERYTHING), account), calls)
    assert [right for right in needs if right.resource != "leases"] == []
