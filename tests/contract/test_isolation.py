"""Many identities over one transport: none is mistaken for another, none waits for another's trouble."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from driver.aws.auth import Authenticator
from driver.aws.secretsmanager import SecretsManager
from driver.aws.transport import Transport
from driver.errors import KeyferryError
from driver.fanout import Fanout
from driver.model import Access, AuthMethod, Call, Deadline, SecretValue, Store, Token
from tests.contract.clouds import REGION, refs, transport
from tests.driverside import token
from tests.fakeaws import FakeAws
from tests.fakeaws_world import World

ROLES = "arn:aws:iam::111122223333:role/"


def access(account: str) -> Access:
    return Access(AuthMethod.IRSA, "shop", account, "u", REGION, token=Token(token("shop", account)))


@pytest.fixture
def auth(line: Transport) -> Authenticator:
    return Authenticator(line, lambda _namespace, account, _deadline: ROLES + account)


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(80) as pool:
        yield pool


def read(auth: Authenticator, reads: SecretsManager, account: str, seconds: float = 10) -> bytes:
    proof = auth.prove(access(account), Deadline(seconds))
    assert proof.credentials is not None
    call = Call(proof.principal, proof.credentials, REGION, Deadline(seconds))
    (value,) = reads.fetch(call, refs(Store.SECRETS_MANAGER, f"of-{account}")).values()
    assert isinstance(value, SecretValue), value
    return value.content


def test_every_call_is_signed_by_the_identity_that_makes_it(
    auth: Authenticator, line: Transport, world: World, fanout: Fanout, callers: ThreadPoolExecutor
) -> None:
    """The fake checks each signature and knows to whom it gave each key."""
    accounts = [f"account-{n:02}" for n in range(40)]
    for account in accounts:
        world.put(f"of-{account}", account)
    reads = SecretsManager(line, fanout)
    jobs = [callers.submit(read, auth, reads, account) for _ in range(8) for account in accounts]
    assert [job.result() for job in jobs] == [account.encode() for account in accounts] * 8
    seen = {(call.names[0], call.who) for call in world.calls if call.operation == "GetSecretValue"}
    assert seen == {(f"of-{account}", ROLES + account) for account in accounts}
    assert world.count("AssumeRoleWithWebIdentity") == len(accounts)


def test_identities_on_a_dead_service_hold_nobody_else_back(
    fake: FakeAws, world: World, fanout: Fanout, callers: ThreadPoolExecutor
) -> None:
    line = transport(fake.url, timeouts=None)
    auth = Authenticator(line, lambda _namespace, account, _deadline: ROLES + account)
    reads = SecretsManager(line, fanout)
    for account in ("known", "new"):
        world.put(f"of-{account}", account)
    read(auth, reads, "known")
    world.fail("hang", match="dead")
    stuck = [callers.submit(auth.prove, access(f"dead-{n}"), Deadline(2)) for n in range(64)]
    time.sleep(0.5)
    times = []
    for account in ("known", "new"):
        began = time.monotonic()
        assert read(auth, reads, account) == account.encode()
        times.append(time.monotonic() - began)
    assert times[0] < 0.5
    assert times[1] < 1.0
    assert all(isinstance(job.exception(), KeyferryError) for job in stuck)
    line.close()
