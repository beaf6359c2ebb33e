"""From the parameters of a SecretProviderClass to a ``Plan``, or to all that is wrong with them at once.

Accepts what AWS provider 3.1.1 accepts, with its key phrases in the messages so that a search finds them. What differs:
unquoted ``0600``, ``yes`` and ``1.10`` mean what they say, and whether two objects clash is decided by the files that
come of them, not by their names.
"""

from collections.abc import Iterator, Mapping

import jmespath
import jmespath.exceptions
import msgspec

from driver.errors import InvalidInput
from driver.model import Store
from driver.spc import goyaml, paths, references, settings
from driver.spc.fields import EXTRACT_FIELDS, OBJECT_FIELDS, Problems, Reader, by_lower_case, quoted
from driver.spc.plan import Encoding, Extract, Plan, PlannedObject

EXPRESSION_LIMIT = 4_096
"""Longest JMESPath expression in characters."""

EXPRESSIONS_LIMIT = 32 * 1024
"""Characters of all JMESPath expressions of a class: compiling them costs a few microseconds each."""

_OBJECT_NAMES = by_lower_case(OBJECT_FIELDS)
_EXTRACT_NAMES = by_lower_case(EXTRACT_FIELDS)
_ENCODINGS = {"": Encoding.NONE, "utf-8": Encoding.NONE, "base64": Encoding.BASE64, "hex": Encoding.HEX}


class _Claim(msgspec.Struct, frozen=True):
    """A file that an entry makes at ``path``. For a folder of parameters it is a child that no other entry has."""

    path: str
    shown: str
    subject: str
    line: int
    named_by: str


class _Draft:
    """A plan in the making: what holds for all objects, the files so far, and how much there was to compile."""

    __slots__ = ("claims", "common", "letters")

    def __init__(self, common: settings.Settings) -> None:
        self.common = common
        self.claims: list[_Claim] = []
        self.letters = 0

    def claim(self, entry: Reader, at: Reader, path: str, named_by: str, child: str = "") -> None:
        """Note the file of ``entry`` that the field ``named_by`` of ``at`` names."""
        trouble = paths.problem(path)
        if trouble:
            at.refuse(named_by, trouble, "set an objectAlias that can be a file name")
            return
        self.claims.append(_Claim(path + child, path, entry.subject, at.line_of(named_by), named_by))


def parse(parameters: Mapping[str, str], *, region: str, default_mode: int = 0o644) -> Plan:
    """Return what the parameters ask for.

    ``region`` is the default region, empty while it is unknown: references that name none then have an empty region,
    and ARNs are not compared with it. ``default_mode`` are the permission bits of a file without ``filePermission``.

    Raises ``InvalidInput`` or, for several problems, ``Failures``. A problem's subject is the objectName, else the
    entry's place.
    """
    problems = Problems()
    common = settings.read(parameters, region, default_mode, problems)
    try:
        entries = _entries(parameters.get("objects", ""), problems)
    except InvalidInput as error:
        problems.take(error)
        entries = []
    draft = _Draft(common)
    planned = [found for entry in entries if (found := _planned(entry, draft))]
    _check_clashes(draft.claims, problems)
    problems.check()
    return Plan(
        method=common.method,
        address_type=common.address_type,
        region=common.region,
        failover_region=common.failover_region,
        objects=tuple(planned),
        wants=tuple(dict.fromkeys(found.want for found in planned)),
        default_mode=default_mode,
    )


def _entries(text: str, problems: Problems) -> list[Reader]:
    root = goyaml.load(text)
    if isinstance(root, goyaml.Mapping):
        if any(item.name == "array" for item in root.fields):
            cause = "the 'array:' form is that of other providers"
            raise InvalidInput("objects", cause, "write a plain list: - objectName: …")
        raise InvalidInput("objects", "not a list but a mapping", "begin each object with '- objectName: …'")
    if root is None or (isinstance(root, goyaml.Scalar) and root.go is None):
        raise InvalidInput("objects", "no objects", "list at least one: - objectName: …")
    if isinstance(root, goyaml.Scalar):
        raise InvalidInput("objects", "not a list but a text", "begin each object with '- objectName: …'")
    if not root.items:
        raise InvalidInput("objects", "no objects: the list is empty", "list at least one: - objectName: …")
    return [entry for index, node in enumerate(root.items) if (entry := _entry(index, node, problems))]


def _entry(index: int, node: goyaml.Node, problems: Problems) -> Reader | None:
    place = f"objects[{index}]"
    if not isinstance(node, goyaml.Mapping):
        empty = isinstance(node, goyaml.Scalar) and node.go is None
        cause = "Empty descriptor entry in SecretProviderClass" if empty else "not a mapping of fields"
        remedy = "write - objectName: …, or remove the entry"
        problems.take(goyaml.InvalidAt(place, cause, remedy, node.line))
        return None
    entry = Reader(node, _OBJECT_NAMES, place, problems)
    name = entry.text("objectName")
    if not name:
        remedy = "add objectName: the secret's or parameter's name or ARN"
        problems.take(goyaml.InvalidAt(place, "Object name must be specified", remedy, node.line))
        return None
    entry.subject = name if name.isprintable() and len(name) <= 512 else f"{place} (line {node.line})"
    return entry


def _planned(entry: Reader, draft: _Draft) -> PlannedObject | None:
    want = references.want(entry, draft.common)
    mode = entry.mode("filePermission", draft.common.default_mode)
    encoding = _encoding(entry)
    is_path = entry.text("objectType") == Store.PARAMETER_PATH
    file = _folder(entry, draft) if is_path else _file(entry, draft)
    if is_path and entry.node("jmesPath"):
        entry.refuse("jmesPath", "jmesPath is not possible with a path of parameters", "list the parameters singly")
    extracts = () if is_path else tuple(_extracts(entry, mode, draft))
    if want is None:
        return None
    return PlannedObject(
        subject=entry.subject,
        want=want,
        file=file,
        mode=mode,
        separator=draft.common.separator,
        extracts=extracts,
        encoding=encoding,
    )


def _file(entry: Reader, draft: _Draft) -> str:
    named_by = "objectAlias" if entry.text("objectAlias") else "objectName"
    path = paths.translate(entry.text(named_by), draft.common.separator)
    draft.claim(entry, entry, path, named_by)
    return path


def _folder(entry: Reader, draft: _Draft) -> str:
    path = paths.translate(entry.text("objectAlias"), draft.common.separator)
    if path:
        # A control character: no name of a file can have it
        draft.claim(entry, entry, path, "objectAlias", child=f"/\1{len(draft.claims)}")
    return path


def _extracts(entry: Reader, mode: int, draft: _Draft) -> Iterator[Extract]:
    node = entry.node("jmesPath")
    if isinstance(node, goyaml.Scalar) and node.text == "*":
        yield Extract(path="*", file="", mode=mode)
    elif isinstance(node, goyaml.Sequence):
        for item in node.items:
            extract = _extract(entry, item, mode, draft)
            if extract:
                yield extract
    elif node is not None:
        entry.refuse("jmesPath", "jmesPath is not a list", 'write a list of path and objectAlias, or "*" for every key')


def _extract(entry: Reader, node: goyaml.Node, mode: int, draft: _Draft) -> Extract | None:
    if isinstance(node, goyaml.Scalar) and node.go is None:
        node = goyaml.Mapping((), node.line)
    if not isinstance(node, goyaml.Mapping):
        cause, remedy = "an entry is not a mapping", "write - path: … and objectAlias: …"
        entry.problems.take(goyaml.InvalidAt(entry.subject, cause, remedy, node.line, field="jmesPath"))
        return None
    part = Reader(node, _EXTRACT_NAMES, entry.subject, entry.problems)
    path, alias = part.text("path"), part.text("objectAlias")
    mode = part.mode("filePermission", mode)
    if path == "*" and not alias:
        return Extract(path="*", file="", mode=mode)
    _check_expression(part, path, draft)
    if not alias:
        part.refuse("objectAlias", "Object alias must be specified for JMES object", "add objectAlias: the file's name")
        return None
    file = paths.translate(alias, draft.common.separator)
    draft.claim(entry, part, file, "objectAlias")
    return Extract(path=path, file=file, mode=mode)


def _check_expression(part: Reader, path: str, draft: _Draft) -> None:
    draft.letters += len(path)
    if draft.letters > EXPRESSIONS_LIMIT:
        cause = f"the expressions of all objects have more than {EXPRESSIONS_LIMIT} characters"
        part.problems.add("objects", cause, 'ask for fewer keys, or for every key with jmesPath: "*"')
    elif not path:
        part.refuse("path", "Path must be specified for JMES object", "add path: the key's name in the JSON value")
    elif len(path) > EXPRESSION_LIMIT:
        part.refuse("path", f"Invalid JMES Path: longer than {EXPRESSION_LIMIT} characters", "shorten it")
    elif path == "*":
        part.refuse("path", "'*' with an objectAlias gives no text", "leave objectAlias out: one file for each key")
    elif not _compiles(path):
        remedy = "quote a key with a hyphen or dot as '\"my-key\"'"
        part.refuse("path", f"Invalid JMES Path: {quoted(path)}", remedy)


def _compiles(path: str) -> bool:
    try:
        jmespath.compile(path)
    except (jmespath.exceptions.JMESPathError, RecursionError):
        return False
    return True


def _encoding(entry: Reader) -> Encoding:
    first, second = entry.text("decode"), entry.text("objectEncoding")
    field = "objectEncoding" if second else "decode"
    if first and second and first != second:
        entry.refuse("decode", "decode and objectEncoding differ", "keep one of them")
    word = first or second
    if word not in _ENCODINGS:
        entry.refuse(field, f"{field} is {quoted(word)}", 'write "base64", "hex" or "utf-8"')
    return _ENCODINGS.get(word, Encoding.NONE)


def _check_clashes(claims: list[_Claim], problems: Problems) -> None:
    by_path: dict[str, list[_Claim]] = {}
    for claim in claims:
        by_path.setdefault(claim.path, []).append(claim)
    for one, other in paths.clashes(claim.path for claim in claims):
        _tell_clash(by_path[one][0], by_path[other].pop() if one == other else by_path[other][-1], problems)


def _tell_clash(one: _Claim, other: _Claim, problems: Problems) -> None:
    first, second = sorted((one, other), key=lambda claim: claim.line)
    if one.path == other.path:
        phrase = "found duplicate object alias" if second.named_by == "objectAlias" else "found duplicate object name"
        cause = f"{phrase}: its file {quoted(second.shown)} is also the file of {quoted(first.subject)}"
    else:
        cause = f"its {quoted(second.shown)} and {quoted(first.shown)} of {quoted(first.subject)} need one name"
        cause += " as file and as folder"
    cause += f" (line {first.line} of objects)"
    remedy = "give each its own objectAlias"
    problems.take(goyaml.InvalidAt(second.subject, cause, remedy, second.line, field=second.named_by))
