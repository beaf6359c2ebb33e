"""The parameters beside ``objects``: regions, file naming, identity and roles (AWS provider 3.1.1 and our own)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import zip_longest

import msgspec

from driver.errors import InvalidInput
from driver.model import AuthMethod, Role
from driver.spc import goyaml
from driver.spc.fields import FALSE_WORDS, TRUE_WORDS, Problems, quoted

PARAMETERS = (
    "objects",
    "region",
    "failoverRegion",
    "pathTranslation",
    "usePodIdentity",
    "preferredAddressType",
    "roleArn",
    "externalId",
)

Refuse = Callable[[str, str], None]
"""Notes a problem: takes cause and remedy."""

_REGION_LIMIT = 63
_CHAIN_LIMIT = 5
_EXTERNAL_ID_SIGNS = frozenset("_+=,.@:/-")


class Settings(msgspec.Struct, frozen=True):
    """What holds for all objects. ``region`` is empty while it is unknown, ``failover_region`` when there is none."""

    region: str
    failover_region: str
    separator: str
    method: AuthMethod
    address_type: str
    chain: tuple[Role, ...]
    default_mode: int


def read(parameters: Mapping[str, str], region: str, default_mode: int, problems: Problems) -> Settings:
    """Read the parameters; ``region`` is the one to use when they name none."""
    for name in parameters:
        if name.lower() == "endpointurl":
            problems.add(name, "not a parameter", "set endpoints where keyferry runs: AWS_ENDPOINT_URL or its settings")
    primary = parameters.get("region", "") or region
    failover = parameters.get("failoverRegion", "")
    check_region(primary, partial(problems.add, "region"))
    check_region(failover, partial(problems.add, "failoverRegion"))
    if failover and failover == primary:
        cause = f"failover region cannot be the same as the primary region {quoted(primary)}"
        problems.add("failoverRegion", cause, "name another region or remove it")
    return Settings(
        region=primary,
        failover_region=failover,
        separator=_separator(parameters.get("pathTranslation", ""), problems),
        method=_method(parameters.get("usePodIdentity", ""), problems),
        address_type=_address_type(parameters.get("preferredAddressType", "")),
        chain=_top_chain(parameters, problems),
        default_mode=default_mode,
    )


def check_region(region: str, refuse: Refuse) -> None:
    """Note a region that cannot be one. It becomes part of a host name, so it has letters, digits and hyphens only."""
    if not region:
        return
    plain = region.isascii() and region.replace("-", "").isalnum() and not region.startswith("-")
    if not plain or len(region) > _REGION_LIMIT:
        refuse(f"{quoted(region)} is not the name of a region", "write a name such as eu-west-1")


def _separator(text: str, problems: Problems) -> str:
    if not text:
        return "_"
    if text.lower() == "false":
        return ""
    if len(text) > 1 or not text.isascii():
        cause = f"pathTranslation must be either 'False' or a single character string: {quoted(text)}"
        problems.add("pathTranslation", cause, "write 'False' or one ASCII character")
    # Kept slashes: a leading one could never be written
    return "" if text == "/" else text


def _method(text: str, problems: Problems) -> AuthMethod:
    if text and text not in TRUE_WORDS | FALSE_WORDS:
        cause = f"failed to parse usePodIdentity value {quoted(text)}"
        problems.add("usePodIdentity", cause, 'write "true" or "false"')
    return AuthMethod.POD_IDENTITY if text in TRUE_WORDS else AuthMethod.IRSA


def _address_type(text: str) -> str:
    # As the AWS provider: anything else is auto
    return text.lower() if text.lower() in {"ipv4", "ipv6"} else "auto"


def _top_chain(parameters: Mapping[str, str], problems: Problems) -> tuple[Role, ...]:
    roles = _listed("roleArn", parameters.get("roleArn", ""), problems)
    external_ids = _listed("externalId", parameters.get("externalId", ""), problems)
    return chain(roles, external_ids, partial(problems.add, "roleArn"))


def _listed(subject: str, text: str, problems: Problems) -> tuple[str, ...]:
    """Read a parameter that is one text or, starting with a bracket, a YAML list of texts."""
    if not text.lstrip().startswith("["):
        return (text.strip(),) if text.strip() else ()
    try:
        node = goyaml.load(text, subject)
    except InvalidInput as error:
        problems.take(error)
        return ()
    if isinstance(node, goyaml.Sequence) and all(isinstance(item, goyaml.Scalar) for item in node.items):
        return tuple(item.text for item in node.items if isinstance(item, goyaml.Scalar))
    problems.add(subject, "a list with entries that are not texts", "write texts, separated by commas")
    return ()


def chain(arns: Sequence[str], external_ids: Sequence[str], refuse: Refuse) -> tuple[Role, ...]:
    """Return the roles to assume, in order.

    One text may hold several ARNs, separated by commas. An external id belongs to the last role; as many of them as
    roles (a list, or separated by commas) belong to one role each, ``""`` in a list of texts to none.
    """
    roles = [arn.strip() for arn in arns[0].split(",")] if len(arns) == 1 else list(arns)
    ids = _one_each(external_ids, len(roles))
    for arn in roles:
        _check_role(arn, refuse)
    for external_id in filter(None, ids):
        _check_external_id(external_id, refuse)
    if len(ids) > len(roles):
        refuse("externalId without a role that it belongs to", "set as many externalId as roleArn")
    if len(roles) > _CHAIN_LIMIT:
        refuse(f"more than {_CHAIN_LIMIT} roles in a chain", "shorten it")
    missing = len(roles) - len(ids)
    return tuple(Role(arn, external) for arn, external in zip_longest(roles, [""] * missing + ids, fillvalue=""))


def _one_each(external_ids: Sequence[str], roles: int) -> list[str]:
    # A comma is a letter of external ids too: it separates only where that gives one for each role
    parts = external_ids[0].split(",") if len(external_ids) == 1 else []
    return [part.strip() for part in parts] if roles > 1 and len(parts) == roles else list(external_ids)


def _check_role(arn: str, refuse: Refuse) -> None:
    parts = arn.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "iam" or not parts[5].startswith("role/"):
        cause = f"{quoted(arn)} is not the ARN of a role"
        refuse(cause, "write arn:aws:iam::<account>:role/<name>, several separated by commas")


def _check_external_id(text: str, refuse: Refuse) -> None:
    known = text.isascii() and all(c.isalnum() or c in _EXTERNAL_ID_SIGNS for c in text)
    if not known or not 2 <= len(text) <= 1224:
        refuse("externalId is not one", "write 2 to 1224 letters, digits or signs of _+=,.@:/-")
