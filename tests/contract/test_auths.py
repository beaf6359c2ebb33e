"""What Auth promises, whatever the way in which a workload proves itself."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from driver.aws.auth import Authenticator
from driver.aws.podidentity import PodIdentity
from driver.aws.secretsmanager import SecretsManager
from driver.aws.transport import Transport
from driver.errors import AccessDenied, IdentityRefused, KeyferryError, Unavailable
from driver.fanout import Fanout
from driver.http.connections import Timeouts
from driver.model import Access, AuthMethod, Call, Deadline, Pod, Role, SecretValue, Store, Token
from tests.contract.clouds import REGION, ROLE, Cloud, call, refs, transport
from tests.driverside import AGENT, STS, token
from tests.fakeaws import FakeAws
from tests.fakeaws_world import World
from tests.fakes import FakeClock

METHODS = (AuthMethod.IRSA, AuthMethod.POD_IDENTITY)
OPERATION = {AuthMethod.IRSA: "AssumeRoleWithWebIdentity", AuthMethod.POD_IDENTITY: "PodIdentity"}
SUBJECT = "system:serviceaccount:shop:app"
every_method = pytest.mark.parametrize("method", METHODS, ids=[method.value for method in METHODS])


def access(method: AuthMethod, account: str = "app", **changes: object) -> Access:
    text = token("shop", account, STS if method is AuthMethod.IRSA else AGENT)
    made = Access(method, "shop", account, f"uid-{account}", REGION, token=Token(text), pod=Pod("shop", "app-1", "u"))
    return msgspec.structs.replace(made, **changes)


def soon() -> Deadline:
    return Deadline(3)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def agent(fake: FakeAws, clock: FakeClock) -> Iterator[PodIdentity]:
    """The agent at its second address."""
    made = PodIdentity(["http://127.0.0.1:9", fake.url], timeouts=Timeouts(0.5, 0.5), clock=clock)
    yield made
    made.close()


@pytest.fixture
def auth(agent: PodIdentity, line: Transport, world: World, clock: FakeClock) -> Authenticator:
    world.associations = {SUBJECT: ROLE, "system:serviceaccount:shop:other": ROLE + "-other"}
    return Authenticator(line, lambda _ns, account, _d: ROLE.replace("app", account), agent=agent, clock=clock)


def test_irsa_credentials_read_a_secret(cloud: Cloud, cloud_line: Transport, fanout: Fanout) -> None:
    cloud.put(Store.SECRETS_MANAGER, "db", "one")
    own = ROLE.replace("111122223333", "123456789012")  # moto's default account, where the secret is
    auth = Authenticator(cloud_line, lambda _ns, _account, _deadline: own)
    proof = auth.prove(access(AuthMethod.IRSA), Deadline(10))
    assert proof.credentials is not None
    reading = Call(proof.principal, proof.credentials, REGION, Deadline(10))
    (value,) = SecretsManager(cloud_line, fanout).fetch(reading, refs(Store.SECRETS_MANAGER, "db")).values()
    assert isinstance(value, SecretValue)
    assert value.content == b"one"


@every_method
def test_a_proof_says_who_it_is_for(method: AuthMethod, auth: Authenticator) -> None:
    proof = auth.prove(access(method), soon())
    held = proof.principal
    assert (held.method, held.namespace, held.service_account, held.uid) == (method, "shop", "app", "uid-app")
    assert held.role == (ROLE if method is AuthMethod.IRSA else "")


@every_method
def test_a_proven_identity_is_not_asked_for_again(method: AuthMethod, auth: Authenticator, world: World) -> None:
    assert auth.prove(access(method), soon()).credentials == auth.prove(access(method), soon()).credentials
    assert world.count(OPERATION[method]) == 1


@every_method
def test_pods_that_start_together_ask_once(method: AuthMethod, auth: Authenticator, world: World) -> None:
    world.latency = 0.05
    with ThreadPoolExecutor(25) as pool:
        proofs = list(pool.map(lambda _: auth.prove(access(method), soon()), range(25)))
    assert len({proof.credentials for proof in proofs}) == 1
    assert world.count(OPERATION[method]) == 1


@every_method
@pytest.mark.parametrize("change", [{"uid": "uid-2"}, {"service_account": "other"}], ids=["uid", "account"])
def test_scenario_6_another_identity_never_gets_these_credentials(
    method: AuthMethod, change: dict[str, str], auth: Authenticator
) -> None:
    mine = auth.prove(access(method), soon())
    other = auth.prove(access(method, change.get("service_account", "app"), **change), soon())
    assert other.principal != mine.principal
    assert other.credentials != mine.credentials


@every_method
@pytest.mark.parametrize(
    "changes", [{"lifetime": -60}, {"audience": "elsewhere"}], ids=["expired", "for another audience"]
)
def test_a_refused_token_is_a_refused_identity(
    method: AuthMethod, changes: dict[str, object], auth: Authenticator
) -> None:
    bad = Token(token(**{"audience": STS if method is AuthMethod.IRSA else AGENT, **changes}))  # type: ignore[arg-type]  # mixed types
    with pytest.raises(IdentityRefused) as caught:
        auth.prove(access(method, token=bad), soon())
    assert bad.reveal() not in str(caught.value)


@every_method
def test_a_refused_token_does_not_hurt_a_pod_with_a_good_one(method: AuthMethod, auth: Authenticator) -> None:
    with pytest.raises(IdentityRefused):
        auth.prove(access(method, token=Token("not.a.token")), soon())
    assert auth.prove(access(method), soon()).credentials is not None


@every_method
def test_credentials_are_renewed_before_they_expire(
    method: AuthMethod, auth: Authenticator, world: World, clock: FakeClock
) -> None:
    first = auth.prove(access(method), soon()).credentials
    clock.advance(world.lifetime - 299)
    assert auth.prove(access(method), soon()).credentials != first


@every_method
def test_credentials_that_still_hold_bridge_an_outage(
    method: AuthMethod, auth: Authenticator, world: World, clock: FakeClock
) -> None:
    first = auth.prove(access(method), soon()).credentials
    world.fail("error", OPERATION[method])
    clock.advance(world.lifetime - 200)
    assert auth.prove(access(method), Deadline(0.5)).credentials == first


@every_method
def test_scenario_9_a_long_outage_leaves_a_proof_without_credentials_for_a_day(
    method: AuthMethod, auth: Authenticator, world: World, clock: FakeClock
) -> None:
    auth.prove(access(method), soon())
    world.fail("error", OPERATION[method])
    clock.advance(86_000)
    proof = auth.prove(access(method), Deadline(0.5))
    assert proof.credentials is None
    with pytest.raises(Unavailable):
        auth.credentials(proof, (), REGION, soon())
    clock.advance(1_000)
    with pytest.raises(Unavailable):
        auth.prove(access(method), Deadline(0.5))


@every_method
def test_an_outage_proves_nobody_who_was_not_proven(method: AuthMethod, auth: Authenticator, world: World) -> None:
    auth.prove(access(method), soon())
    world.fail("error", OPERATION[method])
    with pytest.raises(Unavailable):
        auth.prove(access(method, uid="uid-2"), Deadline(0.5))


@every_method
def test_renewing_gives_new_credentials_once_for_all_who_ask(
    method: AuthMethod, auth: Authenticator, world: World
) -> None:
    proof = auth.prove(access(method), soon())
    renewed = [auth.renew(proof, soon()).credentials for _ in range(5)]
    assert len(set(renewed)) == 1
    assert renewed[0] != proof.credentials
    assert world.count(OPERATION[method]) == 2


def test_a_role_that_trusts_somebody_else_is_named(auth: Authenticator, world: World) -> None:
    world.roles[ROLE] = "system:serviceaccount:bank:vault"
    with pytest.raises(AccessDenied, match="trust policy") as caught:
        auth.prove(access(AuthMethod.IRSA), soon())
    assert ROLE in str(caught.value)
    assert SUBJECT in str(caught.value)


def test_scenario_7_revoked_trust_ends_the_proof_at_the_next_renewal(
    auth: Authenticator, world: World, clock: FakeClock
) -> None:
    auth.prove(access(AuthMethod.IRSA), soon())
    world.roles[ROLE] = "somebody"
    clock.advance(world.lifetime)
    for _ in range(2):
        with pytest.raises(AccessDenied):
            auth.prove(access(AuthMethod.IRSA), soon())
    assert world.count("AssumeRoleWithWebIdentity") == 2


def test_the_failover_region_proves_what_the_first_cannot(auth: Authenticator, world: World, line: Transport) -> None:
    world.fail("error", "AssumeRoleWithWebIdentity", times=3)
    proof = auth.prove(access(AuthMethod.IRSA, failover_region="eu-central-1"), Deadline(5))
    assert proof.credentials is not None


def test_an_account_without_an_association_is_told_so(auth: Authenticator, world: World, fake: FakeAws) -> None:
    world.associations.clear()
    with pytest.raises(IdentityRefused, match="association"):
        auth.prove(access(AuthMethod.POD_IDENTITY), Deadline(0.5))
    assert world.count("PodIdentity") > 1


def test_scenario_13_an_association_that_becomes_visible_is_waited_for(auth: Authenticator, world: World) -> None:
    world.associations.clear()
    threading.Timer(0.2, lambda: world.associations.update({SUBJECT: ROLE})).start()
    assert auth.prove(access(AuthMethod.POD_IDENTITY), soon()).credentials is not None


def chain(*names: str) -> tuple[Role, ...]:
    return tuple(Role(f"arn:aws:iam::444455556666:role/{name}") for name in names)


def test_a_chain_is_walked_hop_by_hop_and_kept(auth: Authenticator, world: World) -> None:
    proof = auth.prove(access(AuthMethod.IRSA), soon())
    hops = chain("first", "second")
    world.roles = {hops[0].arn: ROLE, hops[1].arn: hops[0].arn}
    end = auth.credentials(proof, hops, REGION, soon())
    assert world.keys[end.access_key][1] == hops[1].arn
    assert auth.credentials(proof, hops, REGION, soon()) is end
    assert world.count("AssumeRole") == 2


def test_a_chain_brings_its_external_id(auth: Authenticator, world: World) -> None:
    proof = auth.prove(access(AuthMethod.IRSA), soon())
    (role,) = chain("shared")
    world.external_ids[role.arn] = "right"
    with pytest.raises(AccessDenied):
        auth.credentials(proof, (Role(role.arn, "wrong"),), REGION, soon())
    assert auth.credentials(proof, (Role(role.arn, "right"),), REGION, soon())


def test_a_refused_hop_names_the_role_and_the_caller(auth: Authenticator, world: World) -> None:
    proof = auth.prove(access(AuthMethod.IRSA), soon())
    (role,) = chain("shared")
    world.roles[role.arn] = "somebody"
    with pytest.raises(AccessDenied) as caught:
        auth.credentials(proof, (role,), REGION, soon())
    assert role.arn in str(caught.value)
    assert ROLE in str(caught.value)


def test_renewing_renews_the_chain_too(auth: Authenticator, world: World) -> None:
    proof = auth.prove(access(AuthMethod.IRSA), soon())
    before = auth.credentials(proof, chain("first"), REGION, soon())
    assert auth.credentials(auth.renew(proof, soon()), chain("first"), REGION, soon()) != before


def test_chains_of_different_identities_are_kept_apart(auth: Authenticator) -> None:
    mine, other = (auth.prove(access(AuthMethod.IRSA, name), soon()) for name in ("app", "other"))
    hops = chain("first")
    assert auth.credentials(mine, hops, REGION, soon()) != auth.credentials(other, hops, REGION, soon())


def test_the_processes_own_identity_serves_no_pod(line: Transport) -> None:
    auth = Authenticator(line, lambda _ns, _account, _deadline: ROLE)
    with pytest.raises(IdentityRefused):
        auth.prove(Access(AuthMethod.AMBIENT, "", "", "", REGION), soon())


def test_own_credentials_are_what_the_sdk_finds(line: Transport) -> None:
    held = call().credentials
    auth = Authenticator(line, lambda _ns, _account, _deadline: ROLE, ambient=lambda: held)
    assert auth.prove(Access(AuthMethod.AMBIENT, "", "", "", REGION), soon()).credentials == held


@pytest.mark.parametrize("kind", ["empty", "html", "truncated", "shape", "cut", "close", "hang", "redirect"])
@every_method
def test_an_answer_that_makes_no_sense_proves_nothing(
    kind: str, method: AuthMethod, auth: Authenticator, world: World
) -> None:
    world.fail(kind)
    with pytest.raises(KeyferryError):
        auth.prove(access(method), Deadline(0.4))


def test_scenario_13_an_agent_that_is_not_there_is_named(line: Transport) -> None:
    auth = Authenticator(line, lambda _ns, _account, _deadline: ROLE, agent=PodIdentity(["http://127.0.0.1:9"]))
    with pytest.raises(Unavailable, match="Pod Identity agent"):
        auth.prove(access(AuthMethod.POD_IDENTITY), Deadline(0.3))


def test_scenario_12_sts_that_takes_five_calls_a_second_gives_twenty_accounts_their_credentials(
    fake: FakeAws, world: World
) -> None:
    world.rates["AssumeRoleWithWebIdentity"], world.latency = 5.0, 0.02
    made = transport(fake.url, sleep=time.sleep)
    auth = Authenticator(made, lambda _ns, account, _deadline: f"{ROLE}-{account}")
    prove: Callable[[int], object] = lambda n: auth.prove(access(AuthMethod.IRSA, f"a{n}"), Deadline(20)).credentials  # noqa: E731 - one line
    with ThreadPoolExecutor(20) as pool:
        assert all(pool.map(prove, range(20)))
    made.close()
    assert world.count("AssumeRoleWithWebIdentity") <= 25


def test_the_session_name_traces_to_the_pod(auth: Authenticator, world: World) -> None:
    odd = replace_pod(access(AuthMethod.IRSA), "näme/with spaces and far too many characters to be a session's name")
    assert auth.prove(odd, soon()).credentials is not None


def replace_pod(given: Access, name: str) -> Access:
    return msgspec.structs.replace(given, pod=Pod("shop", name, "u"))
