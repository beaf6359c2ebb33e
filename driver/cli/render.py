"""``keyferry render``: show the Secrets that ``keyferry sync`` would write, read with the caller's own credentials.

Parse, read and render are the controller's own; no cluster is asked, and nothing is written to one. Values are shown
as ``<N bytes>``: no base64, so that ``kubectl apply`` refuses a masked Secret instead of spoiling the real one.

Exit codes: 0 all Secrets shown, 1 something is wrong with an object or a value, 2 could not start.
"""

import argparse
import json
import os
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from driver.cli import documents, externalsecrets
from driver.errors import InvalidInput, KeyferryError, all_of
from driver.model import Access, AuthMethod, Deadline, Read, SecretRef
from driver.options import duration
from driver.resolve import Resolver
from driver.sync import externalsecret, secretproviderclass
from driver.sync.plan import SERVICE_ACCOUNT, Claim, Desired, Items, Mode, Reads, Rendering, SyncPlan
from driver.sync.render import render

_ORIGIN = "read from AWS with your own credentials: what the controller's identity may read was not tried"
_HINTS = {
    "INVALID_ARGUMENT": "keyferry lint {file} shows every problem of the file with its line",
    "UNAUTHENTICATED": "this was asked with your own credentials: does aws sts get-caller-identity work?",
    "PERMISSION_DENIED": "this was asked with your own credentials, not with those of the controller",
    "NOT_FOUND": "compare name, region and account with the store; a secret of another account is named by its ARN",
    "FAILED_PRECONDITION": "compare the stored value with what the object asks of it",
    "OUT_OF_RANGE": "a Secret holds at most 1 MiB",
}
_OTHER_HINT = "try again; AWS_ENDPOINT_URL, AWS_CA_BUNDLE and HTTPS_PROXY say how AWS is reached"


class Rendered(msgspec.Struct, frozen=True):
    """What became of one object; ``error`` is all that failed, None when nothing did."""

    claim: str
    plan: SyncPlan | None
    rendering: Rendering | None
    error: KeyferryError | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("-f", "--file", required=True, metavar="FILE", help="YAML file with the objects; - is stdin")
    add("--name", default="", metavar="NAME", help="only the objects of this name")
    add("--namespace", default="default", metavar="NS", help="namespace of objects that name none (default: default)")
    add("--region", metavar="REGION", help="region where the object names none (default: $AWS_REGION)")
    add(
        "--named-secrets",
        choices=[mode.value for mode in Mode],
        default=Mode.AUTO.value,
        help="what an ExternalSecret's data[].name can mean where no annotation says it (default: auto)",
    )
    add("--timeout", type=duration, default=60.0, metavar="TIME", help="longest wait for AWS (default: 60s)")
    add("--show-values", action="store_true", help="show the values too, as kubectl takes them")
    add("--output", choices=("text", "json"), default="text", help="YAML (default), or JSON with what failed")


def main(args: argparse.Namespace) -> int:
    """Show the Secrets of the objects of a file."""
    found = chosen(args)
    from driver.app.room import local_resolver  # noqa: PLC0415 - brings the AWS SDK; a wrong file needs none of it

    return show(found, local_resolver(os.environ), args)


def show(found: Iterable[documents.Document], resolver: Resolver, args: argparse.Namespace) -> int:
    """Show the Secrets of objects whose values are read by ``resolver`` as ``AuthMethod.AMBIENT``."""
    done = [_render(one, resolver, args) for one in found]
    if args.output == "json":
        print(json.dumps(_as_json(done, show=args.show_values), indent=2, ensure_ascii=False))
    else:
        _print_text(done, args)
    return 1 if any(one.error for one in done) else 0


def chosen(args: argparse.Namespace) -> list[documents.Document]:
    """Return the objects of the file that give Secrets. Raises InvalidInput when there are none."""
    ours = [one for one in documents.objects(args.file) if externalsecrets.is_ours(one) or _makes_secrets(one)]
    if not ours:
        cause = "there is neither an ExternalSecret nor a SecretProviderClass with secretObjects in it"
        raise InvalidInput(args.file, cause, "name a file that has one")
    found = [one for one in ours if args.name in {"", one.name}]
    if not found:
        names = ", ".join(one.name for one in ours)
        raise InvalidInput(args.file, f"there is no object {args.name!r} in it", f"choose one of: {names}")
    return found


def _makes_secrets(document: documents.Document) -> bool:
    spec = document.value.get("spec")
    ours = document.kind == secretproviderclass.KIND and document.api_group == secretproviderclass.API_GROUP
    if not ours or not isinstance(spec, Mapping):
        return False
    return spec.get("provider") in secretproviderclass.PROVIDERS and bool(spec.get("secretObjects"))


def _render(document: documents.Document, resolver: Resolver, args: argparse.Namespace) -> Rendered:
    source = _placed(document, args.namespace)
    metadata = source["metadata"]
    claim = f"{document.kind} {metadata['namespace']}/{document.name}"
    try:
        plan = _plan(document.kind, source, args)
    except KeyferryError as error:
        return Rendered(claim, None, None, error)
    rendering = render(plan, _reads(plan, resolver, Deadline(args.timeout)))
    return Rendered(claim, plan, rendering, rendering.error)


def _placed(document: documents.Document, namespace: str) -> dict[str, Any]:
    """Return an object with a namespace, and a class with the account that only the controller needs."""
    metadata = {"namespace": namespace, **document.metadata}
    if document.kind == secretproviderclass.KIND:
        annotations = metadata.get("annotations")
        given = annotations if isinstance(annotations, Mapping) else {}
        metadata["annotations"] = {SERVICE_ACCOUNT: "default", **given}
    return {**document.value, "metadata": metadata}


def _plan(kind: str, source: Mapping[str, Any], args: argparse.Namespace) -> SyncPlan:
    region = args.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")
    if kind == secretproviderclass.KIND:
        return secretproviderclass.parse(source, region=region)
    return externalsecret.parse(source, region=region, mode=Mode(args.named_secrets))


def _reads(plan: SyncPlan, resolver: Resolver, deadline: Deadline) -> Reads:
    """Return what came of each want, so that one that fails does not hide the others."""
    who = plan.origin
    access = Access(AuthMethod.AMBIENT, who.namespace, plan.service_account, "", plan.region, plan.failover_region)
    try:
        return resolver.resolve(access, plan.wants, deadline)
    except KeyferryError as error:
        if len(plan.wants) == 1:
            return {plan.wants[0].ref: error}
    found: dict[SecretRef, Read | KeyferryError] = {}
    for want in plan.wants:
        try:
            found.update(resolver.resolve(access, (want,), deadline))
        except KeyferryError as error:
            found[want.ref] = error
    return found


def _print_text(done: Iterable[Rendered], args: argparse.Namespace) -> None:
    shown = [(one, secret) for one in done for secret in _secrets(one)]
    if shown:
        print(f"# {_ORIGIN}" + ("" if args.show_values else "; values are masked, --show-values shows them"))
    for one, secret in shown:
        print(f"---\n# of {_printable(one.claim)}{_condition(secret)}")
        print(documents.dump(manifest(secret, one.plan, show=args.show_values)), end="")
    for one in done:
        for note in one.plan.notes if one.plan else ():
            print(f"keyferry: {_printable(f'{one.claim}: note: {note}')}", file=sys.stderr)
        for line in _lines(one.error):
            print(f"keyferry: {_printable(f'{one.claim}: {line}')}", file=sys.stderr)
    hint = _hint(done, args.file)
    if hint:
        print(f"hint: {hint}", file=sys.stderr)


def _condition(secret: Desired) -> str:
    return ": filled only where an empty Opaque Secret of this name exists" if secret.claim is Claim.FILL else ""


def _secrets(one: Rendered) -> Iterator[Desired]:
    """Yield the Secrets that would be written; a value that cannot fill another's Secret never is."""
    for secret in one.rendering.secrets if one.rendering else ():
        if not secret.flaw:
            yield secret


def _lines(error: KeyferryError | None) -> list[str]:
    return str(error).splitlines() if error else []


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _hint(done: Iterable[Rendered], file: str) -> str:
    errors = [one.error for one in done if one.error]
    if not errors:
        return ""
    return _HINTS.get(all_of(errors).gravest.code, _OTHER_HINT).format(file=file)


def manifest(secret: Desired, plan: SyncPlan | None, *, show: bool) -> dict[str, Any]:
    """Return a Secret for ``kubectl``, without the record and owner reference that the controller adds.

    Without ``show``, values are masked, and so are labels and annotations that a template makes of values.
    """
    template = plan.content.template if plan and isinstance(plan.content, Items) else None
    metadata: dict[str, Any] = {"name": secret.name, "namespace": secret.namespace}
    for field, texts, sources in (
        ("labels", secret.labels, template.labels if template else {}),
        ("annotations", secret.annotations, template.annotations if template else {}),
    ):
        if texts:
            open_ = show or not sources
            metadata[field] = {k: t if open_ or sources.get(k) == t else _mask(t.encode()) for k, t in texts.items()}
    data = {key: b64encode(value).decode() if show else _mask(value) for key, value in sorted(secret.data.items())}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": secret.type, "data": data}


def _mask(value: bytes) -> str:
    return f"<{len(value)} byte{'s' * (len(value) != 1)}>"


def _as_json(done: Iterable[Rendered], *, show: bool) -> dict[str, Any]:
    secrets = [
        {
            "object": one.claim,
            "onlyFills": secret.claim is Claim.FILL,
            "secret": manifest(secret, one.plan, show=show),
        }
        for one in done
        for secret in _secrets(one)
    ]
    problems = [{"object": one.claim, "problem": _printable(line)} for one in done for line in _lines(one.error)]
    return {
        "ok": not problems,
        "origin": _ORIGIN,
        "secrets": secrets,
        "items": [item for one in done for item in _items(one)],
        "problems": problems,
    }


def _items(one: Rendered) -> Iterator[dict[str, Any]]:
    for item in one.rendering.items if one.rendering else ():
        yield {"object": one.claim, "place": item.place, "key": item.key, "version": item.version, "ok": not item.error}
