"""The files of a volume as people see them: a tree, a JSON document, or written below a folder.

Values are shown only when the caller says so, and never with characters that a terminal would obey.
"""

import base64
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from tabulate import tabulate

from driver.errors import InvalidInput, KeyferryError, Unusable
from driver.model import File
from driver.spc import paths

_CELL = 48
"""Longest value in characters that is shown in the tree; longer ones come below it."""

_Folder: TypeAlias = "dict[str, File | _Folder]"


def tree(files: Sequence[File], *, values: bool) -> str:
    """Return the files as a tree with mode, size in bytes and version, with their values if wanted."""
    rows = [[name, *(_cells(file, values=values) if file else ())] for name, file in _walk(_nested(files))]
    headers = ["file", "mode", "bytes", "version", *(["value"] if values else [])]
    align = ["left", "left", "right", "left", *(["left"] if values else [])]
    table = tabulate(rows, headers, "plain", disable_numparse=True, preserve_whitespace=True, colalign=align)
    long = [file for file in files if values and not _fits(file.content)]
    blocks = [f"\n{printable(file.path)}:\n{_block(file.content)}" for file in long]
    return "\n".join(line.rstrip() for line in [*table.splitlines(), *blocks])


def printable(text: str) -> str:
    """Return a text without what a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _nested(files: Iterable[File]) -> _Folder:
    root: _Folder = {}
    for file in files:
        *folders, name = file.path.split("/")
        folder = root
        for part in folders:
            inner = folder.setdefault(part, {})
            assert isinstance(inner, dict)  # noqa: S101 - clashes are refused by ``trouble``
            folder = inner
        folder[name] = file
    return root


def _walk(folder: _Folder, indent: str = "") -> Iterator[tuple[str, File | None]]:
    for number, (name, child) in enumerate(folder.items(), start=1):
        last = number == len(folder)
        line = f"{indent}{'└── ' if last else '├── '}{printable(name)}"
        if isinstance(child, File):
            yield line, child
        else:
            yield f"{line}/", None
            yield from _walk(child, indent + ("    " if last else "│   "))


def _cells(file: File, *, values: bool) -> list[str]:
    cells = [f"{file.mode:04o}", f"{len(file.content):,}", printable(file.version)]
    if values:
        cells.append(text_of(file.content) if _fits(file.content) else "(below)")
    return cells


def text_of(content: bytes) -> str:
    """Return a value on one line, or what it is when it is no text."""
    text = _text(content)
    if text is None:
        return f"(binary: {content[:8].hex(' ')}{' …' if len(content) > 8 else ''})"
    return printable(text.replace("\r\n", "\n").replace("\n", "↵").replace("\t", "→"))


def _text(content: bytes) -> str | None:
    """Return a value as text, None when it is binary: no UTF-8, or with characters that no text has."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\n\r\t" for c in text) else None


def _fits(content: bytes) -> bool:
    text = _text(content)
    return text is None or (len(text) <= _CELL and "\n" not in text.rstrip("\n"))


def _block(content: bytes) -> str:
    return "\n".join(f"    {printable(line.expandtabs())}" for line in (_text(content) or "").splitlines())


def described(files: Iterable[File], *, values: bool) -> list[dict[str, object]]:
    """Return the files for a JSON document; a value is ``value``, or ``value_base64`` when it is no text."""
    return [
        {
            "path": file.path,
            "mode": f"{file.mode:04o}",
            "bytes": len(file.content),
            "version": file.version,
            **(_value(file.content) if values else {}),
        }
        for file in files
    ]


def _value(content: bytes) -> dict[str, object]:
    text = _text(content)
    return {"value_base64": base64.b64encode(content).decode()} if text is None else {"value": text}


def trouble(files: Sequence[File]) -> KeyferryError | None:
    """Return why driver 1.6.0 would refuse files by their paths, None when it would write them."""
    for file in files:
        wrong = paths.problem(file.path)
        if wrong:
            return Unusable(printable(file.path), wrong, "the driver would refuse the whole volume: rename the file")
    for one, other in paths.clashes(file.path for file in files):
        cause = f"it clashes with the file {other!r}"
        return Unusable(printable(one), cause, "the driver would refuse the whole volume: rename one of them")
    return None


def check_empty(folder: Path) -> None:
    """Raise InvalidInput unless ``folder`` can take files: it is not there, or it is an empty folder and no link."""
    try:
        os.close(_opened(folder, create=False))
    except FileNotFoundError:
        return


def write(folder: Path, files: Sequence[File]) -> None:
    """Write the files below ``folder``, which only the own user can enter when it is made here.

    A file has its mode only after its bytes are complete, and mode 0600 before. No link is followed and nothing that
    exists is overwritten. Raises InvalidInput for a folder that is not empty, Unusable for paths that lead elsewhere
    and when the disk refuses.
    """
    wrong = trouble(files)
    if wrong:
        raise wrong
    root = _opened(folder, create=True)
    try:
        for file in files:
            _write_one(root, file)
    except OSError as error:
        cause = f"cannot be written: {error.strerror}"
        raise Unusable(str(folder), cause, "remove what is there and try again") from None
    finally:
        os.close(root)


def _opened(folder: Path, *, create: bool) -> int:
    """Return a descriptor of an empty folder. Raises FileNotFoundError only when it need not be made."""
    try:
        if create:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InvalidInput(str(folder), f"no usable folder: {error.strerror}", "name an empty folder") from None
    if os.listdir(descriptor):  # noqa: PTH208 - pathlib lists no descriptor
        os.close(descriptor)
        raise InvalidInput(str(folder), "the folder is not empty", "name an empty one, or one that does not exist")
    return descriptor


def _write_one(root: int, file: File) -> None:
    *folders, name = file.path.split("/")
    opened: list[int] = []
    try:
        for part in folders:
            opened.append(_below(opened[-1] if opened else root, part))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=opened[-1] if opened else root)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(file.content)
            stream.flush()
            os.fchmod(stream.fileno(), file.mode & 0o777)
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _below(parent: int, name: str) -> int:
    """Return a descriptor of a folder below another, made if need be."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
