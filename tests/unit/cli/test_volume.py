import os
import stat
from pathlib import Path

import pytest

from driver.cli import volume
from driver.errors import InvalidInput, Unusable
from driver.model import File


def file(path: str, content: bytes = b"x", mode: int = 0o644, version: str = "v1") -> File:
    return File(path, mode, content, version)


def lines(*files: File, values: bool = False) -> list[str]:
    return volume.tree(files, values=values).splitlines()


def test_a_tree_shows_folders_modes_sizes_and_versions() -> None:
    shown = lines(file("a"), file("b/c", b"12", 0o600, "v2"), file("b/d/e"), file("f"))
    assert shown == [
        "file           mode      bytes  version",
        "├── a          0644          1  v1",
        "├── b/",
        "│   ├── c      0600          2  v2",
        "│   └── d/",
        "│       └── e  0644          1  v1",
        "└── f          0644          1  v1",
    ]


def test_values_are_not_shown_unless_asked_for() -> None:
    assert "hunter2" not in volume.tree([file("a", b"hunter2")], values=False)
    assert "value" not in volume.described([file("a", b"hunter2")], values=False)[0]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"text", "text", id="text"),
        pytest.param("grün".encode(), "grün", id="not ASCII"),
        pytest.param(b"text\n", "text↵", id="a newline at the end"),
        pytest.param(b"\xff\xfe" + bytes(9), "(binary: ff fe 00 00 00 00 00 00 …)", id="binary"),
        pytest.param(b"a\x1b[31mred", "(binary: 61 1b 5b 33 31 6d 72 65 …)", id="what a terminal would obey"),
        pytest.param(b"", "", id="empty"),
    ],
)
def test_a_value_fits_on_its_line(content: bytes, expected: str) -> None:
    assert volume.text_of(content) == expected
    assert lines(file("a", content), values=True)[1].endswith(f"v1         {expected}".rstrip())


def test_a_value_of_several_lines_comes_below() -> None:
    assert lines(file("a", b"one\n\ttwo\n"), values=True)[1:] == [
        "└── a   0644          9  v1         (below)",
        "",
        "a:",
        "    one",
        "            two",
    ]


def test_a_name_cannot_command_the_terminal() -> None:
    assert "\x1b" not in volume.tree([file("a\x1b[2J", version="\x1b]0;")], values=True)


def test_a_document_has_text_as_text_and_the_rest_as_base64() -> None:
    text, binary = volume.described([file("a", b"one\n"), file("b", b"\x00\xff")], values=True)
    assert text == {"path": "a", "mode": "0644", "bytes": 4, "version": "v1", "value": "one\n"}
    assert binary["value_base64"] == "AP8="


def test_files_are_written_with_their_modes(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder"
    volume.write(target, [file("a", b"1", 0o400), file("b/c/d", b"2", 0o644), file("b/e", b"", 0)])
    found = {str(p.relative_to(target)): p for p in target.rglob("*") if p.is_file()}
    assert {name: stat.S_IMODE(p.stat().st_mode) for name, p in found.items()} == {"a": 0o400, "b/c/d": 0o644, "b/e": 0}
    assert found["b/c/d"].read_bytes() == b"2"
    assert stat.S_IMODE(target.stat().st_mode) == 0o700


def test_a_mask_does_not_change_modes(tmp_path: Path) -> None:
    mask = os.umask(0o077)
    try:
        volume.write(tmp_path / "out", [file("a", mode=0o644)])
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "out" / "a").stat().st_mode) == 0o644


@pytest.mark.parametrize("path", ["../a", "/a", "a/../../b", "", "a//b", "..a"])
def test_no_file_leaves_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(Unusable):
        volume.write(tmp_path / "out", [file("good"), file(path)])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("files", [("a", "a"), ("a", "a/b")], ids=["the same path", "file and folder"])
def test_files_that_clash_are_refused(tmp_path: Path, files: tuple[str, str]) -> None:
    with pytest.raises(Unusable, match="clashes"):
        volume.write(tmp_path / "out", [file(path) for path in files])


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    for attempt in (volume.check_empty, lambda folder: volume.write(folder, [file("a")])):
        with pytest.raises(InvalidInput, match="not empty"):
            attempt(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(InvalidInput, match="no usable folder"):
        volume.write(tmp_path / "link", [file("a")])
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_that_does_not_exist_yet_will_do(tmp_path: Path) -> None:
    volume.check_empty(tmp_path / "new")
    assert not (tmp_path / "new").exists()
