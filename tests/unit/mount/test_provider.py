"""From a Mount's bytes to an answer's: order of the steps, what is kept, what is told."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from driver.errors import Failures, Internal, InvalidInput, KeyferryError, NotFound, TooLarge, Unavailable
from driver.metrics import MountMetrics
from driver.model import Access, Deadline, Read, SecretRef, SecretValue, Source, Want
from driver.mount.provider import REQUEST_LIMIT, Limits, Outcome, Provider, Reports
from driver.wire import csi_provider_pb2 as wire
from tests.driverside import attributes, request
from tests.fakes import FakeClock

NAMES = ("a", "b")
OBJECTS = [{"objectName": name, "objectType": "secretsmanager"} for name in NAMES]
OPTIONAL = [{**each, "optional": "true"} for each in OBJECTS]


class Given:
    """A resolver that answers with given values, and remembers what it was asked."""

    def __init__(self) -> None:
        self.values = {name: SecretValue(name.encode(), f"arn:{name}", "v1", request_id="r-1") for name in NAMES}
        self.source = Source.CACHE
        self.fails: BaseException | None = None
        self.asked: list[tuple[Access, tuple[str, ...], float]] = []

    def resolve(self, access: Access, wants: Sequence[Want], deadline: Deadline) -> Mapping[SecretRef, Read]:
        self.asked.append((access, tuple(want.ref.region for want in wants), deadline.remaining()))
        if self.fails:
            raise self.fails
        known = [want.ref for want in wants if want.ref.name in self.values]
        return {ref: Read(ref, self.values[ref.name], self.source, 5.0) for ref in known}


class Bench:
    """A provider and everything around it."""

    def __init__(self, **options: Any) -> None:
        self.resolver = Given()
        self.metrics = MountMetrics()
        self.audit: list[bytes] = []
        self.told: list[Outcome] = []
        self.clock = FakeClock()
        self.node_asked = 0
        self.node = "eu-central-1"
        reports = Reports(self.metrics, self.audit.append, self.told.append)
        self.provider = Provider(self.resolver, self._node_region, reports, clock=self.clock, **options)

    def _node_region(self, _: Deadline) -> str:
        self.node_asked += 1
        return self.node

    def raw(self, remaining: float | None = 100.0, /, **given: Any) -> bytes:
        return self.provider.mount(request(attributes(given.pop("objects", OBJECTS), **given)), remaining)

    def mount(self, remaining: float | None = 100.0, /, **given: Any) -> wire.MountResponse:
        return wire.MountResponse.FromString(self.raw(remaining, **given))

    def refused(self, *args: Any, **given: Any) -> KeyferryError:
        with pytest.raises(KeyferryError) as caught:
            self.mount(*args, **given)
        return caught.value

    def records(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in b"".join(self.audit).splitlines()]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_answer_has_a_file_and_a_version_per_object(bench: Bench) -> None:
    answer = bench.mount()
    assert [(f.path, f.mode, f.contents) for f in answer.files] == [("a", 0o644, b"a"), ("b", 0o644, b"b")]
    assert [v.id for v in answer.object_version] == ["a", "b"]
    assert all(v.version.startswith("v1-") for v in answer.object_version)


def test_version_names_api_and_program(bench: Bench) -> None:
    assert wire.VersionResponse.FromString(bench.provider.version()).version == "v1alpha1"


# --- what is refused, and when


def malformed(raw: bytes) -> Callable[[Bench], object]:
    return lambda bench: bench.provider.mount(raw, 100)


REFUSED: dict[str, Callable[[Bench], object]] = {
    "too large": malformed(bytes(REQUEST_LIMIT + 1)),
    "not protobuf": malformed(b"\xff"),
    "no target path": lambda bench: bench.provider.mount(request(attributes(OBJECTS), target=""), 100),
    "attributes": malformed(wire.MountRequest(target_path="/t", attributes="[]", permission="420").SerializeToString()),
    "manifest": lambda bench: bench.mount(objects="- {"),
    "manifest before region": lambda bench: bench.mount(objects="[{objectName: ''}]", region=""),
    "token before region": lambda bench: bench.mount(region="", **{"csi.storage.k8s.io/serviceAccount.tokens": "{}"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_request_alone_shows_is_refused_before_any_call(case: str, bench: Bench) -> None:
    with pytest.raises(KeyferryError) as caught:
        REFUSED[case](bench)
    assert caught.value.code in {"INVALID_ARGUMENT", "UNAUTHENTICATED"}
    assert (bench.resolver.asked, bench.node_asked) == ([], 0)


@pytest.mark.parametrize(
    "bug", [ValueError("s3cret"), SystemExit(), KeyboardInterrupt(), RecursionError(), MemoryError()]
)
def test_a_defect_is_internal_and_told_in_the_log_only(
    bug: BaseException, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.resolver.fails = bug
    error = bench.refused()
    assert str(error) == str(Internal())
    assert isinstance(error, Internal)
    assert error.__context__ is None or "s3cret" not in repr(error.__cause__)
    assert "a Mount failed" in [record.getMessage() for record in caplog.records]


def test_an_answer_over_the_limit_is_refused_with_its_size() -> None:
    bench = Bench(limits=Limits(response=200))
    bench.resolver.values["a"] = SecretValue(bytes(201), "arn:a", "v1")
    error = bench.refused()
    assert isinstance(error, TooLarge)
    assert "at most 200" in error.cause


def test_without_any_object_there_is_a_version_and_no_file(bench: Bench) -> None:
    """The driver demands a version; without files it changes nothing."""
    bench.resolver.values.clear()
    answer = bench.mount(objects=OPTIONAL)
    assert not answer.files
    assert [v.id for v in answer.object_version] == ["keyferry"]
    assert answer.object_version[0].version.startswith("empty-")


# --- region


def test_the_nodes_region_is_asked_for_once_and_only_when_needed(bench: Bench) -> None:
    bench.mount()
    assert bench.node_asked == 0
    bench.mount(region="")
    bench.mount(region="", pod="other")
    assert bench.node_asked == 1
    access, regions, _ = bench.resolver.asked[-1]
    assert (access.region, set(regions)) == ("eu-central-1", {"eu-central-1"})


def test_no_region_at_all_is_refused(bench: Bench) -> None:
    bench.node = ""
    assert isinstance(bench.refused(region=""), InvalidInput)


def test_the_default_region_comes_before_the_nodes() -> None:
    bench = Bench(region="eu-north-1")
    bench.mount(region="")
    assert bench.resolver.asked[0][0].region == "eu-north-1"
    assert bench.node_asked == 0


# --- time


@pytest.mark.parametrize(
    ("remaining", "seconds"),
    [(None, 25.0), (119.0, 25.0), (10.0, 8.0), (4.0, 2.0)],
    ids=["none", "long", "mid", "short"],
)
def test_a_mount_ends_before_its_callers_deadline(remaining: float | None, seconds: float, bench: Bench) -> None:
    bench.mount(remaining)
    assert bench.resolver.asked[0][2] == pytest.approx(seconds)


@pytest.mark.parametrize("remaining", [2.1, 0.0, -1.0])
def test_without_time_it_answers_at_once(remaining: float, bench: Bench) -> None:
    assert isinstance(bench.refused(remaining), Unavailable)
    assert bench.resolver.asked == []


def test_a_short_deadline_is_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.mount(4.9)
    assert bench.metrics.registry.get_sample_value("keyferry_short_deadlines_total") == 1
    assert "less than 5 seconds" in caplog.text


def test_the_budget_stays_within_the_grace_time() -> None:
    bench = Bench(limits=Limits(budget=25.0, grace=10.0))
    bench.mount()
    assert bench.resolver.asked[0][2] == pytest.approx(8.0)


def test_an_ending_process_answers_before_it_ends(bench: Bench) -> None:
    bench.provider.end_within(10.0)
    bench.clock.advance(5.0)
    bench.mount()
    assert bench.resolver.asked[0][2] == pytest.approx(3.0)
    bench.clock.advance(3.0)
    assert isinstance(bench.refused(), Unavailable)


# --- what is kept


def test_a_warm_mount_gives_the_very_same_bytes(bench: Bench) -> None:
    assert bench.raw() is bench.raw(pod="app-2")


def test_a_new_value_gives_a_new_answer(bench: Bench) -> None:
    bench.mount()
    bench.resolver.values["b"] = SecretValue(b"new", "arn:b", "v2")
    assert [file.contents for file in bench.mount().files] == [b"a", b"new"]


def test_equal_values_of_another_identity_share_nothing(bench: Bench) -> None:
    first = bench.raw()
    bench.resolver.values = {name: SecretValue(name.encode(), "arn:x", "v1") for name in NAMES}
    assert bench.raw(account="other") is not first


def test_another_mode_or_manifest_is_another_answer(bench: Bench) -> None:
    first = bench.mount()
    private = [{**each, "filePermission": "0600"} for each in OBJECTS]
    assert [file.mode for file in bench.mount(objects=private).files] == [0o600, 0o600]
    assert bench.mount() == first


def test_an_object_that_appears_is_delivered(bench: Bench) -> None:
    kept = bench.resolver.values.pop("b")
    assert len(bench.mount(objects=OPTIONAL).files) == 1
    bench.resolver.values["b"] = kept
    assert len(bench.mount(objects=OPTIONAL).files) == 2


def test_what_is_kept_is_bounded_in_bytes_and_time() -> None:
    bench = Bench(limits=Limits(answers=10_000, plans=20_000))
    for number in range(50):
        bench.mount(account=f"sa-{number}", note=str(number))
    assert bench.provider._answers.weight() <= 10_000
    assert bench.provider._plans.weight() <= 20_000
    bench.clock.advance(600.0)
    bench.provider.trim()
    assert bench.provider._answers.weight() == 0


# --- what is told


@pytest.mark.parametrize("source", Source)
def test_40_every_value_leaves_one_record(source: Source, bench: Bench) -> None:
    bench.resolver.source = source
    bench.mount()
    bench.mount()
    records = bench.records()
    assert len(records) == 4
    assert records[-1].pop("time").endswith("+00:00")
    assert records[-1] == {
        "namespace": "shop",
        "pod": "app-1",
        "uid": "uid-app-1",
        "service_account": "app",
        "secret": "arn:b",
        "version": "v1",
        "source": source,
        "request_id": "r-1",
    }
    assert bench.metrics.registry.get_sample_value("keyferry_reads_total", {"source": source}) == 4


def test_a_value_that_was_kept_is_recorded_by_where_it_came_from_this_time(bench: Bench) -> None:
    bench.resolver.source = Source.AWS
    bench.mount()
    bench.resolver.source = Source.CACHE
    bench.mount()
    bench.resolver.source = Source.STALE
    bench.mount()
    assert [record["source"] for record in bench.records()[::2]] == ["aws", "cache", "stale"]


def test_without_an_audit_log_no_line_is_made_nor_kept_for_later_mounts(bench: Bench) -> None:
    def kept(audit: Callable[[bytes], object] | None) -> float:
        metrics = MountMetrics()
        provider = Provider(bench.resolver, bench._node_region, Reports(metrics, audit))
        for _ in range(2):
            provider.mount(request(attributes(OBJECTS)), 100)
        return metrics.registry.get_sample_value("keyferry_kept_bytes", {"what": "responses"}) or 0

    assert 0 < kept(None) < kept(bench.audit.append) - 100
    assert len(bench.records()) == 4


def test_stale_values_are_told_everywhere(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.resolver.source = Source.STALE
    bench.mount()
    assert bench.told[0].stale == 2
    assert bench.metrics.registry.get_sample_value("keyferry_oldest_stale_age_seconds") == 5
    assert "2 stale values served" in caplog.text


def test_a_refusal_leaves_one_line_with_all_that_is_known(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.resolver.fails = Failures([NotFound("a", "no such secret", "create it"), Unavailable("b", "c", "d")])
    bench.refused()
    (line,) = (vars(record) for record in caplog.records if record.levelno == logging.WARNING)
    assert (line["namespace"], line["pod"], line["secret_provider_class"]) == ("shop", "app-1", "class")
    assert (line["code"], line["reason"]) == ("NOT_FOUND", "NotFound")
    assert line["status"].startswith("keyferry: a: no such secret: create it")
    assert bench.audit == []
    assert bench.told[0].error is bench.resolver.fails


def test_answers_are_counted_by_code(bench: Bench) -> None:
    bench.mount()
    bench.resolver.fails = NotFound("a", "b", "c")
    bench.refused()
    counts = [
        bench.metrics.registry.get_sample_value("keyferry_mounts_total", {"code": c}) for c in ("OK", "NOT_FOUND")
    ]
    assert counts == [1, 1]
