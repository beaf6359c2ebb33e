"""Whose identity reads: keyferry's own, or that of a service account of the object's namespace (scenario 28)."""

from collections.abc import Iterator

import pytest

from driver.errors import NotFound, Unavailable
from driver.kube import Cluster
from driver.model import AuthMethod
from driver.sync.cluster import Api
from driver.sync.identity import LIFE, Identities
from driver.sync.plan import Items, Mode, Origin, SyncPlan, Template
from tests.fakeapi import FakeApi
from tests.fakes import FakeClock
from tests.syncside import REGION, named


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
        api.put(named("ServiceAccount", "reader", "shop"))
        yield api


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def identities(api: FakeApi, clock: FakeClock) -> Identities:
    return Identities(Api(Cluster(api.url)), clock=clock)


def plan(account: str = "reader", namespace: str = "shop", method: AuthMethod = AuthMethod.IRSA) -> SyncPlan:
    origin = Origin("v1", "ExternalSecret", namespace, "e", "u")
    items = Items((), "Opaque", Template(), Mode.AUTO)
    return SyncPlan(origin, items, (), (), (), REGION, service_account=account, method=method)


def test_keyferrys_own_identity_is_one_for_all_namespaces(identities: Identities, api: FakeApi) -> None:
    one, two = (identities.access(plan("", each, AuthMethod.AMBIENT)) for each in ("shop", "other"))
    assert one == two
    assert (one.namespace, one.service_account, one.token) == ("", "", None)
    assert api.tokens == 0


def test_a_service_accounts_token_and_uid_are_the_identity(identities: Identities, api: FakeApi) -> None:
    access = identities.access(plan())
    account = api.get("serviceaccounts", "shop", "reader")
    assert account
    assert (access.namespace, access.service_account, access.uid) == ("shop", "reader", account["metadata"]["uid"])
    assert access.token
    assert "redacted" in repr(access)


def test_a_token_is_kept_for_most_of_its_life(identities: Identities, api: FakeApi, clock: FakeClock) -> None:
    first = identities.access(plan())
    clock.advance(LIFE * 0.79)
    assert identities.access(plan()) == first
    clock.advance(LIFE * 0.02)
    assert identities.access(plan()) != first
    assert api.tokens == 2


def test_the_rest_of_its_life_bridges_an_outage(identities: Identities, api: FakeApi, clock: FakeClock) -> None:
    first = identities.access(plan())
    api.refuse()
    clock.advance(LIFE * 0.9)
    assert identities.access(plan()) == first
    clock.advance(LIFE * 0.11)
    with pytest.raises(Unavailable):
        identities.access(plan())
    api.accept()


def test_an_account_that_is_not_there_is_said_to_be_missing(identities: Identities) -> None:
    with pytest.raises(NotFound, match="token of service account other/reader"):
        identities.access(plan(namespace="other"))
