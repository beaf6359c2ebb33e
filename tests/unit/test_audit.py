"""Audit records."""

import json

from driver import audit
from driver.model import Pod, Read, SecretRef, SecretValue, Source, Store
from driver.sync import plan

POD = Pod("shop", 'a"b', "u-1")


def records(*reads: Read) -> list[dict[str, str]]:
    text = audit.lines(audit.head(POD, "app", 0.5), audit.tails(reads))
    return [json.loads(line) for line in text.splitlines()]


def read(value: SecretValue, store: Store = Store.SECRETS_MANAGER) -> Read:
    return Read(SecretRef(store, "db", "eu-west-1"), value, Source.AWS, 0.0)


def test_a_record_says_who_what_when_and_never_the_value() -> None:
    (record,) = records(read(SecretValue(b"s3cret", "arn:db", "v1", "stamp", "r-1")))
    assert record == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "namespace": "shop",
        "pod": 'a"b',
        "uid": "u-1",
        "service_account": "app",
        "secret": "arn:db",
        "version": "v1",
        "source": "aws",
        "request_id": "r-1",
    }


def test_a_value_without_an_arn_is_told_by_name() -> None:
    assert records(read(SecretValue(b"", "", "7")))[0]["secret"] == "db"


def test_a_path_leaves_one_record_per_parameter() -> None:
    children = tuple((name, SecretValue(b"x", arn, "1")) for name, arn in (("a", "arn:a"), ("b", "")))
    found = records(read(SecretValue(b"", "", "1", children=children), Store.PARAMETER_PATH))
    assert [record["secret"] for record in found] == ["arn:a", "db/b"]


def test_nothing_read_leaves_nothing() -> None:
    assert records() == []


ORIGIN = plan.Origin("kubernetes-client.io/v1", "ExternalSecret", "shop", "db", "u-2")


def test_the_table_of_fields_is_that_of_the_records() -> None:
    """In the order in which they come."""
    ends = audit.tails([read(SecretValue(b"", "arn:db", "1"))])
    found = [json.loads(start + ends[0]) for start in (audit.head(POD, "", 0), audit.head_of_object(ORIGIN, "", 0))]
    assert set(found[0]) | set(found[1]) == set(audit.FIELDS)
    assert [list(record) for record in found] == [[f for f in audit.FIELDS if f in record] for record in found]


def test_a_record_of_the_sync_door_names_the_object() -> None:
    record = json.loads(audit.head_of_object(ORIGIN, "app", 0) + b"}")
    assert (record["kind"], record["namespace"], record["name"], record["service_account"]) == (
        "ExternalSecret",
        "shop",
        "db",
        "app",
    )
