"""A cluster in which all is well."""

from collections.abc import Iterator

import pytest

from tests.clusterside import Site, settle
from tests.fakeapi import FakeApi


@pytest.fixture
def site() -> Iterator[Site]:
    with FakeApi() as api:
        made = Site(api)
        settle(made)
        yield made
