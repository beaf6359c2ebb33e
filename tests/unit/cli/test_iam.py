from fnmatch import fnmatchcase
from typing import Any

import pytest

from driver.cli.iam import Facts, RolePolicies, partition, policies
from driver.errors import InvalidInput
from driver.spc import objects

ACCOUNT = "111122223333"
BOTH = ("sts:AssumeRole", "sts:TagSession")
READER = "arn:aws:iam::444455556666:role/reader"
KNOWN = Facts(ACCOUNT, "oidc.eks.eu-west-1.amazonaws.com/id/ABC", "shop", "app")


def made(text: str, facts: Facts = KNOWN, **parameters: str) -> list[RolePolicies]:
    given = {"region": "eu-west-1", "objects": text, **parameters}
    return policies(objects.parse(given, region=""), facts)


def allowed(document: object) -> dict[str, list[str]]:
    """Return the resources by action."""
    return {action: one["Resource"] for one in statements(document) for action in one["Action"]}


def statements(document: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["Statement"]
    return found


def secrets(*names: str, more: str = "") -> str:
    return "".join(f"- objectName: {name}\n  objectType: secretsmanager\n{more}" for name in names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            secrets("shop/db"),
            {"secretsmanager:GetSecretValue": [f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:shop/db-??????"]},
            id="a secret by name",
        ),
        pytest.param(
            secrets(f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:shop/db-AbC123"),
            {"secretsmanager:GetSecretValue": [f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:shop/db-AbC123"]},
            id="a secret by its ARN",
        ),
        pytest.param(
            secrets(f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:shop/db"),
            {"secretsmanager:GetSecretValue": [f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:shop/db-??????"]},
            id="a secret by an ARN without its random end",
        ),
        pytest.param(
            "- {objectName: /shop/a, objectType: ssmparameter}\n- {objectName: 'b:3', objectType: ssmparameter}",
            {"ssm:GetParameters": [f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/{name}" for name in ("b", "shop/a")]},
            id="parameters",
        ),
        pytest.param(
            "- {objectName: /shop/, objectType: ssmpath}",
            {
                "ssm:GetParametersByPath": [
                    f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/shop",
                    f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/shop/*",
                ]
            },
            id="parameters below a path",
        ),
        pytest.param(
            "- {objectName: /, objectType: ssmpath}",
            {
                "ssm:GetParametersByPath": [
                    f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/",
                    f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/*",
                ]
            },
            id="all parameters",
        ),
    ],
)
def test_exactly_what_is_read_is_allowed(text: str, expected: dict[str, list[str]]) -> None:
    (own,) = made(text)
    assert allowed(own.permissions) == expected


def test_a_name_matches_the_arn_that_aws_gives_it_and_no_longer_name() -> None:
    (own,) = made(secrets("shop/db"))
    (pattern,) = allowed(own.permissions)["secretsmanager:GetSecretValue"]
    assert fnmatchcase(f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:shop/db-AbC123", pattern)
    assert not fnmatchcase(f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:shop/db-prod-AbC123", pattern)


BATCH = "secretsmanager:BatchGetSecretValue"


@pytest.mark.parametrize(
    ("text", "facts", "batch"),
    [
        pytest.param(secrets("a", "b"), KNOWN, True, id="two secrets"),
        pytest.param(secrets("a", "b"), Facts(batch=False), False, id="told not to"),
        pytest.param(secrets("a"), KNOWN, False, id="one secret"),
        pytest.param(secrets("a", more="  objectVersionLabel: x\n") + secrets("b"), KNOWN, False, id="a label"),
        pytest.param(secrets("a") + secrets("b", more="  region: us-east-1\n"), KNOWN, False, id="two regions"),
    ],
)
def test_batches_are_allowed_where_keyferry_makes_them(text: str, facts: Facts, batch: bool) -> None:
    (own,) = made(text, facts)
    assert (allowed(own.permissions).get(BATCH) == ["*"]) is batch


def test_the_failover_region_is_allowed_too() -> None:
    (own,) = made(secrets("a"), failoverRegion="eu-central-1")
    found = allowed(own.permissions)["secretsmanager:GetSecretValue"]
    assert [arn.split(":")[3] for arn in found] == ["eu-central-1", "eu-west-1"]


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("eu-west-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-iso-east-1", "aws-iso"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
        ("", "aws"),
    ],
)
def test_the_region_tells_the_partition(region: str, expected: str) -> None:
    assert partition(region) == expected


def test_the_partition_is_that_of_every_arn() -> None:
    (own,) = made(secrets("a"), region="cn-north-1")
    assert f"arn:aws-cn:secretsmanager:cn-north-1:{ACCOUNT}:secret:a-??????" in str(own.permissions)
    assert f"arn:aws-cn:iam::{ACCOUNT}:oidc-provider/" in str(own.trust)


def test_irsa_trusts_one_service_account() -> None:
    (own,) = made(secrets("a"))
    provider = KNOWN.oidc_provider
    assert own.trust["Statement"] == [
        {
            "Sid": "ServiceAccount",
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{provider}"},
            "Action": ["sts:AssumeRoleWithWebIdentity"],
            "Condition": {
                "StringEquals": {
                    f"{provider}:aud": "sts.amazonaws.com",
                    f"{provider}:sub": "system:serviceaccount:shop:app",
                }
            },
        }
    ]


def test_pod_identity_trusts_eks_for_one_service_account() -> None:
    (own,) = made(secrets("a"), usePodIdentity="true")
    (statement,) = statements(own.trust)
    assert statement["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert statement["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-namespace"] == "shop"


def test_a_role_in_between_gets_the_rights_and_the_pods_role_may_assume_it() -> None:
    own, reader = made(secrets("a"), roleArn=READER, externalId="id-1")
    assert allowed(own.permissions) == {"sts:AssumeRole": [READER]}
    assert reader.role == READER
    assert allowed(reader.permissions) == {
        "secretsmanager:GetSecretValue": ["arn:aws:secretsmanager:eu-west-1:444455556666:secret:a-??????"]
    }
    (admitted,) = statements(reader.trust)
    assert admitted["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:role/<POD_ROLE>"}
    assert admitted["Condition"] == {"StringEquals": {"sts:ExternalId": "id-1"}}


def test_each_role_of_a_chain_may_assume_the_next() -> None:
    last = "arn:aws:iam::777788889999:role/last"
    own, reader, end = made(secrets("a"), roleArn=f"{READER},{last}", usePodIdentity="true")
    assert allowed(own.permissions) == {action: [READER] for action in BOTH}
    assert allowed(reader.permissions) == {action: [last] for action in BOTH}
    assert (end.role, list(allowed(end.permissions))) == (last, ["secretsmanager:GetSecretValue"])
    assert READER in str(end.trust)


def test_a_key_is_allowed_through_the_stores_alone() -> None:
    key = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234"
    text = secrets("a") + "- {objectName: b, objectType: ssmparameter}\n"
    (own,) = made(text, Facts(ACCOUNT, kms_keys=(key,)))
    statement = statements(own.permissions)[-1]
    assert (statement["Action"], statement["Resource"]) == (["kms:Decrypt"], [key])
    services = ["secretsmanager.eu-west-1.amazonaws.com", "ssm.eu-west-1.amazonaws.com"]
    assert statement["Condition"] == {"StringEquals": {"kms:ViaService": services}}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(secrets('"*"'), id="every secret"),
        pytest.param(secrets("shop/d?"), id="one letter"),
        pytest.param(secrets("arn:aws:secretsmanager:eu-west-1:*:secret:a-AbC123"), id="every account"),
        pytest.param("- {objectName: '/shop/*', objectType: ssmparameter}", id="every parameter"),
        pytest.param("- {objectName: '/${aws:username}', objectType: ssmpath}", id="a variable"),
        pytest.param(secrets("a", more='  roleArn: "arn:aws:iam::1:role/*"\n'), id="every role"),
    ],
)
def test_a_name_that_would_allow_more_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        made(text)


def test_what_is_not_known_is_a_placeholder_that_iam_refuses() -> None:
    plan = objects.parse({"objects": secrets("a")}, region="")
    (own,) = policies(plan, Facts())
    shown = str((own.permissions, own.trust))
    for placeholder in ("<ACCOUNT_ID>", "<REGION>", "<OIDC_PROVIDER>", "<NAMESPACE>", "<SERVICE_ACCOUNT>"):
        assert placeholder in shown


def test_the_order_of_objects_does_not_matter() -> None:
    assert made(secrets("a", "b", "c")) == made(secrets("c", "a", "b"))
