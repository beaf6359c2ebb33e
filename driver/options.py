"""What a setting is, and how flags and environment variables become its value.

A flag wins over its variable, a variable over the default. All problems are reported at once.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from driver.errors import InvalidInput, KeyferryError, all_of

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_SIZE = re.compile(r"(\d+)(Ki|Mi)?", re.ASCII)


def duration(text: str) -> float:
    """Return the seconds of a text such as ``30s``, ``1h30m`` or ``0``. Raises ValueError."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError("not a duration such as 30s, 5m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def size(text: str) -> int:
    """Return the bytes of a text such as ``4194304`` or ``32Mi``. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("not a size such as 4194304, 512Ki or 32Mi")
    return int(match[1]) << {None: 0, "Ki": 10, "Mi": 20}[match[2]]


def count(text: str) -> int:
    """Return a whole number of at least 1. Raises ValueError."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ValueError("not a whole number of at least 1")
    return int(text)


def one_of(*words: str) -> Callable[[str], str]:
    """Return a parser that takes only these words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"not one of {', '.join(words)}")
        return text

    return parse


def provider_name(text: str) -> str:
    """Return a name that the driver accepts as ``spec.provider``. Raises ValueError."""
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,30}", text) is None:
        raise ValueError("not 1 to 30 letters, digits, - or _")
    return text


def urls(text: str) -> tuple[str, ...]:
    """Return the http(s) addresses of a comma-separated list. Raises ValueError."""
    found = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    if not all(re.match(r"https?://[^/\s]+", url) for url in found):
        raise ValueError("not a list of http:// or https:// addresses")
    return found


def namespaces(text: str) -> tuple[str, ...]:
    """Return the names of a comma-separated list, each once. Raises ValueError."""
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in found):
        raise ValueError("not a list of namespaces such as shop,web")
    return found


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: the flag ``--some-name``, the variable ``KEYFERRY_SOME_NAME`` and the field ``some_name``."""

    name: str
    default: str
    parse: Callable[[str], object]
    metavar: str
    help: str
    also: str = ""
    """A further variable of the field's ecosystem, read when the KEYFERRY one is not set."""
    switch: bool = False
    """It is turned on and off by ``--name`` and ``--no-name``; its value is ``true`` or ``false``."""

    @property
    def flag(self) -> str:
        """Return the flag."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """Return the environment variable."""
        return "KEYFERRY_" + self.name.replace("-", "_").upper()

    @property
    def field(self) -> str:
        """Return the field of ``Settings``."""
        return self.name.replace("-", "_")


def add_flags(parser: argparse.ArgumentParser, options: tuple[Option, ...]) -> None:
    """Give a command the flags of its settings. They are checked together by ``load``, not one by one."""
    for option in options:
        text = f"{option.help} ({option.variable}; default: {option.default or 'none'})".replace("%", "%%")
        if option.switch:
            parser.add_argument(option.flag, action=argparse.BooleanOptionalAction, help=text)
        else:
            parser.add_argument(option.flag, metavar=option.metavar, help=text)


def on_off(text: str) -> bool:
    """Return whether a text is ``true``. Raises ValueError for anything but ``true`` and ``false``."""
    if text not in {"true", "false"}:
        raise ValueError("not true or false")
    return text == "true"


def load(options: tuple[Option, ...], flags: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, object]:
    """Return the parsed value of every option. Raises one KeyferryError that names all wrong settings."""
    values: dict[str, object] = {}
    problems: list[KeyferryError] = []
    for option in options:
        text, subject = _chosen(option, flags, environ)
        try:
            values[option.field] = option.parse(text)
        except ValueError as error:
            problems.append(InvalidInput(subject, f"{text!r} is {error}", f"see {option.flag} in --help"))
    if problems:
        raise all_of(problems)
    return values


def _chosen(option: Option, flags: Mapping[str, object], environ: Mapping[str, str]) -> tuple[str, str]:
    given = flags.get(option.field)
    if given is not None:
        return str(given).lower() if option.switch else str(given), option.flag
    for variable in (option.variable, option.also):
        if variable and environ.get(variable):
            return environ[variable], variable
    return option.default, option.flag
