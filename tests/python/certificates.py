"""Valid and invalid certificates for the tests."""

from __future__ import annotations

import datetime
import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    import ssl

# Fixed for a whole run: the certificates are valid for one day before and after it.
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Credential:
    """A certificate chain and its private key, in PEM."""

    chain: bytes
    key: bytes

    @property
    def in_one(self) -> bytes:
        return self.key + self.chain

    def configure(self, context: ssl.SSLContext) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "credential.pem")
            path.write_bytes(self.in_one)
            context.load_cert_chain(path)


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA(organization_name="the tests' authority")


def authority_pem() -> bytes:
    return authority().cert_pem.bytes()


def issued(
    *names: str,
    issuer: trustme.CA | None = None,
    not_before: datetime.datetime | None = None,
    not_after: datetime.datetime | None = None,
) -> Credential:
    leaf = (issuer or authority()).issue_cert(*names, not_before=not_before, not_after=not_after)
    return Credential(b"".join(blob.bytes() for blob in leaf.cert_chain_pems), leaf.private_key_pem.bytes())


def self_signed(name: str, *, is_authority: bool | None = None, subject: x509.Name | None = None) -> Credential:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = subject or x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "self-signed")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    if is_authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    return Credential(certificate.public_bytes(serialization.Encoding.PEM), unencrypted(key))


def unencrypted(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def with_pass_phrase(key_pem: bytes, pass_phrase: bytes) -> bytes:
    key = serialization.load_pem_private_key(key_pem, None)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(pass_phrase),
    )
