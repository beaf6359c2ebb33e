import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.spc.paths import clashes, problem, translate

GOOD = [
    "a",
    ".env",
    "dir/..x",
    "mypath../pathTest",
    "mypath..",
    "a b",
    "a*b",
    "back\\slash",
    "täglich/秘密",
    "\N{PILE OF POO}",
    "a" * 255,
    "é" * 127,
    "/".join(["d" * 100] * 40),
]

BAD = [
    ("", "empty"),
    ("/", "starts with '/'"),
    ("/a", "starts with '/'"),
    ("..", "'..' as a component"),
    ("../x", "path can not contain ../"),
    ("a/../../x", "path can not contain ../"),
    ("a/..", "path can not contain ../"),
    ("..data", "keeps for itself"),
    ("..2026_11_25", "keeps for itself"),
    ("...x", "keeps for itself"),
    (".", "empty or '.'"),
    ("./a", "empty or '.'"),
    ("a/./b", "empty or '.'"),
    ("a//b", "empty or '.'"),
    ("a/", "empty or '.'"),
    ("a\0b", "control"),
    ("a\nb", "control"),
    ("a\x7fb", "control"),
    ("a\u202eb", "invisible"),
    ("a\u200bb", "invisible"),
    ("a\ufeffb", "invisible"),
    ("a\ud800b", "invisible"),
    ("a\u2024\u2024", "looks like"),
    ("\u2025", "looks like"),
    ("a\u2215b", "looks like"),
    ("a\u2044b", "looks like"),
    ("a\uff0fb", "looks like"),
    ("\uff0e\uff0e", "looks like"),
    ("a" * 256, "255 bytes"),
    ("é" * 128, "255 bytes"),
    ("/".join(["d" * 100] * 41), "4096 bytes"),
]


@pytest.mark.parametrize("path", GOOD, ids=lambda path: ascii(path[:20]))
def test_a_clean_relative_path_is_a_file_name(path: str) -> None:
    assert problem(path) is None


@pytest.mark.parametrize(("path", "cause"), BAD, ids=lambda text: ascii(text[:24]))
def test_a_path_that_the_driver_or_a_reader_would_stumble_over_is_refused(path: str, cause: str) -> None:
    assert cause in str(problem(path))


@pytest.mark.parametrize(
    ("name", "separator", "path"),
    [
        ("mypath/secret", "_", "mypath_secret"),
        ("/a/b", "-", "-a-b"),
        ("/a/b", "", "a/b"),
        ("///a/b", "", "a/b"),
        ("/a/b", "/", "a/b"),
        ("../x", "_", ".._x"),
        ("/", "", ""),
        ("plain", ".", "plain"),
    ],
)
def test_slashes_become_the_separator_or_stay_without_leading_ones(name: str, separator: str, path: str) -> None:
    assert translate(name, separator) == path


@pytest.mark.parametrize(
    ("paths", "pairs"),
    [
        ([], []),
        (["a", "b"], []),
        (["b", "a", "b"], [("b", "b")]),
        (["a", "a", "a"], [("a", "a"), ("a", "a")]),
        (["a/b", "a"], [("a", "a/b")]),
        (["a/b/c", "a", "a/d", "b"], [("a", "a/b/c"), ("a", "a/d")]),
        (["a", "a.b", "a-b", "ab/c"], []),
        (["a/b", "a/c"], []),
        (["a", "a!", "a/b"], [("a", "a/b")]),
    ],
)
def test_clashes_are_equal_paths_and_files_that_others_need_as_folders(
    paths: list[str], pairs: list[tuple[str, str]]
) -> None:
    assert clashes(paths) == pairs


NAMES = st.text(alphabet="ab./", min_size=1, max_size=6)


@given(st.lists(NAMES.filter(lambda name: problem(name) is None), max_size=6))
def test_paths_without_clashes_can_all_be_written(paths: list[str]) -> None:
    writable = all(a != b and not b.startswith(a + "/") for a, b in itertools.permutations(paths, 2))
    assert (not clashes(paths)) == writable


@given(st.text(max_size=300))
def test_an_accepted_path_stays_inside_its_folder(path: str) -> None:
    if problem(path) is None:
        components = path.split("/")
        assert not {"", ".", ".."} & set(components)
        assert all(len(component.encode()) <= 255 for component in components)
        assert "\0" not in path


@given(st.text(max_size=50), st.sampled_from(["_", "-", "."]))
def test_a_translated_name_has_no_slash(name: str, separator: str) -> None:
    assert "/" not in translate(name, separator)


@given(st.text(max_size=50))
def test_kept_slashes_never_lead(name: str) -> None:
    assert not translate(name, "").startswith("/")
