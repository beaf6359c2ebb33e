from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config

from driver.aws.session import Endpoints, Sdk, ServiceId, endpoint_of, parse_proxy
from driver.errors import InvalidInput
from driver.http.connections import Proxy

SERVICES: tuple[ServiceId, ...] = ("secretsmanager", "ssm", "sts")
every_service = pytest.mark.parametrize("service", SERVICES)


def endpoints(**environ: str) -> Endpoints:
    return Endpoints(Sdk.from_environment(environ))


@pytest.fixture(scope="module")
def session() -> boto3.Session:
    return boto3.Session("k", "s")


class Sent(Exception):
    """What a client was about to send."""

    def __init__(self, request: AWSPreparedRequest) -> None:
        super().__init__()
        self.request = request


def sent(session: Any, service: ServiceId, region: str, config: Config) -> AWSPreparedRequest:
    """Return the request that a botocore client would send."""

    def stop(request: AWSPreparedRequest, **_: object) -> None:
        raise Sent(request)

    client = session.client(service, region, config=config)
    client.meta.events.register("before-send", stop)
    calls: dict[ServiceId, Callable[[], object]] = {
        "secretsmanager": lambda: client.get_secret_value(SecretId="x"),
        "ssm": lambda: client.get_parameters(Names=["x"]),
        "sts": lambda: client.assume_role(RoleArn="arn:aws:iam::111122223333:role/x", RoleSessionName="xx"),
    }
    with pytest.raises(Sent) as caught:
        calls[service]()
    client.close()
    return caught.value.request


@every_service
@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1", "cn-north-1", "us-gov-west-1", "xx-new-9", "me-south-1"])
@pytest.mark.parametrize("fips", [False, True], ids=["", "fips"])
@pytest.mark.parametrize("dual", [False, True], ids=["", "dual-stack"])
def test_an_endpoint_is_that_of_a_botocore_client(
    service: ServiceId, region: str, fips: bool, dual: bool, session: Any
) -> None:
    config = Config(use_fips_endpoint=fips, use_dualstack_endpoint=dual, retries={"total_max_attempts": 1})
    theirs = sent(session, service, region, config)
    environ = {"AWS_USE_FIPS_ENDPOINT": str(fips), "AWS_USE_DUALSTACK_ENDPOINT": str(dual)}
    ours = endpoints(**environ).of(service, region)
    assert f"https://{ours.authority}{ours.path}" == theirs.url
    assert f"/{ours.signing_region}/{ours.signing_name}/".encode() in theirs.headers["Authorization"]


def test_the_global_sts_endpoint_is_signed_for_its_own_region() -> None:
    found = endpoints(AWS_STS_REGIONAL_ENDPOINTS="legacy").of("sts", "eu-west-1")
    assert (found.host, found.signing_region) == ("sts.amazonaws.com", "us-east-1")


@every_service
def test_one_address_can_serve_every_service(service: ServiceId) -> None:
    found = endpoints(AWS_ENDPOINT_URL="http://localhost:4566").of(service, "eu-west-1")
    assert (found.tls, found.authority, found.signing_region) == (False, "localhost:4566", "eu-west-1")


@pytest.mark.parametrize(
    ("service", "variable"),
    [
        ("secretsmanager", "AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        ("ssm", "AWS_ENDPOINT_URL_SSM"),
        ("sts", "AWS_ENDPOINT_URL_STS"),
    ],
)
def test_a_services_own_address_goes_first(service: ServiceId, variable: str) -> None:
    environ = {"AWS_ENDPOINT_URL": "http://all.test", variable: "https://own.test/some/path"}
    found = endpoints(**environ).of(service, "eu-west-1")
    assert (found.host, found.path) == ("own.test", "/some/path")


def test_configured_addresses_can_be_ignored() -> None:
    environ = {"AWS_ENDPOINT_URL": "http://all.test", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert endpoints(**environ).of("ssm", "eu-west-1").host == "ssm.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("region", ["", "eu west", "evil.test/", "a" * 64, "-x", "eu-west-1\r\nX: y", "é"])
def test_what_can_be_no_region_is_refused(region: str) -> None:
    with pytest.raises(InvalidInput, match="region"):
        endpoints().of("ssm", region)


@pytest.mark.parametrize("url", ["ftp://x", "localhost:4566", "http://", "http://x:port"])
def test_an_address_that_is_none_names_its_variable(url: str) -> None:
    with pytest.raises(InvalidInput, match="AWS_ENDPOINT_URL_STS"):
        endpoints(AWS_ENDPOINT_URL_STS=url).of("sts", "eu-west-1")


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({"HTTPS_PROXY": "http://p:3128"}, "p"),
        ({"https_proxy": "http://q:3128", "HTTPS_PROXY": "http://p:3128"}, "q"),
        ({"HTTP_PROXY": "http://p:3128"}, ""),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "amazonaws.com"}, ""),
        ({"HTTPS_PROXY": "http://p:3128", "no_proxy": "*"}, ""),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "elsewhere.test"}, "p"),
    ],
)
def test_scenario_17_a_proxy_is_found_as_everywhere(environ: Mapping[str, str], host: str) -> None:
    found = endpoints(**environ).of("sts", "eu-west-1").proxy
    assert (found.host if found else "") == host


def test_a_proxys_password_goes_into_its_header_and_nowhere_else() -> None:
    proxy = parse_proxy("http://user:pa%40ss@p:3128", "HTTPS_PROXY")
    assert proxy == Proxy("p", 3128, "Basic dXNlcjpwYUBzcw==")
    assert "dXNl" not in repr(proxy)


def test_tls_to_the_proxy_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="HTTPS_PROXY"):
        parse_proxy("https://p:3128", "HTTPS_PROXY")


def test_an_ipv6_address_keeps_its_brackets() -> None:
    assert endpoint_of("http://[fd00:ec2::23]", "agent").authority == "[fd00:ec2::23]"


def test_the_default_ca_bundle_loads_once() -> None:
    made = endpoints()
    assert made.tls() is made.tls()
    assert made.tls().get_ca_certs()


def test_a_ca_bundle_that_is_none_names_its_variable(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(InvalidInput, match="AWS_CA_BUNDLE"):
        endpoints(AWS_CA_BUNDLE=str(tmp_path / "ca.pem")).tls()


def test_regions_from_manifests_do_not_fill_the_memory() -> None:
    made = endpoints(AWS_ENDPOINT_URL="http://localhost")
    for n in range(1_200):
        assert urlsplit(f"http://{made.of('ssm', f'r-{n}').authority}").hostname == "localhost"
    assert len(made._known) == 1_000
