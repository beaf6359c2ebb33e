"""``keyferry convert``: ExternalSecrets to the External Secrets Operator's manifests, and back from its AWS subset.

What has no counterpart is told on stderr, a line for each field, and nothing is printed unless ``--lossy``.

Exit codes: 0 converted, 1 something has no counterpart or is wrong, 2 could not start.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from typing import Any

from driver.cli import documents, externalsecrets
from driver.cli.documents import Document
from driver.cli.eso import backward, forward, stores
from driver.cli.eso.told import ESO_GROUP, Options, Told
from driver.errors import InvalidInput, KeyferryError
from driver.options import duration
from driver.sync import externalsecret

_ESO_KINDS = ("ExternalSecret", "SecretStore", "ClusterSecretStore")
_ANY_REGION = "us-east-1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("-f", "--file", required=True, metavar="FILE", help="YAML file with the objects; - is stdin")
    add("--to", choices=("eso", "kes"), help="eso: external-secrets.io, kes: kubernetes-client.io (default: the other)")
    add("--store", default="", metavar="NAME", help="name of the stores, further ones numbered (default: by content)")
    add("--store-kind", choices=("SecretStore", "ClusterSecretStore"), default="SecretStore", help="kind of the stores")
    add("--api-version", choices=("v1", "v1beta1"), default="v1", help="version of external-secrets.io (default: v1)")
    add("--region", metavar="REGION", help="region where an object names none (default: $AWS_REGION)")
    add(
        "--refresh-interval",
        type=duration,
        default=60.0,
        metavar="TIME",
        help="time between reads of kubernetes-client.io's objects without keyferry.dev/poll-interval (default: 1m)",
    )
    add("--lossy", action="store_true", help="print what can be converted, and exit 0, when something cannot be")


def main(args: argparse.Namespace) -> int:
    """Convert the objects of a file, and print them as YAML."""
    found = documents.objects(args.file)
    told = Told()
    options = Options(
        interval=args.refresh_interval,
        region=args.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", ""),
        store=args.store,
        store_kind=args.store_kind,
        version=args.api_version,
    )
    errors: list[str] = []
    way = _to_eso if _direction(found, args) == "eso" else _to_kes
    converted = way(found, options, told, errors)
    lost = [] if args.lossy and not errors else list(told.losses)
    _tell([f"note: {line}" for line in told.notes])
    _tell([*(f"lost: {line}" for line in told.losses), *errors])
    if lost or errors:
        hint = "correct what is wrong" if errors else "--lossy prints the rest without it"
        print(f"hint: nothing is printed: {hint}", file=sys.stderr)
        return 1
    print("---\n".join(map(documents.dump, converted)), end="")
    return 0


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        print(f"keyferry: {shown}", file=sys.stderr)


def _is_eso(one: Document) -> bool:
    return one.api_group == ESO_GROUP and one.kind in _ESO_KINDS


def _direction(found: list[Document], args: argparse.Namespace) -> str:
    theirs = any(one.kind == "ExternalSecret" and _is_eso(one) for one in found)
    ours = any(map(externalsecrets.is_ours, found))
    if not (ours if args.to == "eso" else theirs if args.to == "kes" else ours or theirs):
        raise InvalidInput(args.file, "there is no ExternalSecret to convert in it", "name a file that has one")
    if ours and theirs and not args.to:
        raise InvalidInput(args.file, "there are ExternalSecrets of both groups in it", "add --to eso or --to kes")
    return str(args.to or ("eso" if ours else "kes"))


def _note_others(found: Iterable[Document], told: Told) -> None:
    for one in found:
        cause = "it is no object to convert"
        told.note(f"{one.kind or 'object'}/{one.name}", cause, "it is left out of the output")


def _subject(one: Document) -> str:
    namespace = one.metadata.get("namespace")
    return f"{one.kind} {namespace}/{one.name}" if namespace else f"{one.kind} {one.name}"


def _to_eso(found: list[Document], options: Options, told: Told, errors: list[str]) -> list[dict[str, Any]]:
    planned = []
    for one in filter(externalsecrets.is_ours, found):
        try:
            plan = externalsecret.parse(one.value, region=options.region)
        except KeyferryError as error:
            errors += [f"{_subject(one)}: {line}" for line in str(error).splitlines()]
            continue
        planned.append(forward.Planned(plan, one.value, _subject(one)))
    _note_others((one for one in found if not externalsecrets.is_ours(one)), told)
    return forward.convert(planned, options, told)


def _to_kes(found: list[Document], options: Options, told: Told, errors: list[str]) -> list[dict[str, Any]]:
    theirs = [one for one in found if _is_eso(one)]
    _note_others((one for one in found if not _is_eso(one)), told)
    known = stores.stores((one.value for one in theirs if one.kind != "ExternalSecret"), told)
    converted = []
    for one in theirs:
        if one.kind != "ExternalSecret":
            continue
        try:
            made = backward.convert(one.value, known, _subject(one), options, told)
            externalsecret.parse(made, region=options.region or _ANY_REGION)
        except KeyferryError as error:
            errors += [f"{_subject(one)}: {line}" for line in str(error).splitlines()]
            continue
        converted.append(made)
    return converted
