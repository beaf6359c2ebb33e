"""Values: what is secret shows nowhere, and deadlines only shrink."""

from driver.model import Access, AuthMethod, Credentials, Deadline, File, SecretRef, SecretValue, Store, Token
from tests.fakes import FakeClock

CANARY = "canary-s3cr3t"


def test_nothing_secret_shows_in_repr_or_str() -> None:
    access = Access(AuthMethod.IRSA, "ns", "sa", "u", "r", token=Token(CANARY))
    shown = [
        Token(CANARY),
        access,
        Credentials("AKIA", CANARY, CANARY, 0, 0),
        SecretValue(CANARY.encode(), "arn", "v"),
        SecretValue(b"", "arn", "v", children=(("a", SecretValue(CANARY.encode(), "arn", "v")),)),
        File("path", 0o644, CANARY.encode(), "v"),
    ]
    assert all(CANARY not in text for value in shown for text in (repr(value), str(value), f"{value}"))


def test_tokens_are_equal_by_their_text() -> None:
    assert Token("a") == Token("a")
    assert len({Token("a"), Token("a"), Token("b")}) == 2


def test_references_that_differ_in_anything_are_different_keys() -> None:
    plain = SecretRef(Store.PARAMETER, "a", "r")
    others = [SecretRef(Store.SECRETS_MANAGER, "a", "r"), SecretRef(Store.PARAMETER, "a", "r", version="1")]
    assert len({plain, *others}) == 3


def test_the_weight_of_a_tree_counts_its_children() -> None:
    leaf = SecretValue(b"x" * 1000, "arn", "v")
    assert SecretValue(b"", "arn", "v", children=(("a", leaf),)).weight() > leaf.weight() > 1000


def test_a_deadline_counts_down_to_zero() -> None:
    clock = FakeClock()
    deadline = Deadline(10, clock)
    clock.advance(4)
    assert deadline.remaining() == 6
    clock.advance(60)
    assert deadline.remaining() == 0


def test_a_part_of_a_deadline_never_outlasts_it() -> None:
    clock = FakeClock()
    deadline = Deadline(10, clock)
    assert deadline.within(3).remaining() == 3
    assert deadline.within(30).remaining() == 10
