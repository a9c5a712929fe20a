"""Certificates for the servers of a test, and those of an authority that nobody trusts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

HOST = "localhost"
"""The name in the certificates; librdkafka does not compare addresses with them."""

VALID_FOR = timedelta(days=1)

MAY_SIGN = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class Certificates:
    """Files in PEM."""

    ca: Path
    """The authority that has signed `chain`."""
    other_ca: Path
    """One that has not."""
    key: Path
    chain: Path
    keystore: Path
    """Both, as Kafka reads them."""


def issue(folder: Path) -> Certificates:
    """A certificate for `HOST` and for no other name."""
    (authority, signs), (other, _) = _authority("of the test"), _authority("of somebody else")
    key = _key()
    made = _builder(HOST, authority.subject, key)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    of_whom = x509.AuthorityKeyIdentifier.from_issuer_public_key(signs.public_key())
    made = made.add_extension(of_whom, critical=False)
    chain = _pem(made.sign(signs, hashes.SHA256()))
    # Kafka reads a key in no other form.
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = {
        "ca": _pem(authority),
        "other_ca": _pem(other),
        "key": secret,
        "chain": chain,
        "keystore": secret + chain,
    }
    paths = {name: folder / f"{name}.pem" for name in files}
    for name, content in files.items():
        paths[name].write_bytes(content)
        paths[name].chmod(0o600 if name in {"key", "keystore"} else 0o644)
    return Certificates(**paths)


def _authority(name: str) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = _key()
    made = _builder(name, _named(name), key)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    made = made.add_extension(MAY_SIGN, critical=True)
    return made.sign(key, hashes.SHA256()), key


def _builder(name: str, issuer: x509.Name, key: rsa.RSAPrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID_FOR)
        .not_valid_after(now + VALID_FOR)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
