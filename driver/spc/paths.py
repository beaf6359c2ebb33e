"""Which file names a volume can have.

The rules are those of the writer in driver 1.6.0 (``fileutil/writer.go`` and ``atomic_writer.go``), which refuses
the whole answer for one bad path, plus ours against names that only look like something else.
"""

from collections.abc import Iterable

COMPONENT_LIMIT = 255
"""Longest component of a path in bytes."""

PATH_LIMIT = 4_096
"""Longest path in bytes."""

# Dots and slashes that are not ones: one dot leader, two dot leader, ellipsis, small and full-width full stop;
# fraction slash, division slash, big solidus, full-width solidus, box-drawing diagonal.
_LOOK_ALIKES = frozenset("\u2024\u2025\u2026\ufe52\uff0e\u2044\u2215\u29f8\uff0f\u2571")


def problem(path: str) -> str | None:
    """Return what is wrong with a file's final path, in words that can follow the object's name; None: nothing."""
    if not path:
        return "its file name is empty"
    if not path.isprintable():
        return "its file name has a control or invisible character"
    if not path.isascii() and not _LOOK_ALIKES.isdisjoint(path):
        return "its file name has a character that only looks like a dot or a slash"
    return _wrong_components(path) or _too_long(path)


def _wrong_components(path: str) -> str | None:
    if path.startswith("/"):
        return "its file path starts with '/'"
    components = path.split("/")
    if ".." in components:
        return "its file path has '..' as a component (path can not contain ../)"
    if path.startswith(".."):
        return "its file path starts with '..', which the driver keeps for itself"
    if "" in components or "." in components:
        return "its file path has an empty or '.' component"
    return None


def _too_long(path: str) -> str | None:
    if len(path) * 4 <= COMPONENT_LIMIT:
        return None
    encoded = path.encode()
    if len(encoded) > PATH_LIMIT:
        return f"its file path is longer than {PATH_LIMIT} bytes"
    if max(map(len, encoded.split(b"/"))) > COMPONENT_LIMIT:
        return f"a component of its file path is longer than {COMPONENT_LIMIT} bytes"
    return None


def translate(name: str, separator: str) -> str:
    """Return the file path for a name: each ``/`` becomes ``separator``; with ``""`` they stay, except leading ones.

    ``pathTranslation: "/"`` means the same as ``"False"`` here: kept leading slashes could never be written.
    """
    if separator in {"", "/"}:
        return name.lstrip("/")
    return name.replace("/", separator)


def clashes(paths: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs that cannot be in one volume: equal, or the first is a file where the second needs a folder."""
    found = []
    # With the slash as the least character, all that is below a folder follows directly after it
    ordered = sorted(path.replace("/", "\0") for path in paths)
    top = previous = None
    for path in ordered:
        if path == previous:
            found.append((path, path))
        elif top is not None and path.startswith(top + "\0"):
            found.append((top, path))
        else:
            top = path
        previous = path
    return [(a.replace("\0", "/"), b.replace("\0", "/")) for a, b in found]
