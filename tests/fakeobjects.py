"""The objects behind the API server stand-in: versions, history, server-side apply, owners, the rules for Secrets.

Follows kubernetes.io, "Kubernetes API Concepts" and "Server-Side Apply", as far as a controller of Secrets can tell the
difference: managedFields with conflicts, no-op writes that move no version, immutable types, required keys, the status
subresource, generations, garbage collection by owner. Stored objects are never changed in place.
"""

import base64
import binascii
import json
import re
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

Json = dict[str, Any]
Path = tuple[str, ...]
Event = tuple[int, str, Json]
"""Version, type (ADDED, MODIFIED, DELETED) and object."""

WITH_STATUS = ("externalsecrets", "deployments", "statefulsets", "daemonsets")
REQUIRED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_SERVERS = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")
_UNOWNED = frozenset({("f:metadata", f"f:{name}") for name in ("name", "namespace", *_SERVERS)})


class Refused(Exception):
    """An answer other than success: HTTP status, reason and causes of a Status object."""

    def __init__(self, status: int, reason: str, causes: tuple[Json, ...] = (), message: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.body = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": status,
            "reason": reason,
            "message": message or reason,
            "details": {"causes": list(causes)},
        }


def leaves(node: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every field of an object that has an owner of its own."""
    if isinstance(node, dict) and (node or not path):
        for key, value in node.items():
            if path or key not in ("apiVersion", "kind"):
                yield from (p for p in leaves(value, (*path, f"f:{key}")) if p[:2] not in _UNOWNED)
    elif isinstance(node, list) and path[-1:] == ("f:ownerReferences",):
        yield from ((*path, "k:" + json.dumps({"uid": each["uid"]}, separators=(",", ":"))) for each in node)
    else:
        yield path


def look(node: Any, path: Path) -> Any:
    """Return what is at a path; None if nothing is."""
    for step in path:
        if step.startswith("k:"):
            uid = json.loads(step[2:])["uid"]
            node = next((each for each in node or () if each["uid"] == uid), None)
        else:
            node = node.get(step[2:]) if isinstance(node, dict) else None
    return node


def put(node: Json, path: Path, value: Any) -> None:
    """Set, or with None remove, what is at a path."""
    *above, last = path
    for step in above:
        below = node.get(step[2:])
        if below is None:
            fresh: Any = [] if last.startswith("k:") and step == above[-1] else {}
            node[step[2:]] = below = fresh
        node = below
    if last.startswith("k:"):
        items: Any = node
        uid = json.loads(last[2:])["uid"]
        items[:] = [each for each in items if each["uid"] != uid] + ([] if value is None else [value])
    elif value is None:
        node.pop(last[2:], None)
    else:
        node[last[2:]] = value


def to_fields(paths: set[Path]) -> Json:
    """Return paths as FieldsV1."""
    trie: Json = {}
    for path in sorted(paths):
        node = trie
        for step in path:
            node = node.setdefault(step, {})
    return trie


def from_fields(trie: Json, path: Path = ()) -> set[Path]:
    """Return the paths of a FieldsV1."""
    return {p for step, below in trie.items() for p in from_fields(below, (*path, step))} if trie else {path}


Owners = dict[tuple[str, str], set[Path]]


def owners(found: Json | None) -> Owners:
    """Return who owns what: (manager, operation) → paths."""
    entries = (found or {}).get("metadata", {}).get("managedFields", ())
    return {(e["manager"], e["operation"]): from_fields(e["fieldsV1"]) - {()} for e in entries}


def copy(found: Json) -> Json:
    """Return a deep copy."""
    copied: Json = msgspec.json.decode(msgspec.json.encode(found))
    return copied


class Objects:
    """All objects, by collection (``/api/v1/secrets``). Safe for many threads."""

    def __init__(self, *, window: int = 50_000) -> None:
        self.lock = threading.RLock()
        self.version = 1
        self.oldest = 0
        """Versions below are no longer known: a watch from there is answered with 410."""
        self.listeners: list[Callable[[str, Event], None]] = []
        self._kinds: dict[str, dict[tuple[str, str], Json]] = defaultdict(dict)
        self._uids: set[str] = set()
        self._history: dict[str, deque[Event]] = defaultdict(lambda: deque(maxlen=window))

    def find(self, kind: str, namespace: str, name: str) -> Json:
        """Return an object or raise Refused 404."""
        found = self._kinds[kind].get((namespace, name))
        if found is None:
            raise Refused(404, "NotFound")
        return found

    def all(self, kind: str, namespace: str = "") -> list[Json]:
        """Return the objects of a collection, sorted."""
        with self.lock:
            return [o for (ns, _), o in sorted(self._kinds[kind].items()) if not namespace or ns == namespace]

    def since(self, kind: str, version: int) -> list[Event]:
        """Return the changes after a version. Raises Refused 410."""
        history = self._history[kind]
        full = history.maxlen is not None and len(history) == history.maxlen
        if version < self.oldest or (full and version < history[0][0] - 1):
            raise Refused(410, "Expired", message="too old resource version")
        return [event for event in history if event[0] > version]

    def create(self, kind: str, namespace: str, body: Json, manager: str) -> Json:
        """Create an object."""
        name = body["metadata"].get("name") or body["metadata"]["generateName"] + uuid.uuid4().hex[:5]
        with self.lock:
            if (namespace, name) in self._kinds[kind]:
                raise Refused(409, "AlreadyExists")
            new = copy(body)
            if kind.endswith(WITH_STATUS):
                new.pop("status", None)
            new["metadata"] |= {"name": name} | ({"namespace": namespace} if namespace else {})
            return self._store(kind, None, _finished(kind, new), {(manager, "Update"): set(leaves(new))})

    def replace(self, kind: str, namespace: str, name: str, body: Json, manager: str, *, sub: str = "") -> Json:
        """Replace an object, or only its status (``sub``)."""
        with self.lock:
            live = self.find(kind, namespace, name)
            for field in ("resourceVersion",) if sub else ("resourceVersion", "uid"):
                if body.get("metadata", {}).get(field) not in (None, live["metadata"][field]):
                    raise Refused(409, "Conflict")
            new = copy(live) | {"status": copy(body).get("status")} if sub else copy(body)
            if not sub and kind.endswith(WITH_STATUS):
                new["status"] = live.get("status")
            new = {key: value for key, value in new.items() if value is not None}
            new["metadata"] |= {key: live["metadata"][key] for key in ("name", "namespace") if key in live["metadata"]}
            new = _finished(kind, new, live)
            before, after = set(leaves(live)), set(leaves(new))
            changed = {path for path in after if look(live, path) != look(new, path)}
            held = {who: (paths - changed) & after for who, paths in owners(live).items()}
            held[manager, "Update"] = held.get((manager, "Update"), set()) | changed
            return self._store(kind, live, new, held) if changed or before != after else live

    def merge(self, kind: str, namespace: str, name: str, body: Json, manager: str, *, sub: str = "") -> Json:
        """Apply a JSON merge patch (RFC 7386)."""
        with self.lock:
            merged = _merged(copy(self.find(kind, namespace, name)), body)
            return self.replace(kind, namespace, name, merged, manager, sub=sub)

    def apply(self, kind: str, namespace: str, name: str, body: Json, manager: str, *, force: bool = False) -> Json:
        """Apply a configuration (server-side apply). Raises Refused 409 with the fields that others own."""
        with self.lock:
            live = self._kinds[kind].get((namespace, name))
            asked = body["metadata"].get("resourceVersion")
            if asked and asked != (live or {"metadata": {}})["metadata"].get("resourceVersion"):
                raise Refused(409, "Conflict")
            me, mine = (manager, "Apply"), set(leaves(body))
            held = owners(live)
            foreign = {
                (path, who)
                for who, paths in held.items()
                for path in paths & mine
                if who != me and look(live, path) != look(body, path)
            }
            if foreign and not force:
                raise Refused(409, "Conflict", tuple(_cause(path, who[0]) for path, who in sorted(foreign)))
            for path, who in foreign:
                held[who].discard(path)
            new = copy(live) if live else {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": {}}
            new["metadata"] |= {"name": name} | ({"namespace": namespace} if namespace else {})
            for path in held.get(me, set()) - mine:
                if not any(path in paths for who, paths in held.items() if who != me):
                    put(new, path, None)
            for path in sorted(mine):
                put(new, path, look(body, path))
            held[me] = mine
            new = _finished(kind, new, live)
            same = live is not None and owners(live) == held and _content(live) == _content(new)
            return live if same and live else self._store(kind, live, new, held)

    def delete(self, kind: str, namespace: str, name: str) -> Json:
        """Delete an object, and what it owned."""
        with self.lock:
            gone = self.find(kind, namespace, name)
            del self._kinds[kind][namespace, name]
            self._uids.discard(gone["metadata"]["uid"])
            self.version += 1
            last = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self.version)}}
            self._tell(kind, "DELETED", last)
            for dependent in self._orphans(gone["metadata"]["uid"]):
                self.delete(*dependent)
            return gone

    def _orphans(self, uid: str) -> list[tuple[str, str, str]]:
        return [
            (kind, *key)
            for kind, objects in self._kinds.items()
            for key, found in objects.items()
            if [each["uid"] for each in found["metadata"].get("ownerReferences", ())] == [uid]
        ]

    def _store(self, kind: str, live: Json | None, new: Json, held: Owners) -> Json:
        self.version += 1
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        before: Json = live["metadata"] if live else {"uid": str(uuid.uuid4()), "creationTimestamp": now}
        meta: Json = new["metadata"]
        meta |= {"uid": before["uid"], "creationTimestamp": before["creationTimestamp"]}
        meta["resourceVersion"] = str(self.version)
        if "spec" in new and kind != "/api/v1/secrets":
            moved = live is not None and live.get("spec") != new["spec"]
            meta["generation"] = int(before.get("generation", 0)) + int(moved or live is None)
        meta["managedFields"] = [
            {
                "manager": manager,
                "operation": operation,
                "apiVersion": new["apiVersion"],
                "time": now,
                "fieldsType": "FieldsV1",
                "fieldsV1": to_fields(paths),
            }
            for (manager, operation), paths in held.items()
            if paths
        ]
        self._kinds[kind][meta.get("namespace", ""), meta["name"]] = new
        self._uids.add(meta["uid"])
        self._tell(kind, "MODIFIED" if live else "ADDED", new)
        above = {each["uid"] for each in meta.get("ownerReferences", ())}
        if above and not above & self._uids:  # its owner went while it was on its way
            self.delete(kind, meta.get("namespace", ""), meta["name"])
        return new

    def _tell(self, kind: str, what: str, found: Json) -> None:
        event = (self.version, what, found)
        self._history[kind].append(event)
        for listener in list(self.listeners):
            listener(kind, event)


def _content(found: Json) -> Json:
    meta = {key: value for key, value in found["metadata"].items() if key not in _SERVERS}
    return {**found, "metadata": meta}


def _cause(path: Path, manager: str) -> Json:
    field = "".join("." + step[2:] if step.startswith("f:") else f"[{step[2:]}]" for step in path)
    return {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}" using v1', "field": field}


def _merged(node: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    node = node if isinstance(node, dict) else {}
    for key, value in patch.items():
        if value is None:
            node.pop(key, None)
        else:
            node[key] = _merged(node.get(key), value)
    return node


def _invalid(*fields: str) -> Refused:
    causes = tuple({"reason": "FieldValueInvalid", "message": "SECRET-TEXT", "field": field} for field in fields)
    return Refused(422, "Invalid", causes)


def _finished(kind: str, new: Json, live: Mapping[str, Any] | None = None) -> Json:
    """Return an object as the API server would keep it: a Secret's defaults filled in and its rules checked."""
    if kind != "/api/v1/secrets":
        return new
    texts = new.pop("stringData", None) or {}
    data = {**new.get("data", {}), **{k: base64.b64encode(v.encode()).decode() for k, v in texts.items()}}
    if data or "data" in new:
        new["data"] = data
    new.setdefault("type", "Opaque")
    bad = [f"data[{key}]" for key in data if not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key)]
    bad += [f"data[{key}]" for key in REQUIRED.get(new["type"], ()) if key not in data]
    if live and live.get("type") != new["type"]:
        bad.append("type")
    if live and live.get("immutable") and live.get("data") != new.get("data"):
        bad.append("data")
    if bad:
        raise _invalid(*bad)
    try:
        size = sum(len(base64.b64decode(value, validate=True)) for value in data.values())
    except (binascii.Error, TypeError):
        raise Refused(400, "BadRequest") from None
    if size > 1 << 20:
        raise _invalid("data")
    return new
