"""From a plan and the values that were read for it to the files of a volume.

The files are the volume's whole content: the driver (1.6.0) removes what is not among them. One bad path, or two that
clash, would fail or spoil the whole volume there, so they are found here; so is an answer that the driver would refuse
for its size.
"""

import binascii
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from operator import attrgetter

from driver.errors import Internal, InvalidInput, KeyferryError, TooLarge, Unusable, all_of
from driver.model import File, Read, SecretRef, SecretValue, Store
from driver.spc.jsonvalue import Document, excerpt
from driver.spc.paths import clashes, problem, translate
from driver.spc.plan import Encoding, Extract, Plan, PlannedObject

LIMIT = 4 * 1024 * 1024 - 64 * 1024
"""Bytes of an answer: what driver 1.6.0 receives by default (``--max-call-recv-msg-size``, 4 MiB) less some room."""

FILES_LIMIT = 10_000
"""Files of one volume."""

_FRAMING = 32  # bytes around a file and its object version in the answer, at most
_WHITESPACE = b" \t\r\n\v\f"
_RENDERING = 1  # raise it when the same value and plan give other bytes than before
_by_file = attrgetter("file", "subject")


def render(plan: Plan, reads: Mapping[SecretRef, Read], *, limit: int = LIMIT) -> tuple[File, ...]:
    """Return the volume's files, sorted by path.

    ``reads`` holds each value under its ``want.ref``, a failover's value too. An optional want that is not in it gives
    no files, so the result can be empty. Such a volume cannot be delivered (driver 1.6.0 wants an object version, and
    keeps old files when it gets no files); what to do about it is the caller's.

    - A file is the value's bytes, after ``encoding`` was decoded. An extract is a further file, searched in those
      bytes. ``*`` gives a file for each key of a JSON object whose value is not null.
    - ``File.mode`` has permission bits only: set-uid, set-gid and sticky digits are dropped, as AWS provider 3.1.1 does
      when it writes the files itself.
    - ``File.version`` is ``<AWS version>-<12 hex digits>``. The digits are of a SHA-256 over the value's ``stamp`` and
      how the file is made of it: path, mode, encoding and expression, key or child. It is never of the content, which
      would show who else has the same secret.
    - ``limit`` is for the bytes of the answer: contents, and paths and versions as often as they are sent.

    Raises one error for all that is wrong: ``Unusable`` for content that does not decode, is not JSON or has nothing at
    a path; ``InvalidInput`` for names that only the value tells and that cannot be files, and for clashes; ``TooLarge``
    for an answer of more than ``limit`` bytes or ``FILES_LIMIT`` files; ``Internal`` when a required value is not in
    ``reads``.
    """
    volume = _Volume(limit)
    # An order of our own makes errors and results the same however a manifest is arranged
    for planned in sorted(plan.objects, key=_by_file):
        try:
            _deliver(planned, reads, volume)
        except KeyferryError as error:
            volume.errors.append(error)
    return volume.close()


class _Volume:
    """Files, what is wrong, and the bytes so far. Above the limit files are counted and no longer kept."""

    __slots__ = ("_count", "_limit", "_made_by", "_total", "_weights", "errors")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._total = 0
        self._count = 0
        self._weights: Counter[str] = Counter()
        self._made_by: list[tuple[File, str]] = []
        self.errors: list[KeyferryError] = []

    def add(self, subject: str, file: File) -> None:
        """Take a file that ``subject`` gave."""
        weight = len(file.content) + 2 * len(file.path.encode()) + len(file.version) + _FRAMING
        self._total += weight
        self._count += 1
        self._weights[subject] += weight
        if self._total <= self._limit and self._count <= FILES_LIMIT:
            self._made_by.append((file, subject))

    def close(self) -> tuple[File, ...]:
        """Return the files by path. Raises all errors, those of the whole volume included."""
        if self._count > FILES_LIMIT or self._total > self._limit:
            self.errors.append(self._too_large())
        files = sorted((file for file, _ in self._made_by), key=attrgetter("path"))
        pairs = clashes(file.path for file in files)
        if pairs:
            self.errors += self._clashing(pairs)
        if self.errors:
            raise all_of(self.errors)
        return tuple(files)

    def _too_large(self) -> KeyferryError:
        subject, weight = self._weights.most_common(1)[0]
        if self._count > FILES_LIMIT:
            return _too_many(subject, self._count)
        return TooLarge(
            subject,
            f"the volume has {self._total:,} bytes of at most {self._limit:,}; {weight:,} are this object's",
            "mount fewer objects, or raise the driver's --max-call-recv-msg-size and keyferry's --max-response-bytes",
        )

    def _clashing(self, pairs: list[tuple[str, str]]) -> Iterator[KeyferryError]:
        subjects: dict[str, list[str]] = {}
        for file, subject in self._made_by:
            subjects.setdefault(file.path, []).append(subject)
        for one, other in pairs:
            yield _clash(one, subjects[one][0], other, subjects[other][-1])


def _clash(one: str, one_subject: str, other: str, other_subject: str) -> InvalidInput:
    whose = "of the same object" if one_subject == other_subject else f"of {other_subject}"
    rule = "have the same path" if one == other else "clash: one is a file where the other needs a folder"
    cause = f"its file {excerpt(one)} and the file {excerpt(other)} {whose} {rule}"
    return InvalidInput(one_subject, cause, "set another objectAlias or pathTranslation, or name the keys singly")


def _deliver(planned: PlannedObject, reads: Mapping[SecretRef, Read], volume: _Volume) -> None:
    want = planned.want
    read = reads.get(want.ref)
    if read is None:
        if want.optional:
            return
        raise Internal(planned.subject)
    if want.ref.store is Store.PARAMETER_PATH:
        _deliver_children(planned, read.value, volume)
        return
    content = _decoded(planned.subject, read.value.content, planned.encoding)
    volume.add(planned.subject, _file(planned.file, planned.mode, content, read.value, (planned.encoding.value,)))
    if planned.extracts:
        _deliver_extracts(planned, read.value, Document(planned.subject, content), volume)


def _deliver_children(planned: PlannedObject, parent: SecretValue, volume: _Volume) -> None:
    if len(parent.children) > FILES_LIMIT:
        raise _too_many(planned.subject, len(parent.children))
    for name, child in parent.children:
        subject = f"{planned.subject} (parameter {excerpt(name)})"
        try:
            path = _checked(subject, "/".join(filter(None, (planned.file, translate(name, planned.separator)))))
            content = _decoded(subject, child.content, planned.encoding)
        except KeyferryError as error:
            volume.errors.append(error)
            continue
        volume.add(planned.subject, _file(path, planned.mode, content, child, (planned.encoding.value, "child", name)))


def _deliver_extracts(planned: PlannedObject, value: SecretValue, document: Document, volume: _Volume) -> None:
    for extract in planned.extracts:
        try:
            if extract.path == "*":
                _deliver_keys(planned, extract, value, document, volume)
                continue
            content = document.search(extract.path)
        except KeyferryError as error:
            volume.errors.append(error)
            continue
        spec = (planned.encoding.value, "path", extract.path)
        volume.add(planned.subject, _file(extract.file, extract.mode, content, value, spec))


def _deliver_keys(
    planned: PlannedObject, extract: Extract, value: SecretValue, document: Document, volume: _Volume
) -> None:
    if len(document) > FILES_LIMIT:
        raise _too_many(planned.subject, len(document))
    for position, (key, content) in enumerate(document.members(), start=1):
        # A key that cannot be a file name was perhaps not meant to be seen: only its place is told
        try:
            path = _checked(f"{planned.subject} (JSON value {position})", translate(key, planned.separator))
        except InvalidInput as error:
            volume.errors.append(error)
            continue
        spec = (planned.encoding.value, "key", key)
        volume.add(planned.subject, _file(path, extract.mode, content, value, spec))


def _checked(subject: str, path: str) -> str:
    wrong = problem(path)
    if wrong:
        raise InvalidInput(subject, wrong, "rename it in the store, or name the files singly with an objectAlias each")
    return path


def _file(path: str, mode: int, content: bytes, value: SecretValue, spec: tuple[str, ...]) -> File:
    mode &= 0o777
    # repr() of a tuple is unambiguous and takes any text
    made = repr((_RENDERING, value.stamp, path, mode, *spec)).encode()
    return File(path, mode, content, f"{value.version}-{sha256(made).hexdigest()[:12]}")


def _decoded(subject: str, content: bytes, encoding: Encoding) -> bytes:
    if encoding is Encoding.NONE:
        return content
    # Tools wrap their lines and end them; nothing else may be in between
    text = content.translate(None, _WHITESPACE)
    try:
        return b64decode(text, validate=True) if encoding is Encoding.BASE64 else binascii.unhexlify(text)
    except binascii.Error:
        cause = f"its value is not {encoding.value}"
        raise Unusable(subject, cause, f"store it as {encoding.value}, or ask for it without decoding") from None


def _too_many(subject: str, count: int) -> TooLarge:
    cause = f"it brings the volume to {count:,} files; at most {FILES_LIMIT:,} are possible"
    return TooLarge(subject, cause, "mount fewer keys or parameters")
