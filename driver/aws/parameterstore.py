"""Reads parameters: ten in a call, and everything below a path.

API pages: Systems Manager "GetParameters", "GetParametersByPath", both WithDecryption. An answer to GetParameters tells
a name and not always the selector (``name:3``, ``name:label``) that it is for, so one call never asks for one parameter
twice; and one parameter that may not be read fails the whole call, so that is then asked for again name by name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from driver.aws.failures import Asked, Refusal, translate, who
from driver.aws.request import Operation, Order
from driver.aws.transport import Transport
from driver.errors import IdentityRefused, KeyferryError, TooLarge, Unavailable
from driver.fanout import Fanout
from driver.model import Call, Outcome, SecretRef, SecretValue, Store

BATCH = 10
"""Names in one GetParameters."""
PAGE = 10
"""Parameters in one page of GetParametersByPath."""
CHILDREN = 1_000
"""Parameters below one path."""
WIDTH = 8
"""Calls side by side."""


class _Parameter(msgspec.Struct):
    Name: str
    Value: str
    Version: int
    ARN: str = ""
    LastModifiedDate: float | str | None = None


class _Parameters(msgspec.Struct):
    Parameters: list[_Parameter] | None = None
    InvalidParameters: list[str] | None = None


class _Page(msgspec.Struct):
    Parameters: list[_Parameter] | None = None
    NextToken: str | None = None


GET = Operation("ssm", "GetParameters", msgspec.json.Decoder(_Parameters).decode)
BY_PATH = Operation("ssm", "GetParametersByPath", msgspec.json.Decoder(_Page).decode)


class ParameterStore:
    """A Backend. Lives as long as the process; safe for many threads."""

    def __init__(self, transport: Transport, fanout: Fanout) -> None:
        self._transport = transport
        self._fanout = fanout

    def fetch(self, call: Call, refs: Sequence[SecretRef]) -> Mapping[SecretRef, Outcome]:
        """Return an outcome for every reference (``driver.resolve.Backend``)."""
        paths = [ref for ref in refs if ref.store is Store.PARAMETER_PATH]
        names = [ref for ref in refs if ref.store is not Store.PARAMETER_PATH]
        jobs = [partial(self._named, call, batch) for batch in batches(names)]
        jobs += [partial(self._below, call, ref) for ref in paths]
        return {ref: outcome for found in self._fanout.run(jobs, WIDTH) for ref, outcome in found.items()}

    def _named(self, call: Call, refs: Sequence[SecretRef]) -> dict[SecretRef, Outcome]:
        """Return the outcomes of one call, or of one per name when the call was refused."""
        try:
            return self._get(call, refs)
        except (Unavailable, IdentityRefused) as error:
            return {ref: _about(error, ref) for ref in refs}
        except KeyferryError as error:
            if len(refs) == 1:
                return {refs[0]: error}
        singles = self._fanout.run([partial(self._named, call, [ref]) for ref in refs], WIDTH)
        return {ref: outcome for found in singles for ref, outcome in found.items()}

    def _get(self, call: Call, refs: Sequence[SecretRef]) -> dict[SecretRef, Outcome]:
        subject = refs[0].name if len(refs) == 1 else f"{len(refs)} parameters"
        order = _order(call, GET.permission, subject)
        wanted = {"Names": [_selected(ref) for ref in refs], "WithDecryption": True}
        answer, request_id, _ = self._transport.call(GET, msgspec.json.encode(wanted), order)
        known = {_base(found.Name): found for found in answer.Parameters or ()}
        invalid = set(answer.InvalidParameters or ())
        return {ref: _matched(call, ref, known, invalid, request_id) for ref in refs}

    def _below(self, call: Call, ref: SecretRef) -> dict[SecretRef, Outcome]:
        try:
            children = tuple(self._children(call, ref))
        except KeyferryError as error:
            return {ref: error}
        if not children:
            refusal = Refusal(400, "ParameterNotFound")
            return {ref: translate(refusal, _asked(call, BY_PATH.permission, ref.name))}
        return {ref: SecretValue(b"", ref.name, "", children=children)}

    def _children(self, call: Call, ref: SecretRef) -> Iterator[tuple[str, SecretValue]]:
        """Yield (path below the asked one, value), page after page. Raises TooLarge beyond ``CHILDREN``."""
        order = _order(call, BY_PATH.permission, ref.name)
        above = ref.name.rstrip("/") + "/"
        wanted = {"Path": above.rstrip("/") or "/", "Recursive": True, "WithDecryption": True, "MaxResults": PAGE}
        token: str | None = None
        count = 0
        for _ in range(CHILDREN // PAGE * 2):  # pages may be short, but not for ever
            body = msgspec.json.encode(wanted | ({"NextToken": token} if token else {}))
            page, request_id, _ = self._transport.call(BY_PATH, body, order)
            count += len(page.Parameters or ())
            if count > CHILDREN:
                break
            for found in page.Parameters or ():
                if found.Name.startswith(above):
                    yield found.Name.removeprefix(above), _value(found, request_id)
            token = page.NextToken
            if not token:
                return
        raise TooLarge(ref.name, f"it has more than {CHILDREN} parameters below it", "name a longer path")


def batches(refs: Iterable[SecretRef]) -> list[list[SecretRef]]:
    """Return the references in batches of at most ``BATCH``, none of which has one parameter twice."""
    made: list[tuple[list[SecretRef], set[str]]] = []
    for ref in refs:
        base = _base(ref.name)
        for batch, bases in made:
            if len(batch) < BATCH and base not in bases:
                break
        else:
            batch, bases = [], set()
            made.append((batch, bases))
        batch.append(ref)
        bases.add(base)
    return [batch for batch, _ in made]


def _base(name: str) -> str:
    """Return what a name and the ARN of the same parameter have in common."""
    return name.rpartition(":parameter")[2].lstrip("/") if name.startswith("arn:") else name.lstrip("/")


def _selected(ref: SecretRef) -> str:
    selector = ref.version or ref.label
    return f"{ref.name}:{selector}" if selector else ref.name


def _matched(
    call: Call, ref: SecretRef, known: Mapping[str, _Parameter], invalid: set[str], request_id: str
) -> Outcome:
    """Return the outcome for one reference of an answer; what the answer does not mention is not there either.

    One call never asks for two parameters of one base, so the base is enough to tell them apart.
    """
    found = known.get(_base(ref.name))
    if found is not None and _selected(ref) not in invalid:
        if ref.version and str(found.Version) != ref.version:
            return Unavailable(ref.name, "AWS answered with another version", "check what answers at the endpoint")
        return _value(found, request_id)
    code = "ParameterVersionNotFound" if ref.version or ref.label else "ParameterNotFound"
    asked = _asked(call, GET.permission, ref.name, ref)
    return translate(Refusal(400, code), asked)


def _value(found: _Parameter, request_id: str) -> SecretValue:
    stamp = "" if found.LastModifiedDate is None else f"{found.ARN}@{found.LastModifiedDate}"
    return SecretValue(found.Value.encode(), found.ARN or found.Name, str(found.Version), stamp, request_id)


def _about(error: KeyferryError, ref: SecretRef) -> KeyferryError:
    """Return a failure of a whole call as that of one reference."""
    return type(error)(ref.name, error.cause, error.remedy)


def _order(call: Call, permission: str, name: str) -> Order:
    return Order(call.region, call.credentials, call.principal, call.deadline, _asked(call, permission, name))


def _asked(call: Call, permission: str, name: str, ref: SecretRef | None = None) -> Asked:
    version, label = (ref.version, ref.label) if ref else ("", "")
    return Asked(permission, name, call.region, who(call.principal), version, label)
