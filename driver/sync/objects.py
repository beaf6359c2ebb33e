"""From the files of a SecretProviderClass to the Secrets of its ``secretObjects``, as driver 1.6.0 makes them.

The label ``secrets-store.csi.k8s.io/managed`` is not set: it would make the driver take the Secret for its own.
"""

from collections.abc import Iterator

import msgspec

from driver.errors import Internal, InvalidInput, KeyferryError, all_of
from driver.model import File, Read
from driver.spc import files
from driver.spc.fields import quoted
from driver.spc.plan import PlannedObject
from driver.sync import pem, secrettype
from driver.sync.plan import (
    Claim,
    Desired,
    ItemOutcome,
    Objects,
    Reads,
    Rendering,
    SecretObject,
    SyncPlan,
    Withheld,
)

TLS = "kubernetes.io/tls"
TLS_KEYS = ("tls.crt", "tls.key")

BYTES_LIMIT = 64 * 1024 * 1024
"""Bytes of all files of a class: they go into Secrets, not into one answer, so only memory is a reason for a limit."""


class _Files:
    """The files that could be made, and why others could not."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.failed: dict[str, KeyferryError] = {}
        self.any_failed: list[KeyferryError] = []

    def take(self, content: Objects, planned: PlannedObject, reads: Reads) -> KeyferryError | None:
        """Take an object's files; return why it has none."""
        try:
            for file in _made(content, planned, reads):
                if file.path in self.content:
                    cause = f"its file {quoted(file.path)} is also that of another object"
                    raise InvalidInput(planned.subject, cause, "give each its own objectAlias")
                self.content[file.path] = file.content
        except KeyferryError as error:
            self.any_failed.append(error)
            for path in (planned.file, *(extract.file for extract in planned.extracts)):
                self.failed[path] = error
            return error
        return None

    def get(self, place: str, path: str) -> bytes:
        """Return a file. Raises what is wrong with it."""
        if path in self.content and path not in self.failed:
            return self.content[path]
        if path in self.failed or self.any_failed:
            raise self.failed.get(path) or all_of(self.any_failed)
        cause = f"file matching objectName {quoted(path)} not found"
        raise InvalidInput(place, cause, "write the objectAlias, or the objectName, of one of the objects")


def _made(content: Objects, planned: PlannedObject, reads: Reads) -> tuple[File, ...]:
    ref = planned.want.ref
    found = reads.get(ref)
    if isinstance(found, KeyferryError):
        raise found
    if found is None and not planned.want.optional:
        raise Internal(planned.subject)
    alone = msgspec.structs.replace(content.plan, objects=(planned,), wants=(planned.want,))
    return files.render(alone, {ref: found} if found else {}, limit=BYTES_LIMIT)


def render(plan: SyncPlan, content: Objects, reads: Reads) -> Rendering:
    """Return the Secrets of a class. One that needs a file that could not be made is withheld, the others are not."""
    found = _Files()
    outcomes = []
    for index, planned in enumerate(content.plan.objects):
        error = found.take(content, planned, reads)
        read = reads.get(planned.want.ref)
        version = read.value.version if isinstance(read, Read) else ""
        outcomes.append(ItemOutcome(f"objects[{index}]", planned.subject, planned.file, version=version, error=error))
    wanted = [_secret(plan, one, found) for one in content.secrets]
    return Rendering(
        secrets=tuple(one for one in wanted if isinstance(one, Desired)),
        items=tuple(outcomes),
        withheld=tuple(one for one in wanted if isinstance(one, Withheld)),
    )


def _secret(plan: SyncPlan, one: SecretObject, found: _Files) -> Desired | Withheld:
    errors: list[KeyferryError] = []
    data = dict(_data(one, found, errors))
    wrong = None if errors else secrettype.check(f"Secret {one.name}", one.type, data)
    if wrong:
        errors.append(wrong)
    if errors:
        return Withheld(one.name, all_of(errors))
    return Desired(plan.origin, one.name, one.type, data, Claim.MAKE, one.labels, one.annotations, plan.retain)


def _data(one: SecretObject, found: _Files, errors: list[KeyferryError]) -> Iterator[tuple[str, bytes]]:
    for path, key in one.data:
        try:
            content = found.get(one.place, path)
            if one.type == TLS:
                part = pem.certificates if key == TLS_KEYS[0] else pem.private_key
                content = part(f"{one.place} ({path})", content)
        except KeyferryError as error:
            errors.append(error)
            continue
        yield key, content
