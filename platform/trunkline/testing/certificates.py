"""Certificates for tests of TLS: an authority, and what it signs, written where settings say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from trunkline.auth.files import write_private
from trunkline.tls import TlsFiles


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key.public_key(), days=10)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())
        self.pem = certificate.public_bytes(Encoding.PEM)
        """Its own certificate."""

    def issue(self, name: str, *others: str, days: int = 1) -> tuple[bytes, bytes]:
        """A certificate for a name, and others, and its key, both in PEM; with days below 0 it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.DNSName(one) for one in (name, *others)])
        builder = _builder(subject, self._name, key.public_key(), days=days).add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), pem


def write(
    directory: Path,
    name: str,
    authority: Authority,
    *trusted: Authority,
    also: Sequence[str] = (),
    days: int = 1,
) -> TlsFiles:
    """Writes a certificate for a name, its key, and the authorities to trust; over those that are there.

    Args:
        directory: where to.
        name: for whom.
        authority: signs it, and is trusted.
        trusted: trusted beside it.
        also: further names that it holds.
        days: that it is valid; below 0 it has expired.
    """
    certificate, key = authority.issue(name, *also, days=days)
    files = TlsFiles(*(directory / f"{name}.{kind}.pem" for kind in ("cert", "key", "ca")))
    write_private(files.key, key)
    write_private(files.certificate, certificate)
    write_private(files.authority, b"".join(one.pem for one in (authority, *trusted)))
    return files


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
    )
