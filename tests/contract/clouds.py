"""AWS stand-ins that a contract holds against: moto's server, and our own fake. Each over real HTTP."""

import time
from collections.abc import Iterator
from typing import Any, Protocol

import boto3
import pytest
from moto.server import ThreadedMotoServer

from driver.aws.parameterstore import ParameterStore
from driver.aws.secretsmanager import SecretsManager
from driver.aws.session import Sdk
from driver.aws.transport import Transport
from driver.fanout import Fanout
from driver.http.connections import Timeouts
from driver.model import AuthMethod, Call, Credentials, Deadline, Principal, SecretRef, Store
from driver.resolve import Backend
from tests.fakeaws import FakeAws

REGION = "eu-west-1"
ROLE = "arn:aws:iam::111122223333:role/app"
PRINCIPAL = Principal(AuthMethod.IRSA, "shop", "app", "uid-app", ROLE)
OWN = Credentials("AKIATEST", "secret", "", 1e9, 0.0)
STORES = (Store.SECRETS_MANAGER, Store.PARAMETER)


class Cloud(Protocol):
    """What a contract needs of a stand-in."""

    url: str

    def put(self, store: Store, name: str, text: str) -> None:
        """Store a value, or a new version of it."""


class Moto:
    """moto's server; its arrangement is done with boto3, as a person would."""

    def __init__(self, url: str) -> None:
        self.url = url
        session = boto3.Session("AKIATEST", "secret", region_name=REGION)
        self._secrets = session.client("secretsmanager", endpoint_url=url)
        self._parameters = session.client("ssm", endpoint_url=url)

    def close(self) -> None:
        self._secrets.close()
        self._parameters.close()

    def put(self, store: Store, name: str, text: str) -> None:
        if store is Store.PARAMETER:
            self._parameters.put_parameter(Name=name, Value=text, Type="SecureString", Overwrite=True)
            return
        try:
            self._secrets.create_secret(Name=name, SecretString=text)
        except self._secrets.exceptions.ResourceExistsException:
            self._secrets.put_secret_value(SecretId=name, SecretString=text)


class Fake:
    """Our fake."""

    def __init__(self, fake: FakeAws) -> None:
        self.url = fake.url
        self.fake = fake

    def put(self, store: Store, name: str, text: str) -> None:
        (self.fake.world.put_parameter if store is Store.PARAMETER else self.fake.world.put)(name, text)


def moto_server() -> Iterator[ThreadedMotoServer]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server
    server.stop()


def transport(url: str, **more: Any) -> Transport:
    """Return a transport that finds every service at an address; it waits a tenth of the usual between attempts."""
    sdk = Sdk.from_environment({"AWS_ENDPOINT_URL": url})
    quick = {"timeouts": Timeouts(0.5, 0.5), "sleep": lambda seconds: time.sleep(seconds / 10)}
    return Transport(sdk, **{**quick, **more})


def backend(store: Store, made: Transport, fanout: Fanout) -> Backend:
    if store is Store.SECRETS_MANAGER:
        return SecretsManager(made, fanout)
    return ParameterStore(made, fanout)


def call(seconds: float = 10.0, credentials: Credentials = OWN) -> Call:
    return Call(PRINCIPAL, credentials, REGION, Deadline(seconds))


def refs(store: Store, *names: str, version: str = "", label: str = "") -> list[SecretRef]:
    return [SecretRef(store, name, REGION, version, label) for name in names]


every_store = pytest.mark.parametrize("store", STORES, ids=[store.value for store in STORES])
