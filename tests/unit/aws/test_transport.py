from pathlib import Path

import msgspec
import pytest

from driver import __version__
from driver.aws.failures import Asked
from driver.aws.request import Ask, Operation, Order
from driver.aws.session import Sdk
from driver.aws.transport import ATTEMPTS, Transport
from driver.errors import InvalidInput, KeyferryError, NotFound, Unavailable
from driver.model import Deadline
from tests.contract.clouds import OWN, transport
from tests.fakeaws import FakeAws, certificate
from tests.fakeaws_world import Request, Response, World

GET = Operation("secretsmanager", "GetSecretValue", lambda body: msgspec.json.decode(body, type=dict))
ASKED = Asked("secretsmanager:GetSecretValue", "db", "eu-west-1", "role")
BODY = b'{"SecretId": "db"}'


def order(payer: str = "me", seconds: float = 5.0) -> Order:
    return Order("eu-west-1", OWN, payer, Deadline(seconds), ASKED)


@pytest.fixture
def stocked(world: World) -> World:
    world.put("db", "value")
    return world


def test_a_reply_has_its_request_id(line: Transport, stocked: World) -> None:
    assert line.call(GET, BODY, order()).request_id == "request-1"


def test_a_request_says_who_sends_it(fake: FakeAws, line: Transport, stocked: World) -> None:
    seen: list[Request] = []
    answer = fake._answer

    def keep(request: Request) -> Response:
        seen.append(request)
        return answer(request)

    fake._answer = keep  # type: ignore[method-assign]  # a tap on the wire
    line.call(GET, BODY, order())
    assert seen[0].headers["user-agent"] == f"keyferry/{__version__}"


def test_every_attempt_is_observed(fake: FakeAws, stocked: World) -> None:
    seen: list[tuple[str, str]] = []
    line = transport(fake.url, observe=lambda operation, result, _seconds: seen.append((operation, result)))
    stocked.fail("error", times=1)
    line.call(GET, BODY, order())
    line.close()
    assert seen == [("GetSecretValue", "Unavailable"), ("GetSecretValue", "ok")]


def test_an_identity_in_trouble_stops_retrying_and_no_other_does(fake: FakeAws, stocked: World) -> None:
    line = transport(fake.url, sleep=lambda _: None)
    stocked.fail("error")
    for _ in range(8):
        with pytest.raises(Unavailable):
            line.call(GET, BODY, order("bad"))
    tired = stocked.count("GetSecretValue")
    assert tired <= 8 + 11
    with pytest.raises(Unavailable):
        line.call(GET, BODY, order("good"))
    assert stocked.count("GetSecretValue") == tired + ATTEMPTS
    line.close()


def test_throttling_lowers_what_is_offered(line: Transport, stocked: World) -> None:
    stocked.fail("error", code="ThrottlingException", status=400)
    for _ in range(4):
        with pytest.raises(KeyferryError):
            line.call(GET, BODY, order(seconds=0.5))
    assert stocked.count("GetSecretValue") <= 6


def test_a_refusal_is_not_tried_again(line: Transport, stocked: World) -> None:
    with pytest.raises(KeyferryError):
        line.call(GET, b'{"SecretId": "missing"}', order())
    assert stocked.count("GetSecretValue") == 1


def test_an_untrusted_certificate_is_not_tried_again(tmp_path: Path) -> None:
    seen: list[str] = []
    with FakeAws(certificate=certificate(tmp_path)) as fake:
        line = transport(fake.url, observe=lambda _operation, result, _seconds: seen.append(result))
        with pytest.raises(Unavailable, match="not trusted"):
            line.call(GET, BODY, order())
    assert seen == ["Unavailable"]


def test_a_region_that_is_none_is_refused_before_any_call(line: Transport, world: World) -> None:
    with pytest.raises(InvalidInput):
        line.call(GET, BODY, Order("no region", OWN, "me", Deadline(1), ASKED))
    assert world.calls == []


def test_plain_http_through_a_proxy_names_the_whole_address(fake: FakeAws, stocked: World) -> None:
    stocked.verify = False
    sdk = Sdk.from_environment({"AWS_ENDPOINT_URL": "http://aws.test", "HTTP_PROXY": fake.url})
    line = Transport(sdk)
    reply = line.call(GET, BODY, order())
    line.close()
    assert reply.result["Name"] == "db"


def test_warming_up_tells_of_settings_that_cannot_work() -> None:
    with pytest.raises(InvalidInput, match="AWS_CA_BUNDLE"):
        Transport(Sdk.from_environment({"AWS_CA_BUNDLE": "/nowhere"})).warm_up("eu-west-1")


def test_warming_up_is_not_needed_and_harmless(line: Transport, stocked: World) -> None:
    line.warm_up("eu-west-1")
    assert line.call(GET, BODY, order()).result["Name"] == "db"


def test_calls_made_together_end_each_in_its_own_way(line: Transport, stocked: World) -> None:
    asks = [Ask(body, order()) for body in (BODY, b'{"SecretId": "missing"}', BODY)]
    first, second, third = line.call_all(GET, asks)
    assert isinstance(second, NotFound)
    assert [ending.result["Name"] for ending in (first, third) if not isinstance(ending, KeyferryError)] == ["db"] * 2


def test_of_calls_made_together_only_those_that_failed_are_tried_again(line: Transport, stocked: World) -> None:
    stocked.fail("error", times=2)
    endings = line.call_all(GET, [Ask(BODY, order())] * 5)
    assert not any(isinstance(ending, KeyferryError) for ending in endings)
    assert stocked.count("GetSecretValue") == 7


def test_calls_made_together_go_one_by_one_once_aws_throttles(line: Transport, stocked: World) -> None:
    stocked.fail("error", times=1, code="ThrottlingException", status=400)
    asks = [Ask(BODY, order(seconds=20))] * 3
    assert not any(isinstance(ending, KeyferryError) for ending in line.call_all(GET, asks))
    assert not any(isinstance(ending, KeyferryError) for ending in line.call_all(GET, asks))
    assert stocked.count("GetSecretValue") == 7
