"""The secret file of a service: what makes its fingerprints its own, and seals answers that hold secrets."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trunkline.storage.errors import DatabaseRefused

SECRET_BYTES = 32
"""Length of the secret."""
_NONCE_BYTES = 12


class Secret:
    """A random secret in a file of mode 0600, made when it is first needed.

    Without the file, stored fingerprints and sealed answers mean nothing any more.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

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
        except InvalidTag:
            return None

    @cached_property
    def _signing_key(self) -> bytes:
        return hmac.digest(self._content, b"fingerprint", hashlib.sha256)

    @cached_property
    def _cipher(self) -> AESGCM:
        return AESGCM(hmac.digest(self._content, b"seal", hashlib.sha256))

    @cached_property
    def _content(self) -> bytes:
        if not self._file.exists():
            self._make()
        mode = stat.S_IMODE(self._file.stat().st_mode)
        if mode & 0o077:
            raise DatabaseRefused(f"{self._file} can be read by others (mode {mode:04o}): run `chmod 600` on it")
        content = self._file.read_bytes()
        if len(content) != SECRET_BYTES:
            raise DatabaseRefused(f"{self._file} is not {SECRET_BYTES} bytes long: it is no secret of this service")
        return content

    def _make(self) -> None:
        # Written aside and renamed: after a crash the file is whole or not there.
        self._file.parent.mkdir(parents=True, exist_ok=True)
        aside = self._file.with_name(f"{self._file.name}.new")
        aside.unlink(missing_ok=True)
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(handle)
        aside.rename(self._file)
        directory = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
