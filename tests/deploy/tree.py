"""Questions that a Python of the image's tree answers, as ``python tree.py QUESTION``; the tests ask the full one too.

Answers are JSON. Nothing is imported but what is asked: in the tree there are no test tools.
"""

import itertools
import json
import sys
from collections.abc import Iterator

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader

from driver.aws.session import Endpoints, Sdk, ServiceId
from driver.errors import InvalidInput

SERVICES: tuple[ServiceId, ...] = ("secretsmanager", "ssm", "sts")
ASKED_BY_BOTO3 = ("sts", "sso", "sso-oidc", "signin")
BOTH = (False, True)


def regions() -> list[str]:
    """Return every region of every partition, and one that is not known yet."""
    partitions = Loader().load_data("partitions")["partitions"]
    known = [region for partition in partitions for region in partition["regions"]]
    return [*known, "eu-new-9"]


def endpoints() -> Iterator[tuple[str, str]]:
    """Yield each endpoint that keyferry can be told to use, by what it was told."""
    for fips, dual_stack, everywhere in itertools.product(BOTH, BOTH, BOTH):
        found = Endpoints(Sdk(fips=fips, dual_stack=dual_stack, global_sts=everywhere))
        for service, region in itertools.product(SERVICES, regions()):
            try:
                answer = repr(found.of(service, region))
            except InvalidInput as error:
                answer = str(error)
            yield f"{service} {region} fips={fips} dual={dual_stack} global={everywhere}", answer


def clients() -> Iterator[tuple[str, str]]:
    """Yield each endpoint of the clients that boto3 makes when it looks for credentials."""
    session = boto3.Session("AKIATEST", "secret")
    for fips, dual_stack in itertools.product(BOTH, BOTH):
        config = Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual_stack)
        for service, region in itertools.product(ASKED_BY_BOTO3, ("eu-west-1", "cn-north-1", "us-gov-west-1")):
            try:
                answer = session.client(service, region_name=region, config=config).meta.endpoint_url
            except BotoCoreError as error:
                answer = str(error)
            yield f"{service} {region} fips={fips} dual={dual_stack}", answer


QUESTIONS = {"endpoints": endpoints, "clients": clients}

if __name__ == "__main__":
    json.dump(dict(QUESTIONS[sys.argv[1]]()), sys.stdout)
