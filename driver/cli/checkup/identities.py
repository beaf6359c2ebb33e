"""Service accounts that values are read as: whether they exist, and whether AWS can know them. Pure.

Amazon EKS User Guide, "IAM roles for service accounts" (the annotation) and "EKS Pod Identity" (an association at EKS,
which a cluster does not show).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

import msgspec

from driver.cli.checkup import programs
from driver.cli.checkup.facts import Facts
from driver.cli.checkup.programs import several
from driver.cli.checkup.row import Level, Row
from driver.cli.checkup.survey import Survey
from driver.model import AuthMethod

AREA = "identities"
ANNOTATION = "eks.amazonaws.com/role-arn"
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)


class _Use(msgspec.Struct):
    """As what an account is used, and by what."""

    methods: set[AuthMethod]
    users: list[str]


def check(facts: Facts, survey: Survey) -> Iterator[Row]:
    """Yield what is to be said of every service account in use."""
    if facts.accounts is None:
        return
    accounts = {(one.metadata.namespace, one.metadata.name): one.metadata.annotations for one in facts.accounts}
    looked = {namespace for namespace, _ in accounts} | {namespace for namespace, _ in survey.names}
    for (namespace, name), use in sorted(_uses(facts, survey).items()):
        if (namespace, name) in accounts:
            yield from _account(namespace, name, use, accounts[namespace, name])
        elif namespace in looked:
            cause = f"it does not exist; {several(use.users)} would be read as it"
            remedy = f"kubectl create serviceaccount -n {namespace} {name}, or correct the name"
            yield Row(Level.PROBLEM, AREA, f"service account {namespace}/{name}", cause, remedy)


def _uses(facts: Facts, survey: Survey) -> Mapping[tuple[str, str], _Use]:
    uses: dict[tuple[str, str], _Use] = defaultdict(lambda: _Use(set(), []))
    for pod in facts.users or ():
        namespace = pod.metadata.namespace
        for name in pod.class_names() if not pod.done else ():
            mounted = survey.classes.get((namespace, name))
            if mounted and mounted.plan:
                use = uses[namespace, pod.spec.service_account_name or "default"]
                use.methods.add(mounted.plan.method)
                use.users.append(f"pod {pod.metadata.name}")
    for one in survey.synced:
        if one.service_account and one.sync:
            use = uses[one.namespace, one.service_account]
            use.methods.add(one.sync.method)
            use.users.append(one.claim)
    own = [one for one in survey.synced if one.sync and not one.service_account]
    for workload in facts.deployments or () if own else ():
        spec = workload.spec.template.spec
        if programs.controller_of(spec):
            use = uses[workload.metadata.namespace, spec.service_account_name or "default"]
            use.methods.add(AuthMethod.AMBIENT)
            use.users += [one.claim for one in own]
    return uses


def _account(namespace: str, name: str, use: _Use, annotations: Mapping[str, str]) -> Iterator[Row]:
    subject, role = f"service account {namespace}/{name}", annotations.get(ANNOTATION, "")
    if AuthMethod.IRSA in use.methods and not role:
        cause = f"it has no annotation {ANNOTATION}; {several(use.users)} cannot read"
        remedy = "annotate it with its IAM role (keyferry policy prints the trust policy), or set usePodIdentity"
        yield Row(Level.PROBLEM, AREA, subject, cause, remedy)
    elif role and not _ROLE.fullmatch(role) and use.methods != {AuthMethod.POD_IDENTITY}:
        cause = f"its annotation {ANNOTATION} is not the ARN of a role"
        yield Row(Level.PROBLEM, AREA, subject, cause, "write arn:aws:iam::ACCOUNT:role/NAME")
    elif AuthMethod.IRSA in use.methods or (role and AuthMethod.AMBIENT in use.methods):
        yield Row(Level.OK, AREA, subject, f"has the role {role}", sums="service accounts: have a role")
    if AuthMethod.POD_IDENTITY in use.methods or (AuthMethod.AMBIENT in use.methods and not role):
        unused = ", and its role annotation is not used" if role else ""
        cause = f"it logs in by EKS Pod Identity, whose associations a cluster does not show{unused}"
        remedy = (
            "aws eks list-pod-identity-associations --cluster-name CLUSTER "
            f"--namespace {namespace} --service-account {name}"
        )
        yield Row(Level.NOTE, AREA, subject, cause, remedy)
