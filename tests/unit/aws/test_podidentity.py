from collections.abc import Iterator

import pytest

from driver.aws.podidentity import AGENTS, PodIdentity
from driver.errors import IdentityRefused, Unavailable
from driver.http.connections import Timeouts
from driver.model import Access, AuthMethod, Deadline, Token
from tests.driverside import AGENT, token
from tests.fakeaws import FakeAws
from tests.fakeaws_world import World


def access(**changes: object) -> Access:
    given = {"token": Token(token(audience=AGENT)), **changes}
    return Access(AuthMethod.POD_IDENTITY, "shop", "app", "u", "eu-west-1", **given)  # type: ignore[arg-type]  # mixed types


@pytest.fixture
def agent(fake: FakeAws, world: World) -> Iterator[PodIdentity]:
    world.associations["system:serviceaccount:shop:app"] = "arn:role"
    made = PodIdentity([fake.url], timeouts=Timeouts(0.3, 0.3))
    yield made
    made.close()


def hosts(agent: PodIdentity, **changes: object) -> list[str]:
    return [found.endpoint.host for found in agent._order(access(**changes))]


def test_ipv4_goes_before_ipv6_unless_told_otherwise() -> None:
    agent = PodIdentity(AGENTS)
    assert hosts(agent) == ["169.254.170.23", "fd00:ec2::23"]
    assert hosts(agent, address_type="ipv4") == ["169.254.170.23"]
    assert hosts(agent, address_type="ipv6") == ["fd00:ec2::23"]


def test_an_address_of_one_kind_serves_all() -> None:
    assert hosts(PodIdentity(["http://127.0.0.1:1"]), address_type="ipv6") == ["127.0.0.1"]


def test_the_address_that_worked_is_asked_first(fake: FakeAws, agent: PodIdentity) -> None:
    both = PodIdentity(["http://127.0.0.1:9", fake.url])
    both.with_token(access(), Deadline(2))
    assert both._order(access())[0].endpoint.port != 9
    both.close()


@pytest.mark.parametrize(("status", "code"), [(500, "InternalServerError"), (429, "ThrottlingException")])
def test_what_may_pass_is_tried_again(status: int, code: str, agent: PodIdentity, world: World) -> None:
    world.fail("error", "PodIdentity", status=status, code=code, times=3)
    assert agent.with_token(access(), Deadline(5)).access_key
    assert world.count("PodIdentity") == 4


def test_a_redirect_is_not_followed(agent: PodIdentity, world: World) -> None:
    world.fail("redirect")
    with pytest.raises(Unavailable, match="HTTP 302"):
        agent.with_token(access(), Deadline(0.2))


@pytest.mark.parametrize("text", ["", "a\r\nX: y", "tökén"])
def test_what_cannot_be_a_header_is_no_token(text: str, agent: PodIdentity, world: World) -> None:
    with pytest.raises(IdentityRefused):
        agent.with_token(access(token=Token(text)), Deadline(1))
    assert world.calls == []


def test_a_refused_token_is_not_tried_again(agent: PodIdentity, world: World) -> None:
    with pytest.raises(IdentityRefused, match="InvalidIdentityToken"):
        agent.with_token(access(token=Token(token())), Deadline(2))
    assert world.count("PodIdentity") == 1


def test_an_agent_that_hangs_is_told_by_the_deadline(agent: PodIdentity, world: World) -> None:
    world.fail("hang")
    with pytest.raises(Unavailable, match="Pod Identity agent"):
        agent.with_token(access(), Deadline(0.7))
    assert world.count("PodIdentity") >= 2
