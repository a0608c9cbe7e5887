"""The secret file of a service: what makes its fingerprints its own, and seals answers that hold secrets."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trunkline.storage.errors import DatabaseRefused

SECRET_BYTES = 32
"""Length of the secret."""
_NONCE_BYTES = 12


class Secret:
    """A random secret in a file of mode 0600, which is made if it is not there.

    Without the file, stored fingerprints and sealed answers mean nothing any more.
    """

    def __init__(self, file: Path) -> None:
        """Reads the file.

        Raises:
            DatabaseRefused: others can read it, or it holds something else.
        """
        content = _content(file)
        self._signing_key = hmac.digest(content, b"fingerprint", hashlib.sha256)
        self._cipher = AESGCM(hmac.digest(content, b"seal", hashlib.sha256))

    def sign(self, content: bytes) -> bytes:
        """HMAC-SHA256 of content."""
        return hmac.digest(self._signing_key, content, hashlib.sha256)

    def seal(self, content: bytes, bound_to: bytes) -> bytes:
        """Encrypts content (AES-256-GCM), so that it opens only with the same bound_to."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes | None:
        """What was sealed, or None if it was sealed under another secret or bound to something else."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):  # the latter where there is not even a nonce
            return None


def _content(file: Path) -> bytes:
    if not file.exists():
        _make(file)
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        raise DatabaseRefused(f"{file} can be read by others (mode {mode:04o}): run `chmod 600` on it")
    content = file.read_bytes()
    if len(content) != SECRET_BYTES:
        raise DatabaseRefused(f"{file} is not {SECRET_BYTES} bytes long: it is no secret of this service")
    return content


def _make(file: Path) -> None:
    # Written aside and linked: after a crash the file is whole or not there, and the first of two makers wins.
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as written:
            written.write(secrets.token_bytes(SECRET_BYTES))
            written.flush()
            os.fsync(handle)
        with suppress(FileExistsError):
            file.hardlink_to(aside)
    finally:
        Path(aside).unlink()
    _keep_name(file.parent)


def _keep_name(directory: Path) -> None:
    # A name is durable once the directory itself is on disk.
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
