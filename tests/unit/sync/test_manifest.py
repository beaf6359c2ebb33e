"""What is done about Secrets that are there: every guard, and that nothing foreign is ever written."""

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driver.errors import Unavailable, Unusable
from driver.sync import manifest
from driver.sync.manifest import Keep, Refuse, Skip, Write, decide
from driver.sync.plan import KEYS, SOURCE, SOURCE_UID, Claim, Desired, Origin
from tests.unit.sync.material import UID, applied, live

ORIGIN = Origin("kubernetes-client.io/v1", "ExternalSecret", "shop", "app", UID, 1)
OTHER = {"apiVersion": "v1", "kind": "Thing", "name": "x", "uid": "other"}
FLAW = Unusable("k", "no JSON", "store JSON")
RECORD = {SOURCE: "ExternalSecret/app", SOURCE_UID: UID, KEYS: "a"}


def desired(claim: Claim = Claim.MAKE, **fields: Any) -> Desired:
    fields = {"name": "app", "type": "Opaque", "data": {"a": b"1"}} | fields
    return Desired(ORIGIN, claim=claim, **fields)


def written(want: Desired, have: dict[str, Any] | None) -> Write:
    decision = decide(want, have)
    assert isinstance(decision, Write), decision
    return decision


def made(want: Desired) -> dict[str, Any]:
    """Return the Secret after we made it."""
    return applied(written(want, None).body)


def test_a_missing_secret_is_made_with_its_owner_and_our_record() -> None:
    write = written(desired(labels={"l": "1"}), None)
    assert (write.action, write.force, write.first) == ("create", False, None)
    metadata = write.body["metadata"]
    assert metadata["ownerReferences"] == [ORIGIN.owner_reference()]
    assert metadata["annotations"] == RECORD
    assert metadata["labels"] == {"l": "1"}
    assert write.body["data"] == {"a": b64encode(b"1").decode()}


def test_retain_makes_it_without_owner() -> None:
    assert "ownerReferences" not in written(desired(retain=True), None).body["metadata"]


def test_an_empty_secret_is_filled_without_owner() -> None:
    write = written(desired(Claim.FILL), live())
    assert (write.action, write.force) == ("fill", False)
    assert "ownerReferences" not in write.body["metadata"]
    assert write.body["metadata"]["resourceVersion"] == "7"


def test_auto_finding_no_secret_tells_how_to_get_one() -> None:
    decision = decide(desired(Claim.FILL), None)
    assert isinstance(decision, Skip)
    assert "create an empty Secret app in namespace shop" in decision.message


def test_auto_is_silent_when_the_value_could_not_fill_one() -> None:
    assert decide(desired(Claim.FILL, flaw=FLAW), None) == Skip()
    assert decide(desired(Claim.FILL, flaw=FLAW), live(data={"x": b"1"})) == Skip()


def test_an_empty_secret_that_waits_for_another_value_is_told() -> None:
    decision = decide(desired(Claim.FILL, flaw=FLAW), live())
    assert isinstance(decision, Skip)
    assert "no JSON" in decision.message


FOREIGN = [
    pytest.param(live(data={"x": b"1"}), id="data of others"),
    pytest.param(live(type="kubernetes.io/tls"), id="another type"),
    pytest.param(live(type="kubernetes.io/service-account-token"), id="a dangerous type"),
    pytest.param(live(immutable=True), id="immutable"),
    pytest.param(live(ownerReferences=[{**OTHER, "controller": True}]), id="another controller"),
    pytest.param(live(ownerReferences=[OTHER]), id="another owner"),
    pytest.param(live(labels={"secrets-store.csi.k8s.io/managed": "true"}), id="the driver's own"),
    pytest.param(
        live(ownerReferences=[{**ORIGIN.owner_reference(), "apiVersion": "external-secrets.io/v1", "uid": "eso"}]),
        id="of the same kind and name in another API group",
    ),
    pytest.param(live(annotations={SOURCE: "ExternalSecret/b"}), id="another source, though empty"),
    pytest.param(live(annotations={SOURCE: "SecretProviderClass/app"}), id="another kind of source"),
    pytest.param(live(deletionTimestamp="2026-01-01T00:00:00Z"), id="being deleted"),
    pytest.param(live(ownerReferences=[{**ORIGIN.owner_reference(), "uid": "old"}]), id="of a former object"),
]


@pytest.mark.parametrize("have", FOREIGN)
def test_a_foreign_secret_is_refused_where_it_was_asked_for(have: dict[str, Any]) -> None:
    decision = decide(desired(), have)
    assert isinstance(decision, Refuse)
    assert str(decision.error).startswith("Secret app: ")


@pytest.mark.parametrize("have", FOREIGN)
def test_a_foreign_secret_is_left_alone_in_auto(have: dict[str, Any]) -> None:
    decision = decide(desired(Claim.FILL), have)
    taken = SOURCE in have["metadata"].get("annotations", {})
    assert isinstance(decision, Refuse if taken else Skip)


def test_what_passes_by_itself_is_retryable() -> None:
    for have in FOREIGN[-2:]:
        decision = decide(desired(), have.values[0])  # type: ignore[arg-type]  # the rows hold Secrets
        assert isinstance(decision, Refuse)
        assert isinstance(decision.error, Unavailable)


def test_only_opaque_secrets_are_filled() -> None:
    assert isinstance(decide(desired(type="kubernetes.io/tls"), live()), Refuse)


def test_unchanged_is_kept_for_ever() -> None:
    want = desired(labels={"l": "1"}, annotations={"x": "y"})
    assert decide(want, made(want)) == Keep()


def test_what_others_added_is_no_difference() -> None:
    have = made(desired())
    have["data"]["theirs"] = "eA=="
    have["metadata"]["annotations"]["argocd.example/tracking"] = "x"
    have["metadata"]["labels"] = {"theirs": "x"}
    assert decide(desired(), have) == Keep()


def test_the_order_of_keys_is_no_difference() -> None:
    assert decide(desired(data={"b": b"2", "a": b"1"}), made(desired(data={"a": b"1", "b": b"2"}))) == Keep()


def test_a_new_value_is_written_with_the_owner_kept() -> None:
    write = written(desired(data={"a": b"2"}), made(desired()))
    assert (write.action, write.force, write.first) == ("update", True, None)
    assert write.body["metadata"]["ownerReferences"] == [ORIGIN.owner_reference()]
    assert write.body["metadata"]["resourceVersion"] == "8"


@pytest.mark.parametrize("edit", [{"a": "eA=="}, {}])
def test_an_edit_of_our_keys_is_healed(edit: dict[str, str]) -> None:
    have = made(desired())
    have["data"] = edit
    assert written(desired(), have).force


def test_a_filled_secret_stays_without_owner() -> None:
    have = applied(written(desired(Claim.FILL), live()).body)
    write = written(desired(Claim.FILL, data={"a": b"2"}), have)
    assert "ownerReferences" not in write.body["metadata"]


def test_a_filled_secret_whose_value_fails_is_kept_and_told() -> None:
    have = applied(written(desired(Claim.FILL), live()).body)
    assert decide(desired(Claim.FILL, flaw=FLAW, data={}), have) == Refuse(FLAW)


def test_a_new_object_of_the_same_name_continues() -> None:
    have = made(desired(retain=True))
    again = Desired(Origin("v", "ExternalSecret", "shop", "app", "new", 1), "app", "Opaque", {"a": b"1"}, Claim.MAKE)
    write = written(again, have)
    assert (write.action, write.body["metadata"]["annotations"][SOURCE_UID]) == ("update", "new")


def test_a_key_that_someone_else_added_is_not_taken() -> None:
    have = made(desired())
    have["data"]["b"] = "eA=="
    decision = decide(desired(data={"a": b"1", "b": b"2"}), have)
    assert isinstance(decision, Refuse)
    assert "'b' was added by someone else" in str(decision.error)


def test_a_key_that_is_gone_is_removed_by_apply() -> None:
    write = written(desired(data={"a": b"1"}), made(desired(data={"a": b"1", "b": b"2"})))
    assert write.first is None
    assert list(write.body["data"]) == ["a"]


def test_a_key_that_is_gone_and_held_by_others_is_removed_first() -> None:
    have = made(desired(data={"a": b"1", "b": b"2"}))
    other = {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:data": {"f:b": {}}}}
    have["metadata"]["managedFields"].append(other)
    first = written(desired(data={"a": b"1"}), have).first
    assert first == {"metadata": {"resourceVersion": "8"}, "data": {"b": None}}


def test_a_label_that_is_no_longer_wanted_is_a_difference() -> None:
    have = made(desired(labels={"l": "1"}))
    assert "labels" not in written(desired(), have).body["metadata"]


def test_a_secret_made_by_kes_for_this_object_is_taken_over() -> None:
    have = live(data={"a": b"old", "gone": b"x"}, ownerReferences=[ORIGIN.owner_reference()])
    write = written(desired(), have)
    assert (write.action, write.force) == ("adopt", True)
    assert write.body["metadata"]["ownerReferences"] == [ORIGIN.owner_reference()]
    assert write.first == {"metadata": {"resourceVersion": "7"}, "data": {"gone": None}}


def test_taking_over_with_retain_gives_up_the_owner_first() -> None:
    have = live(data={"a": b"1"}, ownerReferences=[ORIGIN.owner_reference()])
    write = written(desired(retain=True), have)
    assert write.first == {"metadata": {"resourceVersion": "7", "ownerReferences": None}}
    assert "ownerReferences" not in write.body["metadata"]


def test_retain_set_later_gives_up_the_owner_of_an_unchanged_secret() -> None:
    write = written(desired(retain=True), made(desired()))
    assert write.first == {"metadata": {"resourceVersion": "8", "ownerReferences": None}}
    assert "ownerReferences" not in write.body["metadata"]


def test_a_secret_can_be_given_up_by_its_annotation() -> None:
    have = live(data={"a": b"old", "theirs": b"x"}, annotations={SOURCE: "ExternalSecret/app"})
    write = written(desired(), have)
    assert (write.action, write.first) == ("update", None)


@pytest.mark.parametrize("field", ["immutable", "type"])
def test_our_secret_that_cannot_change_is_told(field: str) -> None:
    have = made(desired())
    have[field] = True if field == "immutable" else "other"
    decision = decide(desired(data={"a": b"2"}), have)
    assert isinstance(decision, Refuse)


def test_our_immutable_secret_that_is_right_is_kept() -> None:
    assert decide(desired(), {**made(desired()), "immutable": True}) == Keep()


def test_digest_needs_its_key_and_sees_every_part() -> None:
    base = manifest.digest(desired(), b"k1")
    assert base == manifest.digest(desired(labels={"l": "1"}), b"k1")
    others = [desired(data={"a": b"2"}), desired(data={"a1": b""}), desired(type="t"), desired(data={})]
    assert len({base, manifest.digest(desired(), b"k2"), *(manifest.digest(one, b"k1") for one in others)}) == 6


KEYS_ = st.sampled_from(["a", "b", "c"])
OWNERS = st.sampled_from(
    [OTHER, {**OTHER, "controller": True}, ORIGIN.owner_reference(), {**ORIGIN.owner_reference(), "uid": "old"}]
)
LIVE = st.builds(
    live,
    data=st.none() | st.dictionaries(KEYS_, st.sampled_from([b"1", b"2"])),
    type=st.sampled_from(["Opaque", "kubernetes.io/tls", "kubernetes.io/service-account-token"]),
    immutable=st.booleans(),
    labels=st.sampled_from([{}, {"secrets-store.csi.k8s.io/managed": "true"}]),
    annotations=st.sampled_from([{}, {SOURCE: "ExternalSecret/b"}, RECORD, {SOURCE: "ExternalSecret/app"}]),
    ownerReferences=st.lists(OWNERS, max_size=2),
)
DESIRED = st.builds(desired, st.sampled_from(Claim), data=st.dictionaries(KEYS_, st.just(b"1")), retain=st.booleans())


def is_foreign(have: dict[str, Any]) -> bool:
    """Tell, in other words than the code's, that a Secret is neither the source's nor empty and free."""
    metadata = have["metadata"]
    uids = {owner["uid"] for owner in metadata["ownerReferences"]}
    record = metadata["annotations"].get(SOURCE)
    mine = record == "ExternalSecret/app" or (record is None and UID in uids)
    free = record is None and not uids and not have.get("data") and have["type"] == "Opaque"
    closed = metadata["labels"] or have["immutable"] or "old" in uids
    rival = any(owner.get("controller") and owner["uid"] != UID for owner in metadata["ownerReferences"])
    return not (mine or free) or bool(closed) or rival


@given(DESIRED, LIVE)
def test_no_foreign_secret_is_ever_written(want: Desired, have: dict[str, Any]) -> None:
    decision = decide(want, have)
    if is_foreign(have):
        assert not isinstance(decision, Write)
    if isinstance(decision, Write):
        assert decision.body["metadata"]["resourceVersion"] == "7"


@given(DESIRED, LIVE)
def test_a_key_that_is_not_ours_is_never_overwritten_nor_removed(want: Desired, have: dict[str, Any]) -> None:
    decision = decide(want, have)
    if not isinstance(decision, Write) or have["metadata"]["annotations"].get(KEYS) != "a":
        return
    theirs = set(have.get("data") or {}) - {"a"}
    assert not theirs & set(decision.body.get("data", {}))
    assert not theirs & set((decision.first or {}).get("data", {}))


@given(DESIRED)
def test_what_was_just_written_is_kept(want: Desired) -> None:
    decision = decide(want, None if want.claim is Claim.MAKE else live())
    assert isinstance(decision, Write)
    assert decide(want, applied(decision.body)) == Keep()
