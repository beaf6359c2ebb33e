"""``spec.template`` of an ExternalSecret: which of its fields count, and whether its texts can be rendered."""

import msgspec

from driver.sync import secrettype, template
from driver.sync.plan import PREFIX, Template
from driver.sync.source import Fields

_FIELDS = frozenset({"metadata", "type", "data", "stringData"})
_FIXED = frozenset({"apiVersion", "kind"})
_RESERVED = frozenset(
    {
        "secrets-store.csi.k8s.io/managed",
        "kubectl.kubernetes.io/last-applied-configuration",
        "kubernetes.io/service-account.name",
        "kubernetes.io/service-account.uid",
    }
)


class Made(msgspec.Struct, frozen=True):
    """A template and the type that it sets; None: it sets none."""

    template: Template
    type: str | None


def read(fields: Fields, own_name: str, notes: list[str]) -> Made:
    """Return a template; problems go to the fields' problems, what has no effect to ``notes``.

    As kubernetes-external-secrets 8.5.5, a template changes neither name nor namespace. What would change who owns the
    Secret is refused.
    """
    for name in fields.names():
        if name == "immutable" and fields.raw(name) is False:
            continue
        if name == "immutable":
            fields.refuse(name, "an immutable Secret cannot follow its source", "remove it")
        elif name not in _FIELDS | _FIXED:
            notes.append(f"{fields.at(name)} has no effect here")
    metadata = fields.below("metadata")
    _metadata(metadata, own_name, notes)
    found = Template(
        labels=_texts(metadata, "labels"),
        annotations=_texts(metadata, "annotations"),
        data=_texts(fields, "data"),
        string_data=_texts(fields, "stringData"),
    )
    for field in ("data", "stringData"):
        _check_keys(fields.below(field))
    return Made(found, fields.text("type"))


def _metadata(metadata: Fields, own_name: str, notes: list[str]) -> None:
    for name in metadata.names():
        if name in {"ownerReferences", "finalizers", "managedFields"}:
            metadata.refuse(name, "it would change who owns the Secret", "remove it")
        elif name not in {"labels", "annotations"} and not (name == "name" and metadata.raw(name) == own_name):
            notes.append(f"{metadata.at(name)} has no effect here")
    for field in ("labels", "annotations"):
        below = metadata.below(field)
        for name in below.names():
            if name in _RESERVED or name.startswith(PREFIX):
                below.refuse(name, "it is reserved", "remove it")


def _texts(fields: Fields, field: str) -> dict[str, str]:
    below = fields.below(field)
    found = below.texts()
    for name, text in found.items():
        error = template.check(below.at(name), text)
        if error:
            fields.problems.take(error)
    return found


def _check_keys(fields: Fields) -> None:
    for name in fields.names():
        wrong = secrettype.key_problem(name)
        if wrong:
            fields.refuse(name, wrong, "choose another name")
