"""What the doctor says of the service accounts that values are read as."""

import pytest

from tests.clusterside import ROLE, Change, Site, account, external_secret, klass, user

BROKEN: dict[str, tuple[Change, str]] = {
    "no annotation": (
        lambda s: s.put(account(role="")),
        "problem: service account shop/app: it has no annotation eks.amazonaws.com/role-arn; pod app-1 cannot read",
    ),
    "no ARN": (
        lambda s: s.put(account(role="shop-role")),
        "problem: service account shop/app: its annotation eks.amazonaws.com/role-arn is not the ARN of a role",
    ),
    "no account": (
        lambda s: s.api.delete("serviceaccounts", "shop", "app"),
        "problem: service account shop/app: it does not exist; pod app-1 would be read as it",
    ),
    "of an ExternalSecret": (
        lambda s: s.put(external_secret(account="reader")),
        "problem: service account shop/reader: it does not exist; ExternalSecret/api would be read as it",
    ),
    "of a class that is synced": (
        lambda s: s.put(klass("two", synced="reader", secret="two"), account("reader", role="")),
        "problem: service account shop/reader: it has no annotation",
    ),
    "pod identity": (
        lambda s: s.put(klass(usePodIdentity="true")),
        "note: service account shop/app: it logs in by EKS Pod Identity, whose associations a cluster does not show",
    ),
    "the controller's own": (
        lambda s: s.put(account("keyferry-sync", role="", namespace="kube-system")),
        "note: service account kube-system/keyferry-sync: it logs in by EKS Pod Identity",
    ),
}


@pytest.mark.parametrize(("change", "found"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_wrong_with_an_identity_is_told(site: Site, change: Change, found: str) -> None:
    change(site)
    assert [line for line in site.told() if line.startswith(found)], site.told()


def test_an_association_is_looked_for_with_the_cli_of_aws(site: Site) -> None:
    site.put(klass(usePodIdentity="true"), account(role=""))
    (row,) = [row for row in site.rows() if row.level == "note"]
    command = "aws eks list-pod-identity-associations --cluster-name CLUSTER --namespace shop --service-account app"
    assert row.remedy == command


@pytest.mark.parametrize(
    "role", [ROLE, "arn:aws-cn:iam::111122223333:role/a/b", "arn:aws-us-gov:iam::111122223333:role/x"]
)
def test_roles_of_all_partitions_are_roles(site: Site, role: str) -> None:
    site.put(account(role=role))
    assert site.told() == []


def test_an_account_that_nobody_uses_is_nobodys_concern(site: Site) -> None:
    site.put(
        account("idle", role="nonsense"),
        account("done", role=""),
        user("job", phase="Succeeded", service_account="done"),
    )
    assert site.told() == []
