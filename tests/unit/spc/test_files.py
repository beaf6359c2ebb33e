"""From a plan and values to files: contents, names, modes, versions and limits. Scenarios 15, 20, 21, 22 and 24."""

import base64
import re
import time
from collections.abc import Iterable
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import Failures, Internal, InvalidInput, KeyferryError, TooLarge, Unusable
from driver.model import AuthMethod, File, Read, SecretRef, SecretValue, Source, Store, Want
from driver.spc.files import FILES_LIMIT, LIMIT, render
from driver.spc.plan import Encoding, Extract, Plan, PlannedObject
from driver.wire import csi_provider_pb2 as wire

CANARY = "hunter2-canary"
Entry = tuple[PlannedObject, SecretValue | None]


def value(content: bytes = b"", version: str = "v1", stamp: str = "") -> SecretValue:
    return SecretValue(content, "arn:aws:secretsmanager:eu-west-1:1:secret:x", version, stamp)


def tree(children: dict[str, SecretValue]) -> SecretValue:
    return SecretValue(b"", "", "", children=tuple(children.items()))


def entry(
    content: bytes | SecretValue | None,
    *extracts: Extract,
    name: str = "app/db",
    file: str = "db",
    mode: int = 0o644,
    separator: str = "_",
    encoding: Encoding = Encoding.NONE,
    store: Store = Store.SECRETS_MANAGER,
    optional: bool = False,
) -> Entry:
    want = Want(SecretRef(store, name, "eu-west-1"), optional=optional)
    found = value(content) if isinstance(content, bytes) else content
    return PlannedObject(name, want, file, mode, separator, extracts, encoding), found


def rendered(*entries: Entry, limit: int = LIMIT) -> tuple[File, ...]:
    objects = tuple(planned for planned, _ in entries)
    wants = tuple(dict.fromkeys(planned.want for planned in objects))
    plan = Plan(AuthMethod.IRSA, "auto", "eu-west-1", "", objects, wants)
    reads = {p.want.ref: Read(p.want.ref, found, Source.AWS, 0.0) for p, found in entries if found is not None}
    return render(plan, reads, limit=limit)


def contents(files: Iterable[File]) -> dict[str, bytes]:
    return {file.path: file.content for file in files}


def failure(*entries: Entry, limit: int = LIMIT) -> KeyferryError:
    with pytest.raises(KeyferryError) as caught:
        rendered(*entries, limit=limit)
    return caught.value


def extract(path: str, file: str = "part", mode: int = 0o600) -> Extract:
    return Extract(path, file, mode)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="0 bytes"),
        pytest.param(b"no newline is added", id="text"),
        pytest.param(b"  kept \n\n", id="white space is kept"),
        pytest.param(bytes(range(256)), id="binary"),
        pytest.param(b"-----BEGIN KEY-----\nAA==\n-----END KEY-----", id="PEM without final newline"),
        pytest.param(base64.b64encode(b"text"), id="base64 text is not decoded unasked"),
        pytest.param(b"\xa5" * 65_536, id="65,536 bytes"),
    ],
)
def test_scenario_22_a_value_is_delivered_byte_for_byte(content: bytes) -> None:
    assert contents(rendered(entry(content))) == {"db": content}


@given(st.binary(max_size=200))
def test_scenario_22_any_bytes_come_out_unchanged(content: bytes) -> None:
    assert contents(rendered(entry(content))) == {"db": content}


@pytest.mark.parametrize(
    ("encoding", "stored", "content"),
    [
        pytest.param(Encoding.BASE64, b"", b"", id="base64 of nothing"),
        pytest.param(Encoding.BASE64, b"/u3+7Q==", b"\xfe\xed\xfe\xed", id="base64"),
        pytest.param(Encoding.BASE64, b" \n/u3+\r\n7Q==\n", b"\xfe\xed\xfe\xed", id="base64 in lines"),
        pytest.param(Encoding.HEX, b"FEedfeed", b"\xfe\xed\xfe\xed", id="hex"),
        pytest.param(Encoding.HEX, b"fe ed\nfeed\n", b"\xfe\xed\xfe\xed", id="hex in groups"),
    ],
)
def test_an_encoding_is_taken_off(encoding: Encoding, stored: bytes, content: bytes) -> None:
    assert contents(rendered(entry(stored, encoding=encoding))) == {"db": content}


@pytest.mark.parametrize(
    ("encoding", "stored"),
    [
        pytest.param(Encoding.BASE64, b"hunter2-canary", id="not the alphabet"),
        pytest.param(Encoding.BASE64, b"QUJDRA", id="no padding"),
        pytest.param(Encoding.BASE64, b"QUI=QUI=", id="padding inside"),
        pytest.param(Encoding.BASE64, b"\xff\xfe", id="not ASCII"),
        pytest.param(Encoding.HEX, b"abc", id="odd digits"),
        pytest.param(Encoding.HEX, b"0xab", id="prefix"),
    ],
)
def test_what_does_not_decode_is_refused_without_being_quoted(encoding: Encoding, stored: bytes) -> None:
    error = failure(entry(stored, encoding=encoding))
    assert isinstance(error, Unusable)
    assert str(error).startswith(f"app/db: its value is not {encoding}: store it as")
    assert CANARY not in str(error)


def test_extracts_are_searched_in_the_decoded_bytes() -> None:
    stored = base64.b64encode(b'{"user": "u"}')
    files = rendered(entry(stored, extract("user"), encoding=Encoding.BASE64))
    assert contents(files) == {"db": b'{"user": "u"}', "part": b"u"}


def test_an_extract_is_delivered_beside_its_parent() -> None:
    files = rendered(entry(b'{"user": "u", "port": 1.0}', extract("user", "u"), extract("port", "p")))
    assert contents(files) == {"db": b'{"user": "u", "port": 1.0}', "p": b"1.0", "u": b"u"}


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        pytest.param("3306", b"3306", id="port of an RDS secret (AWS provider: error)"),
        pytest.param("1.0", b"1.0", id="1.0"),
        pytest.param("1e400", b"1e400", id="1e400"),
        pytest.param("9223372036854775808", b"9223372036854775808", id="2**63"),
        pytest.param("true", b"true", id="true"),
        pytest.param('{"b": [1], "a": "\u00e9"}', '{"b":[1],"a":"\u00e9"}'.encode(), id="object"),
        pytest.param('"a\\u0000\\ud800"', "a\0\ufffd".encode(), id="NUL and lone surrogate"),
    ],
)
def test_scenario_20_a_json_value_becomes_a_file_of_its_text(stored: str, text: bytes) -> None:
    files = rendered(entry(f'{{"v": {stored}}}'.encode(), extract("v")))
    assert contents(files)["part"] == text


def test_all_failing_objects_and_extracts_are_reported_at_once() -> None:
    error = failure(
        entry(b'{"a": 1}', extract("x"), extract("a", "a"), extract("y"), name="one", file="1"),
        entry(b"hunter2-canary", extract("x"), name="two", file="2"),
        entry(b"!", encoding=Encoding.HEX, name="three", file="3"),
    )
    assert isinstance(error, Failures)
    assert [line.split(" does")[0].split(" (")[0] for line in str(error).split("\n")] == [
        "one: jmesPath x",
        "one: jmesPath y",
        "three: its value is not hex: store it as hex, or ask for it without decoding",
        "two: its value is not JSON",
    ]
    assert CANARY not in str(error)


def test_a_star_gives_a_file_for_each_key() -> None:
    stored = b'{"user": "u", "a/b": 1, "void": null, "sub": {"k": true}}'
    files = rendered(entry(stored, extract("*", "", 0o400), separator="_"))
    assert contents(files) == {"db": stored, "user": b"u", "a_b": b"1", "sub": b'{"k":true}'}
    assert {file.mode for file in files} == {0o644, 0o400}


def test_a_star_keeps_folders_without_translation() -> None:
    files = rendered(entry(b'{"/a/b": "x", "a/c": "y"}', extract("*", ""), separator=""))
    assert set(contents(files)) == {"db", "a/b", "a/c"}


@pytest.mark.parametrize("stored", [b'["a"]', b'"a"', b"1"], ids=["array", "string", "number"])
def test_a_star_needs_an_object(stored: bytes) -> None:
    assert "jmesPath * needs a JSON object" in str(failure(entry(stored, extract("*", ""))))


@pytest.mark.parametrize(
    "key",
    ["..", "../x", "", ".", "..data", "a\\u0000b", "a\\nb", "k" * 256, "a//b", "a\\u2024b"],
    ids=["up", "traversal", "empty", "dot", "driver's own", "NUL", "newline", "long", "double slash", "look-alike"],
)
def test_a_key_that_cannot_be_a_file_is_refused_by_its_place_only(key: str) -> None:
    error = failure(entry(f'{{"ok": 1, "{key}": "hunter2-canary"}}'.encode(), extract("*", ""), separator=""))
    assert isinstance(error, InvalidInput)
    assert re.match(r"app/db \(JSON value 2\): (its file|a component of its file)", str(error))
    assert CANARY not in str(error)


PATH = Store.PARAMETER_PATH


@pytest.mark.parametrize(
    ("folder", "separator", "paths"),
    [
        pytest.param("", "_", {"user", "db_port"}, id="root"),
        pytest.param("app", "_", {"app/user", "app/db_port"}, id="folder"),
        pytest.param("app", "", {"app/user", "app/db/port"}, id="folders kept"),
    ],
)
def test_the_children_of_a_path_are_files_in_its_folder(folder: str, separator: str, paths: set[str]) -> None:
    parent = tree({"user": value(b"u", "3"), "db/port": value(b"1", "7")})
    files = rendered(entry(parent, file=folder, separator=separator, store=PATH))
    assert set(contents(files)) == paths
    assert sorted(file.version.split("-")[0] for file in files) == ["3", "7"]


def test_each_bad_child_is_named() -> None:
    parent = tree({"../x": value(b"hunter2-canary"), "ok": value(b"00"), "y": value(b"hunter2-canary")})
    text = str(failure(entry(parent, file="", separator="", store=PATH, encoding=Encoding.HEX)))
    assert "app/db (parameter ../x): its file path has '..'" in text
    assert "app/db (parameter y): its value is not hex" in text
    assert CANARY not in text


@pytest.mark.parametrize(
    ("entries", "cause"),
    [
        pytest.param(
            [entry(b'{"db": 1}', extract("*", ""))],
            "app/db: its file db and the file db of the same object have the same path",
            id="key and its parent",
        ),
        pytest.param(
            [entry(b'{"a/b": 1, "a_b": 2}', extract("*", ""))],
            "app/db: its file a_b and the file a_b of the same object have the same path",
            id="a/b and a_b",
        ),
        pytest.param(
            [entry(b'{"tls": 1}', extract("*", "")), entry(b"", name="cert", file="tls/crt")],
            "app/db: its file tls and the file tls/crt of cert clash: one is a file where the other needs a folder",
            id="file and folder",
        ),
        pytest.param(
            [entry(tree({"x": value(b"1")}), file="", store=PATH), entry(b"", name="other", file="x")],
            "its file x and the file x of",
            id="child and object",
        ),
    ],
)
def test_files_that_clash_are_refused(entries: list[Entry], cause: str) -> None:
    error = failure(*entries)
    assert isinstance(error, InvalidInput)
    assert cause in str(error)


def test_a_missing_optional_object_is_left_out() -> None:
    files = rendered(entry(None, extract("a"), optional=True), entry(b"x", name="other", file="other"))
    assert contents(files) == {"other": b"x"}


def test_a_volume_of_missing_optional_objects_is_empty() -> None:
    assert rendered(entry(None, optional=True)) == ()


def test_a_missing_required_object_is_a_defect_of_the_caller() -> None:
    assert isinstance(failure(entry(None)), Internal)


@pytest.mark.parametrize(("asked", "mode"), [(0o600, 0o600), (0o4755, 0o755), (0o1777, 0o777), (0, 0)])
def test_only_permission_bits_leave(asked: int, mode: int) -> None:
    files = rendered(entry(b'{"a": 1}', extract("a", mode=asked), mode=asked))
    assert [file.mode for file in files] == [mode, mode]


def test_a_version_is_that_of_aws_and_a_digest() -> None:
    uuid = "5f0e3c9a-8d1b-4a57-9f3e-1d2c3b4a5f6e"
    (file,) = rendered(entry(value(b"x", uuid)))
    assert re.fullmatch(uuid + "-[0-9a-f]{12}", file.version)


def test_a_version_does_not_show_that_two_values_are_equal() -> None:
    one, two = rendered(entry(b"same", name="a", file="a"), entry(b"same", name="b", file="b"))
    assert one.version != two.version


JSON = b'{"a": "00", "b": "00"}'
BASE = entry(value(JSON), extract("a", "part"))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(BASE, True, id="nothing"),
        pytest.param(entry(value(JSON), extract("a", "part"), name="renamed"), True, id="another objectName"),
        pytest.param(entry(value(JSON, "v2"), extract("a", "part")), False, id="AWS version"),
        pytest.param(entry(value(JSON, stamp="made anew"), extract("a", "part")), False, id="stamp"),
        pytest.param(entry(value(JSON), extract("b", "part")), False, id="expression"),
        pytest.param(entry(value(JSON), extract("a", "moved")), False, id="path"),
        pytest.param(entry(value(JSON), extract("a", "part", 0o644)), False, id="mode"),
        pytest.param(entry(value(JSON), extract("a", "part", 0o4600)), True, id="bits that are dropped"),
        pytest.param(
            entry(value(base64.b64encode(JSON)), extract("a"), encoding=Encoding.BASE64), False, id="encoding"
        ),
    ],
)
def test_a_version_changes_with_what_is_delivered(other: Entry, same: bool) -> None:
    before, after = rendered(BASE)[-1], rendered(other)[-1]
    assert (before.version == after.version) is same


specs = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from(["p", "q", "p/q"]),
    st.integers(0, 0o777),
    st.sampled_from(["", "2026-11-25"]),
)


@given(specs, specs)
def test_versions_of_one_aws_version_are_equal_exactly_when_the_making_is(
    one: tuple[str, str, int, str], two: tuple[str, str, int, str]
) -> None:
    def version(expression: str, file: str, mode: int, stamp: str) -> str:
        files = rendered(entry(value(JSON, stamp=stamp), extract(expression, file, mode)))
        return next(made.version for made in files if made.path == file)

    assert (version(*one) == version(*two)) is (one == two)


def test_scenario_15_all_parts_of_a_value_carry_its_one_version() -> None:
    stored = b'{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}'
    files = rendered(entry(value(stored, "v7"), *(extract(key, key) for key in "abcde")))
    assert len(files) == 6
    assert {file.version.split("-")[0] for file in files} == {"v7"}


names = st.text("abc", min_size=1, max_size=3)
stored_values = st.sampled_from([b'{"k": 1}', b'{"k": null}', b"[", b'{"..": 1}', b'{"b": 1, "c/d": 2}', b""])


@given(st.dictionaries(names, st.tuples(stored_values, st.booleans()), min_size=1, max_size=6), st.randoms())
def test_the_result_does_not_depend_on_the_order_of_objects(
    stored: dict[str, tuple[bytes, bool]], random: Random
) -> None:
    def outcome(entries: list[Entry]) -> object:
        try:
            return rendered(*entries, limit=400)
        except KeyferryError as error:
            return type(error), str(error)

    entries = [
        entry(content, *([extract("*", "")] if star else [extract("k", f"{name}.k")]), name=name, file=name)
        for name, (content, star) in stored.items()
    ]
    shuffled = random.sample(entries, len(entries))
    assert outcome(entries) == outcome(shuffled) == outcome(entries)


def test_files_are_sorted_by_path() -> None:
    files = rendered(*(entry(b"", name=name, file=name) for name in ["b", "a/z", "c", "a.b"]))
    assert [file.path for file in files] == ["a.b", "a/z", "b", "c"]


def test_scenario_24_an_answer_over_the_limit_names_the_biggest_object_and_the_size() -> None:
    big = [entry(b"x" * 65_536, name=f"big-{n:02}", file=f"{n:02}") for n in range(63)]
    error = failure(*big, entry(b"x" * 65_537, name="biggest", file="biggest"))
    assert isinstance(error, TooLarge)
    assert re.match(r"biggest: the volume has 4,19\d,\d{3} bytes of at most 4,128,768; 65,\d{3} are this ", str(error))
    assert "--max-call-recv-msg-size" in str(error)
    assert "--max-response-bytes" in str(error)


def test_scenario_24_what_is_within_the_limit_fits_into_the_driver_as_a_message() -> None:
    """Each byte that protobuf adds is counted: many small files are the worst case."""
    stored = msgspec.json.encode({f"{n:0100}": n for n in range(9_000)})
    files = rendered(entry(stored, extract("*", "")))
    response = wire.MountResponse()
    for file in files:
        response.files.add(path=file.path, mode=file.mode, contents=file.content)
        response.object_version.add(id=file.path, version=file.version)
    assert failure(entry(stored, extract("*", "")), limit=response.ByteSize() - 1).reason == "TooLarge"


def test_the_limit_is_the_callers() -> None:
    assert len(rendered(entry(b"x" * 100), limit=400)) == 1
    assert isinstance(failure(entry(b"x" * 500), limit=400), TooLarge)


@pytest.mark.parametrize("extracts", [1, 200], ids=["once", "200 times"])
def test_scenario_21_100_000_keys_end_in_a_clean_error(extracts: int) -> None:
    stored = b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}"
    start = time.process_time()
    error = failure(entry(stored, *([extract("*", "")] * extracts)))
    assert time.process_time() - start < 0.5
    assert isinstance(error, TooLarge)
    assert f"it brings the volume to 100,000 files; at most {FILES_LIMIT:,} are possible" in str(error)


def test_a_path_with_too_many_children_ends_in_a_clean_error() -> None:
    parent = tree({f"p{n}": value(b"") for n in range(FILES_LIMIT + 1)})
    assert "10,001 files" in str(failure(entry(parent, store=PATH)))


def test_the_files_of_all_objects_are_counted_together() -> None:
    stored = msgspec.json.encode({f"k{n}": 0 for n in range(6_000)})
    two = msgspec.json.encode({f"l{n}": 0 for n in range(6_000)})
    error = failure(
        entry(stored, extract("*", ""), name="one", file="1"), entry(two, extract("*", ""), name="two", file="2")
    )
    assert "12,002 files" in str(error)


@pytest.mark.parametrize(
    "stored", [b"[" * 65_536, b'{"\xff":' * 9_000, b"-----BEGIN " * 6_000], ids=["brackets", "objects", "PEM bomb"]
)
def test_scenario_21_a_hostile_secret_ends_in_a_clean_error(stored: bytes) -> None:
    start = time.process_time()
    error = failure(entry(stored, extract("a")))
    assert time.process_time() - start < 0.1
    assert isinstance(error, Unusable)


def test_20_plain_objects_render_in_a_fraction_of_a_millisecond() -> None:
    """60 µs on a free core; ten times that is allowed, for busy machines."""
    entries = [entry(b"x" * 100, name=f"prod/app/{n}", file=f"prod_app_{n}") for n in range(20)]
    objects = tuple(planned for planned, _ in entries)
    plan = Plan(AuthMethod.IRSA, "auto", "eu-west-1", "", objects, ())
    reads = {p.want.ref: Read(p.want.ref, found, Source.AWS, 0.0) for p, found in entries if found is not None}
    times = []
    for _ in range(20):
        start = time.process_time()
        render(plan, reads)
        times.append(time.process_time() - start)
    assert min(times) < 0.0006
