from pathlib import Path

import pytest

from driver.aws.ambient import HOLD, Ambient
from driver.errors import IdentityRefused
from tests.fakes import FakeClock

NONE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in NONE.items():
        monkeypatch.setenv(name, value)


def test_the_environments_credentials_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.setenv(f"AWS_{name}", name.lower())
    clock = FakeClock()
    found = Ambient(clock)()
    assert (found.access_key, found.secret_key, found.session_token) == (
        "access_key_id",
        "secret_access_key",
        "session_token",
    )
    assert found.expires == clock() + HOLD


def test_none_is_told_with_what_to_do() -> None:
    with pytest.raises(IdentityRefused, match="AWS_PROFILE"):
        Ambient(FakeClock())()


def test_a_profile_that_does_not_exist_is_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(IdentityRefused):
        Ambient(FakeClock())()
