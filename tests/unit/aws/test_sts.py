import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.aws.sts import WEB_IDENTITY, Session, session_name, timestamp
from driver.model import Access, AuthMethod, Pod

GOOD = (
    '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><R><Credentials>'
    "<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>sec</SecretAccessKey><SessionToken>tok</SessionToken>"
    "<Expiration>2026-11-25T00:00:00Z</Expiration></Credentials></R></AssumeRoleWithWebIdentityResponse>"
)


def test_credentials_are_read_from_the_answer() -> None:
    assert WEB_IDENTITY.read(GOOD.encode()) == Session("ASIA", "sec", "tok", 1795564800.0)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "<html><body>no</body>",
        "<a/>",
        GOOD.replace("ASIA", ""),
        GOOD.replace("ASIA", "AS\r\nIA"),
        GOOD.replace("ASIA", "ÄSIA"),
        GOOD.replace("2026-11-25T00:00:00Z", "soon"),
        GOOD.replace("2026-11-25T00:00:00Z", "2026-11-25T00:00:00"),
        '<!DOCTYPE a [<!ENTITY b "c">]>' + GOOD,
    ],
)
def test_an_answer_without_usable_credentials_is_no_answer(body: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        WEB_IDENTITY.read(body.encode())


def test_a_lifetime_is_measured_by_the_givers_clock() -> None:
    made = Session("a", "b", "c", 5_000.0).credentials(moment=4_000.0, now=77.0)
    assert (made.expires, made.obtained) == (1_077.0, 77.0)


def test_credentials_show_nothing() -> None:
    made = Session("canary", "canary", "canary", 5_000.0)
    assert "canary" not in repr(made)
    assert repr(made.credentials(0, 0)).count("canary") == 1  # the access key's id is no secret


@given(namespace=st.text(max_size=70), name=st.text(max_size=300))
def test_any_pod_has_a_session_name_that_sts_takes(namespace: str, name: str) -> None:
    named = session_name(Access(AuthMethod.IRSA, namespace, "sa", "", "r", pod=Pod(namespace, name, "u")))
    assert re.fullmatch(r"[\w+=,.@-]{2,64}", named, re.ASCII)


def test_a_session_name_traces_to_the_pod() -> None:
    access = Access(AuthMethod.IRSA, "shop", "sa", "", "r", pod=Pod("shop", "app-1", "u"))
    assert session_name(access) == "keyferry@shop.app-1"
    assert session_name(Access(AuthMethod.IRSA, "shop", "sa", "", "r")) == "keyferry@shop.sa"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        timestamp("2026-11-25T00:00:00")
