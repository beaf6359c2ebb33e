"""One line of the answer of ``keyferry doctor``."""

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How it stands."""

    PROBLEM = "problem"
    """It does not work, or will not when it is needed."""
    WARNING = "warning"
    """It works, and not as one would expect, or not for ever."""
    UNKNOWN = "unknown"
    """It could not be looked at."""
    NOTE = "note"
    """Nothing is wrong; something outside of the cluster belongs to it."""
    OK = "ok"


class Row(msgspec.Struct, frozen=True):
    """What was found about a subject. ``area`` groups rows; ``remedy`` is empty for what is well.

    ``sums``: rows that are well and have the same are told as one, ``SecretProviderClasses: pass`` as subject
    ``212 SecretProviderClasses`` and finding ``pass``.
    """

    level: Level
    area: str
    subject: str
    found: str
    remedy: str = ""
    sums: str = ""
