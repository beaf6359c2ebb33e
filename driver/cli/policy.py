"""``keyferry policy``: print the least IAM policies for a class, ready to be pasted.

Exit codes: 0 printed, 1 the class is wrong, 2 the file cannot be read or an argument is wrong.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator

from driver.cli import source
from driver.cli.iam import PLACEHOLDERS, Facts, RolePolicies, policies
from driver.errors import InvalidInput, KeyferryError
from driver.model import AuthMethod
from driver.spc import objects
from driver.spc.plan import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("-f", "--file", required=True, metavar="FILE", help="YAML file with the SecretProviderClass; - is stdin")
    add("--class", dest="class_name", default="", metavar="NAME", help="the class, when the file has several")
    add("--account", default="", metavar="ID", help="AWS account of the pod's role, and of what is named without ARN")
    add("--region", default="", metavar="REGION", help="region, if the class names none")
    add("--namespace", default="", metavar="NS", help="namespace of the pods, for the trust policy")
    add("--service-account", default="", metavar="SA", help="service account of the pods, for the trust policy")
    add("--oidc-provider", default="", metavar="HOST/PATH", help="the cluster's OIDC provider, for the trust policy")
    add("--kms-key", action="append", default=[], metavar="ARN", help="customer managed key of the values; repeatable")
    add("--no-batch", action="store_true", help="without BatchGetSecretValue: more calls, the same files")
    add("--output", choices=("text", "json"), default="text", help="for people (default) or machines")


def main(args: argparse.Namespace) -> int:
    """Print the policies of every role that the class needs."""
    chosen = source.choose(args.file, args.class_name)
    facts = _facts(args)
    try:
        plan = objects.parse(chosen.parameters, region=args.region)
        found = policies(plan, facts)
    except KeyferryError as error:
        print("\n".join(f"keyferry: {line}" for line in str(error).splitlines()), file=sys.stderr)
        print(f"hint: keyferry lint {args.file} shows every problem of the file with its line", file=sys.stderr)
        return 1
    hints = list(_hints(found, plan, facts))
    print(_as_json(found, hints) if args.output == "json" else _as_text(found, hints))
    return 0


def _facts(args: argparse.Namespace) -> Facts:
    if args.account and re.fullmatch(r"\d{12}", args.account, re.ASCII) is None:
        raise InvalidInput("--account", "it is not the number of an AWS account", "write its 12 digits")
    provider = args.oidc_provider.rpartition(":oidc-provider/")[2].removeprefix("https://").rstrip("/")
    if provider and re.fullmatch(r"[A-Za-z0-9.-]+(/[A-Za-z0-9._/-]+)?", provider, re.ASCII) is None:
        raise InvalidInput("--oidc-provider", "it is no host and path", "write it as in the issuer, without https://")
    for key in args.kms_key:
        if re.fullmatch(r"arn:[a-z0-9-]+:kms:[a-z0-9-]+:\d{12}:key/[a-z0-9-]+", key, re.ASCII) is None:
            raise InvalidInput(
                "--kms-key", "it is not the ARN of a key", "write arn:aws:kms:<region>:<account>:key/<id>"
            )
    return Facts(
        account=args.account,
        oidc_provider=provider,
        namespace=args.namespace,
        service_account=args.service_account,
        kms_keys=tuple(args.kms_key),
        batch=not args.no_batch,
    )


def _hints(found: list[RolePolicies], plan: Plan, facts: Facts) -> Iterator[str]:
    text = json.dumps([[one.permissions, one.trust] for one in found])
    for placeholder, meaning in PLACEHOLDERS.items():
        if placeholder in text:
            yield f"replace {placeholder}: {meaning}"
    if "BatchGetSecretValue" in text:
        yield "BatchGetSecretValue knows no resources; it gives only what GetSecretValue allows. --no-batch omits it"
    if not facts.kms_keys:
        yield "values under a customer managed KMS key need kms:Decrypt too: add --kms-key ARN. aws/… keys need nothing"
    if plan.method is AuthMethod.POD_IDENTITY:
        yield "the conditions of the trust policy need the session tags that EKS adds unless they are disabled"
    for one in found:
        if one.role:
            yield f"{one.role}: add to the policies that it has; its account must allow the access"


def _as_text(found: list[RolePolicies], hints: list[str]) -> str:
    parts: list[str] = []
    for one in found:
        who = one.role or "the pod's role"
        parts += [f"# permissions of {who}", _indented(one.permissions)]
        parts += [f"# trust of {who}", _indented(one.trust)]
    return "\n".join([*parts, *(f"hint: {hint}" for hint in hints)])


def _as_json(found: list[RolePolicies], hints: list[str]) -> str:
    roles = [{"role": one.role or None, "permissions": one.permissions, "trust": one.trust} for one in found]
    return _indented({"roles": roles, "hints": hints})


def _indented(document: dict[str, object]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)
