"""From an ExternalSecret's items and what was read for them to its Secrets.

Merging follows kubernetes-external-secrets 8.5.5 (of equal keys the last item wins, all items over the template); its
losses do not: an item whose value cannot be used fails, and a Secret with a failing item is withheld.
"""

import base64
import binascii
from collections.abc import Mapping

from driver.errors import Internal, KeyferryError, TooLarge, Unusable, all_of
from driver.model import Read, SecretRef
from driver.sync import secrettype, template, values
from driver.sync.plan import (
    Claim,
    Desired,
    Found,
    Item,
    ItemOutcome,
    Items,
    Mode,
    Reads,
    Rendering,
    Shape,
    SyncPlan,
    Template,
    Withheld,
)
from driver.sync.values import Json

ITEM_KEYS_LIMIT = 10_000
"""Keys that one item may give."""


class _Values:
    """The reads of one rendering, and the JSON in them, decoded once."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._json: dict[SecretRef, Json] = {}

    def read(self, item: Item) -> Read:
        """Return an item's read. Raises what became of it instead, under the item's name."""
        found: Found | None = self._reads.get(item.want.ref)
        if isinstance(found, KeyferryError):
            raise found
        if found is None:
            raise Internal(item.subject)
        return found

    def json(self, item: Item, need: str) -> Json:
        """Return the JSON value of an item's read. Raises as ``read``, and ``Unusable``."""
        ref = item.want.ref
        if ref not in self._json:
            self._json[ref] = values.decode(item.subject, self.read(item).value.content, need)
        return self._json[ref]


def render(plan: SyncPlan, content: Items, reads: Reads) -> Rendering:
    """Return the Secrets of an ExternalSecret: its own, and those that its items name."""
    found = _Values(reads)
    given: dict[str, dict[str, bytes] | KeyferryError] = {}
    for item in content.items:
        given[item.place] = _given(item, found)
    own = [item for item in content.items if content.mode is not Mode.SECRET or not item.named]
    named = [item for item in content.items if item.named and content.mode is not Mode.KEY]
    spreads = {item.place: _spread(item, found) for item in named}
    if content.mode is Mode.SECRET:
        given.update(spreads)
    wanted = [_own(plan, content, {item.place: given[item.place] for item in own})] if own or not named else []
    wanted += _named(plan, content.mode, named, spreads)
    return Rendering(
        secrets=tuple(one for one in wanted if isinstance(one, Desired)),
        items=tuple(_outcome(item, given[item.place], reads) for item in content.items),
        withheld=tuple(one for one in wanted if isinstance(one, Withheld)),
    )


def _given(item: Item, found: _Values) -> dict[str, bytes] | KeyferryError:
    """Return the keys that an item gives, or why it gives none."""
    try:
        keys = _keys(item, found)
    except RecursionError:
        return Unusable(item.subject, "its JSON value is nested too deeply", "store a flatter JSON value")
    except KeyferryError as error:
        return error
    if len(keys) > ITEM_KEYS_LIMIT:
        return TooLarge(item.subject, f"it gives more than {ITEM_KEYS_LIMIT:,} keys", "take them singly")
    wrong = next(filter(None, map(secrettype.key_problem, keys)), None)
    if wrong:
        # Which one is not told: a name that cannot be a key was perhaps not meant to be seen
        return Unusable(item.subject, f"one of its names cannot be used: {wrong}", "rename it, or take names singly")
    return keys


def _keys(item: Item, found: _Values) -> dict[str, bytes]:
    if item.shape is Shape.PATH:
        return _children(item, found.read(item))
    if item.shape is Shape.SPREAD:
        return values.members(item.subject, _unpacked_json(item, found))
    if item.property_path is None:
        content = found.read(item).value.content
    else:
        member = values.lookup(item.subject, found.json(item, "property"), item.property_path)
        content = values.to_bytes(values.text(member))
    return {item.name: values.unpacked(item.subject, content) if item.binary else content}


def _unpacked_json(item: Item, found: _Values) -> Json:
    if not item.binary:
        return found.json(item, "dataFrom")
    content = values.unpacked(item.subject, found.read(item).value.content)
    return values.decode(item.subject, content, "dataFrom")


def _children(item: Item, read: Read) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for name, child in read.value.children:
        above, _, last = name.rpartition("/")
        if above and not item.recursive:
            continue
        if last in keys:
            cause = "two parameters below the path end in the same name, and only one can be the key"
            raise Unusable(item.subject, cause, "sync their paths singly, or rename one")
        keys[last] = values.unpacked(item.subject, child.content) if item.binary else child.content
    return keys


def _spread(item: Item, found: _Values) -> dict[str, bytes] | KeyferryError:
    """Return the keys of the Secret that an item names, or why it cannot be filled."""
    try:
        return values.members(item.subject, found.json(item, f"the Secret {item.name}"))
    except RecursionError:
        return Unusable(item.subject, "its JSON value is nested too deeply", "store a flatter JSON value")
    except KeyferryError as error:
        return error


def _own(plan: SyncPlan, content: Items, given: Mapping[str, dict[str, bytes] | KeyferryError]) -> Desired | Withheld:
    """Return the Secret of the ExternalSecret's own name."""
    name = plan.origin.name
    errors = [one for one in given.values() if isinstance(one, KeyferryError)]
    if errors:
        return Withheld(name, all_of(errors))
    data: dict[str, bytes] = {}
    for keys in given.values():
        if not isinstance(keys, KeyferryError):
            data.update(keys)
    try:
        made, labels, annotations = _templated(content.template, data)
    except KeyferryError as error:
        return Withheld(name, error)
    data = {**made, **data}
    wrong = secrettype.check(f"Secret {name}", content.type, data)
    if wrong:
        return Withheld(name, wrong)
    return Desired(plan.origin, name, content.type, data, Claim.MAKE, labels, annotations, plan.retain)


def _templated(source: Template, data: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, str], dict[str, str]]:
    """Return the template's own keys, labels and annotations. Raises one error for all that fails in it."""
    parsed: dict[str, Json] = {}
    errors: list[KeyferryError] = []

    def texts(field: str, sources: Mapping[str, str]) -> dict[str, str]:
        done = {}
        for key, text in sources.items():
            try:
                done[key] = template.render(f"spec.template.{field}.{key}", text, data, parsed)
            except KeyferryError as error:
                errors.append(error)
        return done

    keys = {}
    for key, text in texts("data", source.data).items():
        try:
            keys[key] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            place = f"spec.template.data.{key}"
            errors.append(Unusable(place, "it does not render to base64 text", "use stringData for plain text"))
    keys |= {key: values.to_bytes(text) for key, text in texts("stringData", source.string_data).items()}
    labels, annotations = texts("metadata.labels", source.labels), texts("metadata.annotations", source.annotations)
    wrong = secrettype.metadata_problem(labels, annotations)
    if wrong:
        errors.append(Unusable(f"spec.template.metadata {wrong[0]}", wrong[1], "correct the template or the value"))
    if errors:
        raise all_of(errors)
    return keys, labels, annotations


def _named(
    plan: SyncPlan, mode: Mode, items: list[Item], spreads: Mapping[str, dict[str, bytes] | KeyferryError]
) -> list[Desired | Withheld]:
    """Return the Secrets that items name. In ``auto`` a value that cannot fill one matters only if it did before."""
    by_name: dict[str, list[Item]] = {}
    for item in items:
        by_name.setdefault(item.name, []).append(item)
    wanted: list[Desired | Withheld] = []
    for name, group in by_name.items():
        data: dict[str, bytes] = {}
        errors: list[KeyferryError] = []
        for item in group:
            keys = spreads[item.place]
            if isinstance(keys, KeyferryError):
                errors.append(keys)
            else:
                data.update(keys)
        flaw = all_of(errors) if errors else secrettype.check(f"Secret {name}", secrettype.OPAQUE, data)
        if flaw and mode is Mode.SECRET:
            wanted.append(Withheld(name, flaw))
            continue
        claim = Claim.MAKE if mode is Mode.SECRET else Claim.FILL
        wanted.append(Desired(plan.origin, name, secrettype.OPAQUE, data, claim, retain=plan.retain, flaw=flaw))
    return wanted


def _outcome(item: Item, given: dict[str, bytes] | KeyferryError, reads: Reads) -> ItemOutcome:
    found = reads.get(item.want.ref)
    return ItemOutcome(
        place=item.place,
        key=item.key,
        name=item.name,
        property_path=item.property_path or "",
        version=found.value.version if isinstance(found, Read) else "",
        error=given if isinstance(given, KeyferryError) else None,
    )
