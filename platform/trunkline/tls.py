"""TLS on both ends, from files that may change at any time: rotated certificates drop no call."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import grpc
import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from trunkline.clock import SYSTEM_CLOCK, Clock

_log = structlog.get_logger("trunkline.tls")


class TlsRefused(Exception):
    """The files are no certificate, key and authority that belong together; the text names the file."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Where a process's certificate, its key and the authority it trusts stand: PEM."""

    certificate: Path
    """The chain, leaf first. Its alternative names hold the name of the service."""
    key: Path
    """Private key of the leaf, not encrypted, mode 0600; what is open to others is warned of."""
    authority: Path
    """Certificates of the authorities that both ends trust; two of them while one is replaced."""


@dataclass(frozen=True, slots=True)
class Material:
    """What stood in the files at one moment, and belongs together."""

    certificate: bytes
    """PEM of the chain."""
    key: bytes
    """PEM of the key."""
    authority: bytes
    """PEM of the authorities."""

    def __repr__(self) -> str:
        return "Material()"

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Of a client: shows its certificate, and wants one of the authority."""
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)

    def server_configuration(self) -> grpc.ServerCertificateConfiguration:
        """Of a server, for one handshake."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.authority)


def read(files: TlsFiles) -> Material:
    """What stands in the files.

    Raises:
        TlsRefused: one cannot be read, or key and certificate are not of one pair: a rotation may be half done.
    """
    material = Material(*(_bytes(path) for path in (files.certificate, files.key, files.authority)))
    leaf = _certificate(files.certificate, material.certificate)
    _certificate(files.authority, material.authority)
    try:
        key = load_pem_private_key(material.key, None)
        ours = key.public_key() == leaf.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TlsRefused(f"{files.key} holds no private key in PEM that is not encrypted") from None
    if not ours:
        raise TlsRefused(f"{files.key} is not the key of the certificate in {files.certificate}")
    return material


def require_valid(files: TlsFiles, names: Iterable[str], now: datetime) -> None:
    """Lets only files pass with which all of the services can be called now.

    Raises:
        TlsRefused: as of read; or the certificate is not valid now, is of another authority, or lacks a name.
    """
    material = read(files)
    chain = x509.load_pem_x509_certificates(material.certificate)
    authorities = x509.load_pem_x509_certificates(material.authority)
    leaf = chain[0]
    since, until = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not since <= now < until:
        raise TlsRefused(f"the certificate in {files.certificate} is valid from {since} to {until}, and not now")
    if not any(_issued(one, by) for one in chain for by in authorities):
        raise TlsRefused(f"the certificate in {files.certificate} is not of the authority in {files.authority}")
    try:
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        held = x509.SubjectAlternativeName([])
    missing = sorted(set(names) - set(held.get_values_for_type(x509.DNSName)))
    if missing:
        text = f"the alternative names of the certificate in {files.certificate} lack {', '.join(missing)}"
        raise TlsRefused(f"{text}: one certificate serves them all here")


class TlsSource:
    """What stands in the files now: read again when one of them changes. A rotation that is half done is waited for."""

    def __init__(self, files: TlsFiles, clock: Clock = SYSTEM_CLOCK) -> None:
        """Reads the files.

        Raises:
            TlsRefused: they are none to begin with.
        """
        self._files = files
        self._clock = clock
        self._seen = self._marks()
        self._complaint = ""
        self.material = read(files)
        """What is in use."""
        self._warn()

    def look(self) -> bool:
        """Looks for changes; whether there is other material now."""
        marks = self._marks()
        if marks == self._seen:
            return False
        try:
            found = read(self._files)
        except TlsRefused as error:
            # Not taken as seen: the other half of the rotation may come without a new time on this file.
            if str(error) != self._complaint:
                _log.warning("certificates not renewed; the old ones stay in use", error=str(error))
            self._complaint = str(error)
            return False
        changed, self._seen, self._complaint = found != self.material, marks, ""
        if changed:
            self.material = found
            _log.info("certificates renewed")
            self._warn()
        return changed

    def _warn(self) -> None:
        """Tells of what is in use all the same: orchestrators mount keys as they do, and peers judge certificates."""
        key, certificate = self._files.key, self._files.certificate
        with suppress(OSError):
            if key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                _log.warning("the private key is open to others; its mode should be 0600", path=str(key))
        leaf, now = _certificate(certificate, self.material.certificate), self._clock.now()
        if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
            times = {"since": str(leaf.not_valid_before_utc), "until": str(leaf.not_valid_after_utc)}
            _log.warning("the certificate is not valid now; peers will refuse it", path=str(certificate), **times)

    def _marks(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_mark(path) for path in (self._files.certificate, self._files.key, self._files.authority))


def server_credentials(source: TlsSource) -> grpc.ServerCredentials:
    """Of a server: each handshake takes what the files hold by then, and wants a certificate of the authority."""
    last = source.material

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal last
        source.look()
        if source.material is last:
            return None
        last = source.material
        return last.server_configuration()

    first = source.material.server_configuration()
    make: Callable[..., grpc.ServerCredentials] = grpc.dynamic_ssl_server_credentials
    return make(first, fetch, require_client_authentication=True)


def _mark(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ino, found.st_size)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsRefused(f"{path}: {error.strerror}") from None


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _certificate(path: Path, content: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(content)[0]
    except (ValueError, IndexError):
        raise TlsRefused(f"{path} holds no certificate in PEM") from None
