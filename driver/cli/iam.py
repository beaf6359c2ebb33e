"""From what a class asks for to the least IAM policies that let a pod have it. Pure.

Follows the AWS pages "Service Authorization Reference" (Secrets Manager, Systems Manager, STS), "Condition keys for AWS
KMS", and of the EKS User Guide "Assign IAM roles to Kubernetes service accounts" and "Create IAM role with trust policy
required by EKS Pod Identity". What is not known is a placeholder in angle brackets, which IAM refuses.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from driver.errors import InvalidInput
from driver.model import AUDIENCES, AuthMethod, Role, SecretRef, Store
from driver.spc.plan import Plan

Document = dict[str, object]

PLACEHOLDERS = {
    "<ACCOUNT_ID>": "the AWS account (--account)",
    "<REGION>": "the region, which the class does not name (--region)",
    "<OIDC_PROVIDER>": "host and path of the cluster's OIDC provider (--oidc-provider): aws eks describe-cluster "
    "--name CLUSTER --query cluster.identity.oidc.issuer",
    "<NAMESPACE>": "the pod's namespace (--namespace)",
    "<SERVICE_ACCOUNT>": "the pod's service account (--service-account)",
    "<POD_ROLE>": "the name of the pod's own role",
}
"""What stands for a fact that was not given, and what it is."""

_PARTITIONS = {
    "cn": "aws-cn",
    "us-gov": "aws-us-gov",
    "us-iso": "aws-iso",
    "us-isob": "aws-iso-b",
    "us-isof": "aws-iso-f",
    "eu-isoe": "aws-iso-e",
    "eusc": "aws-eusc",
}
_SECRET = re.compile(r"[A-Za-z0-9/_+=.@-]+", re.ASCII)
_PARAMETER = re.compile(r"/|[A-Za-z0-9/_.-]+", re.ASCII)
_SECRET_ARN = re.compile(r"arn:[a-z0-9-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:[A-Za-z0-9/_+=.@-]+", re.ASCII)
_PARAMETER_ARN = re.compile(r"arn:[a-z0-9-]+:ssm:[a-z0-9-]+:\d{12}:parameter/[A-Za-z0-9/_.-]+", re.ASCII)
_ROLE_ARN = re.compile(r"arn:[a-z0-9-]+:iam::\d{12}:role/[A-Za-z0-9/_+=,.@-]+", re.ASCII)
_WHOLE = re.compile(r"-[A-Za-z0-9]{6}", re.ASCII)


class Facts(msgspec.Struct, frozen=True):
    """What a class does not tell. Empty texts become placeholders. ``batch``: with the right to read in batches."""

    account: str = ""
    oidc_provider: str = ""
    namespace: str = ""
    service_account: str = ""
    kms_keys: tuple[str, ...] = ()
    batch: bool = True


class RolePolicies(msgspec.Struct, frozen=True):
    """What one role needs. ``role`` is its ARN, empty for the pod's own."""

    role: str
    permissions: Document
    trust: Document


def partition(region: str) -> str:
    """Return the AWS partition of a region."""
    areas = sorted(_PARTITIONS, key=len, reverse=True)
    return next((_PARTITIONS[area] for area in areas if region.startswith(area + "-")), "aws")


def policies(plan: Plan, facts: Facts) -> list[RolePolicies]:
    """Return the policies of the pod's own role and of every role that it assumes for a class.

    Raises InvalidInput for a name that no secret, parameter or role can have: in a policy it could mean more.
    """
    refs = {ref: None for want in plan.wants for ref in (want.ref, want.failover) if ref}
    reads: dict[str, list[SecretRef]] = defaultdict(list)
    assumes: dict[str, set[str]] = defaultdict(set)
    trusts: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for ref in refs:
        holder = ""
        for role in ref.chain:
            _check_role(role)
            assumes[holder].add(role.arn)
            trusts[role.arn].add((holder, role.external_id))
            holder = role.arn
        reads[holder].append(ref)
    return [
        RolePolicies(
            role,
            _policy([*_reading(reads[role], facts), *_assuming(assumes[role], plan.method)]),
            _policy(_trusting(trusts[role], plan, facts) if role else [_own_trust(plan, facts)]),
        )
        for role in ["", *sorted(trusts)]
    ]


def _policy(statements: Sequence[Document]) -> Document:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(sid: str, actions: Iterable[str], resources: Iterable[str], condition: Document | None = None) -> Document:
    allowed: Document = {
        "Sid": sid,
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": sorted(set(resources)),
    }
    return allowed | ({"Condition": condition} if condition else {})


def _reading(refs: Sequence[SecretRef], facts: Facts) -> Iterator[Document]:
    secrets = [ref for ref in refs if ref.store is Store.SECRETS_MANAGER]
    parameters = [ref for ref in refs if ref.store is Store.PARAMETER]
    folders = [ref for ref in refs if ref.store is Store.PARAMETER_PATH]
    if secrets:
        yield _allow("ReadSecrets", ["secretsmanager:GetSecretValue"], (_secret_arn(ref, facts) for ref in secrets))
    # The calls that keyferry makes: only current values of one region and role go together
    together = Counter((ref.region, ref.chain) for ref in secrets if not ref.version and not ref.label)
    if facts.batch and together and max(together.values()) > 1:
        yield _allow("ReadSecretsInBatches", ["secretsmanager:BatchGetSecretValue"], ["*"])
    if parameters:
        yield _allow("ReadParameters", ["ssm:GetParameters"], (_parameter_arn(ref, facts) for ref in parameters))
    if folders:
        below = [arn for ref in folders for arn in _folder_arns(ref, facts)]
        yield _allow("ReadParametersBelowPaths", ["ssm:GetParametersByPath"], below)
    if facts.kms_keys and refs:
        yield _allow("Decrypt", ["kms:Decrypt"], facts.kms_keys, via_services(refs))


def via_services(refs: Iterable[SecretRef]) -> Document:
    """Return the condition that a key is used only through the stores that are read."""
    services = {("secretsmanager" if ref.store is Store.SECRETS_MANAGER else "ssm", _region(ref)) for ref in refs}
    names = {f"{service}.{region}.amazonaws.com" for service, region in services}
    # Not certain for the China regions: both forms are allowed there
    names |= {f"{name}.cn" for name in names if ".cn-" in name}
    return {"StringEquals": {"kms:ViaService": sorted(names)}}


def _region(ref: SecretRef) -> str:
    return ref.region or "<REGION>"


def _prefix(service: str, ref: SecretRef, facts: Facts) -> str:
    account = ref.chain[-1].arn.split(":")[4] if ref.chain else facts.account or "<ACCOUNT_ID>"
    return f"arn:{partition(ref.region)}:{service}:{_region(ref)}:{account}"


def _secret_arn(ref: SecretRef, facts: Facts) -> str:
    if not ref.name.startswith("arn:"):
        _check(_SECRET, ref, "secret")
        return f"{_prefix('secretsmanager', ref, facts)}:secret:{ref.name}-??????"
    _check(_SECRET_ARN, ref, "secret")
    # Secrets Manager takes an ARN without its six random characters too; IAM compares the whole one
    return ref.name if _WHOLE.fullmatch(ref.name[-7:]) else f"{ref.name}-??????"


def _parameter_arn(ref: SecretRef, facts: Facts) -> str:
    if ref.name.startswith("arn:"):
        _check(_PARAMETER_ARN, ref, "parameter")
        return ref.name
    _check(_PARAMETER, ref, "parameter")
    return f"{_prefix('ssm', ref, facts)}:parameter/{ref.name.removeprefix('/')}"


def _folder_arns(ref: SecretRef, facts: Facts) -> list[str]:
    arn = _parameter_arn(ref, facts)
    return [arn, f"{arn.rstrip('/')}/*"]


def _check(pattern: re.Pattern[str], ref: SecretRef, what: str) -> None:
    if pattern.fullmatch(ref.name) is None:
        cause = f"no {what} can have this name, and in a policy it could mean more than one"
        raise InvalidInput(ref.name if ref.name.isprintable() else f"a {what}", cause, "correct objectName")


def _check_role(role: Role) -> None:
    if _ROLE_ARN.fullmatch(role.arn) is None:
        raise InvalidInput("roleArn", "it is not the ARN of one role", "write arn:aws:iam::<account>:role/<name>")


def _assume_actions(method: AuthMethod) -> list[str]:
    # Session tags of Pod Identity are transitive: they go with every role that is assumed
    return ["sts:AssumeRole", "sts:TagSession"] if method is AuthMethod.POD_IDENTITY else ["sts:AssumeRole"]


def _assuming(roles: Iterable[str], method: AuthMethod) -> list[Document]:
    found = sorted(roles)
    return [_allow("AssumeRoles", _assume_actions(method), found)] if found else []


def _own_trust(plan: Plan, facts: Facts) -> Document:
    namespace = facts.namespace or "<NAMESPACE>"
    account = facts.service_account or "<SERVICE_ACCOUNT>"
    if plan.method is AuthMethod.POD_IDENTITY:
        return {
            "Sid": "PodIdentity",
            "Effect": "Allow",
            "Principal": {"Service": AUDIENCES[AuthMethod.POD_IDENTITY]},
            "Action": _assume_actions(plan.method),
            "Condition": {
                "StringEquals": {
                    "aws:RequestTag/kubernetes-namespace": namespace,
                    "aws:RequestTag/kubernetes-service-account": account,
                }
            },
        }
    provider = facts.oidc_provider or "<OIDC_PROVIDER>"
    owner = facts.account or "<ACCOUNT_ID>"
    return {
        "Sid": "ServiceAccount",
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:{partition(plan.region)}:iam::{owner}:oidc-provider/{provider}"},
        "Action": ["sts:AssumeRoleWithWebIdentity"],
        "Condition": {
            "StringEquals": {
                f"{provider}:aud": AUDIENCES[AuthMethod.IRSA],
                f"{provider}:sub": f"system:serviceaccount:{namespace}:{account}",
            }
        },
    }


def _trusting(holders: Iterable[tuple[str, str]], plan: Plan, facts: Facts) -> list[Document]:
    own = f"arn:{partition(plan.region)}:iam::{facts.account or '<ACCOUNT_ID>'}:role/<POD_ROLE>"
    return [
        _admit(number, holder or own, external_id, plan.method)
        for number, (holder, external_id) in enumerate(sorted(holders), start=1)
    ]


def _admit(number: int, holder: str, external_id: str, method: AuthMethod) -> Document:
    admitted: Document = {
        "Sid": f"Holder{number}",
        "Effect": "Allow",
        "Principal": {"AWS": holder},
        "Action": _assume_actions(method),
    }
    return admitted | ({"Condition": {"StringEquals": {"sts:ExternalId": external_id}}} if external_id else {})
