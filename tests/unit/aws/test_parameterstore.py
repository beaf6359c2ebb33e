import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.aws.parameterstore import BATCH, ParameterStore, batches
from driver.aws.transport import Transport
from driver.errors import AccessDenied, NotFound, TooLarge, Unavailable
from driver.fanout import Fanout
from driver.model import SecretRef, SecretValue, Store
from tests.contract.clouds import call, refs
from tests.fakeaws_world import World

PS = Store.PARAMETER
ARN = "arn:aws:ssm:eu-west-1:111122223333:parameter"


@pytest.fixture
def reads(line: Transport, fanout: Fanout) -> ParameterStore:
    return ParameterStore(line, fanout)


def below(path: str) -> SecretRef:
    return SecretRef(Store.PARAMETER_PATH, path, "eu-west-1")


@given(st.lists(st.sampled_from(["a", "b", "/a", f"{ARN}/a", "/x/y", *(f"p{n}" for n in range(30))]), max_size=40))
def test_no_batch_has_one_parameter_twice(names: list[str]) -> None:
    wanted = [SecretRef(PS, name, "eu-west-1", version=str(n)) for n, name in enumerate(names)]
    made = batches(wanted)
    assert sorted(str(ref) for batch in made for ref in batch) == sorted(map(str, wanted))
    for batch in made:
        bases = [ref.name.rpartition(":parameter")[2].lstrip("/") for ref in batch]
        assert len(batch) <= BATCH
        assert len(set(bases)) == len(bases)


def test_scenario_23_ten_parameters_are_one_call(reads: ParameterStore, world: World) -> None:
    for n in range(20):
        world.put_parameter(f"/p{n}", f"value {n}")
    found = reads.fetch(call(), refs(PS, *(f"/p{n}" for n in range(20))))
    assert all(isinstance(value, SecretValue) for value in found.values())
    assert world.counts == {"GetParameters": 2}


def test_two_versions_and_a_label_of_one_parameter_are_each_right(reads: ParameterStore, world: World) -> None:
    for text in ("one", "two", "three"):
        world.put_parameter("/p", text, "eu-west-1", *(["stable"] if text == "two" else []))
    wanted = [refs(PS, "/p", version="1")[0], refs(PS, "/p", label="stable")[0], refs(PS, "/p", version="3")[0]]
    found = reads.fetch(call(), wanted)
    assert [getattr(found[ref], "content", None) for ref in wanted] == [b"one", b"two", b"three"]


def test_a_parameter_made_anew_has_another_stamp(reads: ParameterStore, world: World) -> None:
    stamps = set()
    for modified in (1.0, 2.0):
        world.parameters.clear()
        world.put_parameter("/p", "same")
        world.parameters["eu-west-1", "/p"].modified = modified
        (value,) = reads.fetch(call(), refs(PS, "/p")).values()
        assert isinstance(value, SecretValue)
        assert value.version == "1"
        stamps.add(value.stamp)
    assert stamps == {f"{ARN}/p@1.0", f"{ARN}/p@2.0"}


def test_one_denied_parameter_does_not_take_the_others_along(reads: ParameterStore, world: World) -> None:
    for name in ("/a", "/denied", "/b"):
        world.put_parameter(name, "value")
    world.deny("ssm:GetParameters", name="/denied")
    found = {ref.name: outcome for ref, outcome in reads.fetch(call(), refs(PS, "/a", "/denied", "/b")).items()}
    assert isinstance(found["/denied"], AccessDenied)
    assert isinstance(found["/a"], SecretValue)
    assert isinstance(found["/b"], SecretValue)


def test_everything_below_a_path_comes_page_by_page(reads: ParameterStore, world: World) -> None:
    for n in range(23):
        world.put_parameter(f"/app/k{n:02}/v", str(n))
    world.put_parameter("/apple", "not below")
    (value,) = reads.fetch(call(), [below("/app/")]).values()
    assert isinstance(value, SecretValue)
    assert [name for name, _ in value.children] == [f"k{n:02}/v" for n in range(23)]
    assert value.children[7][1].content == b"7"
    assert world.count("GetParametersByPath") == 3


def test_the_root_is_a_path_too(reads: ParameterStore, world: World) -> None:
    world.put_parameter("/a/b", "x")
    (value,) = reads.fetch(call(), [below("/")]).values()
    assert isinstance(value, SecretValue)
    assert value.children[0][0] == "a/b"


def test_a_path_with_nothing_below_is_not_found(reads: ParameterStore) -> None:
    (error,) = reads.fetch(call(), [below("/none")]).values()
    assert isinstance(error, NotFound)


def test_a_path_with_too_much_below_is_refused(reads: ParameterStore, world: World) -> None:
    for n in range(1_001):
        world.put_parameter(f"/app/{n}", "x")
    (error,) = reads.fetch(call(20), [below("/app")]).values()
    assert isinstance(error, TooLarge)


def test_a_denied_path_names_its_own_permission(reads: ParameterStore, world: World) -> None:
    world.deny("ssm:GetParametersByPath")
    (error,) = reads.fetch(call(), [below("/app")]).values()
    assert isinstance(error, AccessDenied)
    assert "ssm:GetParametersByPath" in error.remedy


def test_an_outage_of_one_page_is_an_outage_of_the_path(reads: ParameterStore, world: World) -> None:
    world.put_parameter("/app/a", "x")
    world.fail("error", "GetParametersByPath")
    (error,) = reads.fetch(call(), [below("/app")]).values()
    assert isinstance(error, Unavailable)
