from collections.abc import Iterator

import pytest

from tests.fakeaws import FakeAws


@pytest.fixture
def fake() -> Iterator[FakeAws]:
    with FakeAws() as running:
        yield running
