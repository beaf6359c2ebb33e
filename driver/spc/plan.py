"""What a SecretProviderClass asks for, after every rule has been checked."""

from enum import StrEnum

import msgspec

from driver.model import AuthMethod, Want


class Encoding(StrEnum):
    """How the stored text must be decoded to give the file's bytes."""

    NONE = "none"
    BASE64 = "base64"
    HEX = "hex"


class Extract(msgspec.Struct, frozen=True):
    """A further file cut out of a JSON value.

    ``path`` is a JMESPath expression, or ``*``: one file for each top-level key of the object, named by the key, and
    ``file`` is empty. ``file`` is the final relative path, already translated.
    """

    path: str
    file: str
    mode: int


class PlannedObject(msgspec.Struct, frozen=True):
    """One entry of ``objects``: what to read and which files come of it.

    ``subject`` is how errors name it (the objectName). ``file`` is the final relative path, already translated; for
    ``Store.PARAMETER_PATH`` it is the folder that the children go to, empty for the volume's root. ``separator``
    replaces ``/`` in names that only AWS knows (keys of ``*``, children of a path); empty: kept.
    """

    subject: str
    want: Want
    file: str
    mode: int
    separator: str
    extracts: tuple[Extract, ...] = ()
    encoding: Encoding = Encoding.NONE


class Plan(msgspec.Struct, frozen=True):
    """A whole class, ready to be resolved. ``wants`` are the objects' reads in order, without repeats."""

    method: AuthMethod
    address_type: str
    region: str
    failover_region: str
    objects: tuple[PlannedObject, ...]
    wants: tuple[Want, ...]
    default_mode: int = 0o644
