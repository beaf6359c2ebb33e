"""Where AWS services are and how they are trusted: the SDK's standard variables and botocore's endpoint rules.

Only botocore's rule sets are loaded, for the services that are called: no client, no ``endpoints.json``, no service
model, which together would cost more memory than the rest of the process. Every service honours every setting, STS too.
"""

import re
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec

from driver.errors import InvalidInput
from driver.http.connections import Origin, Proxy
from driver.http.tls import client_context

ServiceId = Literal["secretsmanager", "ssm", "sts"]

_REGION = re.compile(r"(?![0-9]+$)(?!-)[a-zA-Z0-9-]{1,63}(?<!-)", re.ASCII)
_VARIABLES: Mapping[ServiceId, str] = {
    "secretsmanager": "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "ssm": "AWS_ENDPOINT_URL_SSM",
    "sts": "AWS_ENDPOINT_URL_STS",
}


class Endpoint(Origin, frozen=True):
    """Where a service of a region answers, and the region and service name to sign for."""

    path: str = "/"
    signing_region: str = ""
    signing_name: str = ""


@dataclass(frozen=True, slots=True)
class Sdk:
    """What the SDK's standard variables say (AWS SDKs and Tools Reference Guide, "Settings reference")."""

    endpoint_urls: Mapping[ServiceId, str] = field(default_factory=dict)
    fips: bool = False
    dual_stack: bool = False
    ca_bundle: str = ""
    global_sts: bool = False
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Proxy URL by ``http`` and ``https``; under ``no`` the list of hosts that are reached directly."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Sdk":
        """Return the settings of an environment."""
        every = environ.get("AWS_ENDPOINT_URL", "")
        urls = {service: environ.get(variable) or every for service, variable in _VARIABLES.items()}
        if _true(environ, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
            urls = {}
        return cls(
            endpoint_urls={service: url for service, url in urls.items() if url},
            fips=_true(environ, "AWS_USE_FIPS_ENDPOINT"),
            dual_stack=_true(environ, "AWS_USE_DUALSTACK_ENDPOINT"),
            ca_bundle=environ.get("AWS_CA_BUNDLE", ""),
            global_sts=environ.get("AWS_STS_REGIONAL_ENDPOINTS", "").lower() == "legacy",
            proxies=_proxies(environ),
        )


def _true(environ: Mapping[str, str], name: str) -> bool:
    return environ.get(name, "").lower() == "true"


def _proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what ``urllib.request.getproxies_environment`` would: lower case wins, no HTTP_PROXY inside a CGI."""
    found: dict[str, str] = {}
    for scheme in ("http", "https", "no"):
        upper = "" if scheme == "http" and "REQUEST_METHOD" in environ else environ.get(f"{scheme.upper()}_PROXY", "")
        value = environ.get(f"{scheme}_proxy", upper)
        if value:
            found[scheme] = value
    return found


class Endpoints:
    """Endpoints by service and region, and the TLS context for them. Lives as long as the process; thread-safe."""

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk
        self._lock = threading.Lock()
        self._rules: dict[ServiceId, Any] = {}
        self._known: dict[tuple[ServiceId, str], Endpoint] = {}
        self._context: ssl.SSLContext | None = None

    def of(self, service: ServiceId, region: str) -> Endpoint:
        """Return the endpoint of a service in a region. Raises InvalidInput for what can be no region."""
        known = self._known.get((service, region))
        if known is not None:
            return known
        endpoint = self._resolve(service, region)
        with self._lock:
            if len(self._known) < 1_000:  # regions come from manifests: their number is not ours to trust
                self._known[service, region] = endpoint
        return endpoint

    def _resolve(self, service: ServiceId, region: str) -> Endpoint:
        if _REGION.fullmatch(region) is None:
            raise InvalidInput(f"region {region[:64]!r}", "this can be no AWS region", "name one such as eu-west-1")
        configured = self._sdk.endpoint_urls.get(service)
        if configured:
            return self._endpoint(configured, region, service, _VARIABLES[service])
        url, signing_region = self._by_rules(service, region)
        return self._endpoint(url, signing_region, service, f"region {region}")

    def _by_rules(self, service: ServiceId, region: str) -> tuple[str, str]:
        """Return the URL and the region to sign for, as botocore's clients resolve them."""
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - slow to import: only when first needed

        given: dict[str, Any] = {
            "Region": region,
            "UseFIPS": self._sdk.fips,
            "UseDualStack": self._sdk.dual_stack,
        }
        if service == "sts":
            given["UseGlobalEndpoint"] = self._sdk.global_sts
        try:
            found = self._provider(service).resolve_endpoint(**given)
        except BotoCoreError:
            raise InvalidInput(
                f"region {region}",
                f"it has no endpoint for {service} with these settings",
                "check the region, AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT",
            ) from None
        schemes = found.properties.get("authSchemes") or [{}]
        return found.url, schemes[0].get("signingRegion", region)

    def _provider(self, service: ServiceId) -> Any:  # noqa: ANN401 - botocore publishes no types for it
        from botocore.endpoint_provider import EndpointProvider  # noqa: PLC0415 - slow to import
        from botocore.loaders import Loader  # noqa: PLC0415 - slow to import

        with self._lock:
            if service not in self._rules:
                loader = Loader()
                rules = loader.load_service_model(service, "endpoint-rule-set-1")
                self._rules[service] = EndpointProvider(rules, loader.load_data("partitions"))
            return self._rules[service]

    def _endpoint(self, url: str, region: str, service: str, source: str) -> Endpoint:
        direct = endpoint_of(url, source)
        proxy = self._proxy(_parts(url, source))
        return msgspec.structs.replace(direct, signing_region=region, signing_name=service, proxy=proxy)

    def _proxy(self, parts: SplitResult) -> Proxy | None:
        url = self._sdk.proxies.get(parts.scheme)
        if not url:
            return None
        from urllib import request  # noqa: PLC0415 - slow to import, and few have a proxy

        bypass = request.proxy_bypass_environment  # type: ignore[attr-defined]  # public, missing in typeshed
        if bypass(parts.netloc.rpartition("@")[2], dict(self._sdk.proxies)):
            return None
        return parse_proxy(url, f"{parts.scheme.upper()}_PROXY")

    def tls(self) -> ssl.SSLContext:
        """Return the context that all connections share: the CAs are loaded once. Raises InvalidInput."""
        with self._lock:
            if self._context is None:
                self._context = _context(self._sdk.ca_bundle)
            return self._context


def endpoint_of(url: str, source: str) -> Endpoint:
    """Return the endpoint at a URL, reached without a proxy. Raises InvalidInput naming ``source``."""
    parts = _parts(url, source)
    tls = parts.scheme == "https"
    path = quote(unquote(parts.path), safe="/~") or "/"
    return Endpoint(tls, str(parts.hostname), parts.port or (443 if tls else 80), path=path)


def parse_proxy(url: str, source: str) -> Proxy:
    """Return the proxy of a URL, which may carry a user and a password. Raises InvalidInput naming ``source``."""
    parts = _parts(url if "://" in url else f"http://{url}", source)
    if parts.scheme != "http":
        raise InvalidInput(source, "TLS to the proxy itself is not supported", "use a proxy address with http://")
    authorization = ""
    if parts.username:
        import base64  # noqa: PLC0415 - few have a proxy with a password

        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(pair.encode()).decode()
    return Proxy(str(parts.hostname), parts.port or 80, authorization)


def _parts(url: str, source: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise InvalidInput(source, "not a usable http:// or https:// address", "correct the variable")
    return parts


def _context(ca_bundle: str) -> ssl.SSLContext:
    if not ca_bundle:
        from botocore.httpsession import get_cert_path  # noqa: PLC0415 - slow to import

        ca_bundle = str(get_cert_path(verify=True))
    try:
        context = client_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError):
        raise InvalidInput("AWS_CA_BUNDLE", "no usable CA file", "name a readable file of PEM certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
