"""Whom TLS trusts: the CAs it is given, also such as clusters and companies have; nobody else."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import driver
from driver.errors import Unavailable
from driver.http.tls import client_context
from driver.kube import Cluster, Kube
from driver.model import Deadline
from driver.sync.cluster import Api
from driver.sync.kinds import SECRETS


class Authority:
    """A CA without key usage and key identifiers, as EKS makes for its clusters."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
        self.certificate = self.sign(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=None))

    def sign(self, name: x509.Name, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType) -> bytes:
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(hours=1))
        made = made.not_valid_after(now + dt.timedelta(hours=1))
        for extension in extensions:
            made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def port(authority: Authority, tmp_path: Path) -> Iterator[int]:
    """A TLS server for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (tmp_path / "key").write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    (tmp_path / "crt").write_bytes(authority.sign(x509.Name([]), key.public_key(), names))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    ending = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        thread = threading.Thread(target=serve, args=(listening, context, ending))
        thread.start()
        yield listening.getsockname()[1]
        ending.set()
        thread.join(5)


def serve(listening: socket.socket, context: ssl.SSLContext, ending: threading.Event) -> None:
    while not ending.is_set():
        with suppress(OSError):  # nobody comes, or a client does not trust us
            connection, _ = listening.accept()
            with connection:
                context.wrap_socket(connection, server_side=True).close()


def connect(context: ssl.SSLContext, port: int, name: str = "127.0.0.1") -> None:
    with socket.create_connection(("127.0.0.1", port), 5) as plain, context.wrap_socket(plain, server_hostname=name):
        pass


def test_a_ca_without_key_usage_and_identifiers_is_trusted(authority: Authority, port: int) -> None:
    """Also on Python 3.13, whose own default is stricter."""
    connect(client_context(cadata=authority.certificate.decode()), port)


def test_another_name_is_not_trusted(authority: Authority, port: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(client_context(cadata=authority.certificate.decode()), port, "127.0.0.2")


def test_another_ca_is_not_trusted(port: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(client_context(cadata=Authority().certificate.decode()), port)


def test_a_cluster_that_is_not_trusted_is_told_by_both_doors(port: int) -> None:
    cluster = Cluster(f"https://127.0.0.1:{port}", client_context(cadata=Authority().certificate.decode()))
    with pytest.raises(Unavailable, match=r"the certificate of .* is not trusted"):
        Api(cluster).get(SECRETS, "shop", "s")
    kube = Kube(cluster)
    with pytest.raises(Unavailable, match=r"the certificate of .* is not trusted"):
        kube.role_arn("shop", "app", Deadline(5))
    kube.close()


def test_every_context_is_made_here() -> None:
    package = Path(driver.__file__).parent
    makers = [path for path in package.rglob("*.py") if "create_default_context" in path.read_text()]
    assert makers == [package / "http/tls.py"]
