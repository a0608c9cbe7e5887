"""The private keys that sign tokens: files of mode 0600 in a folder of their own, never in the database."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from trunkline.auth.files import is_private, write_private
from trunkline.auth.tokens import ALGORITHM, TokenSigner
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.storage import DatabaseRefused

LISTED_FIRST = timedelta(minutes=2)
"""How long a key is listed before it signs: everybody refreshes the list within a minute."""

_TIME = "%Y%m%dT%H%M%SZ"
_FILE = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}\.pem")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and what everybody may know of it."""

    key_id: str
    """The `kid` of its tokens; starts with the time it was made."""
    create_time: datetime
    """When it was made, to the second."""
    private_key: Ed25519PrivateKey = field(repr=False)
    """The key itself."""
    algorithm: str = ALGORITHM
    """What it is used with."""

    @property
    def public_key(self) -> bytes:
        """Its public half: 32 bytes."""
        return self.private_key.public_key().public_bytes_raw()


class SigningKeys:
    """All keys of the folder, newest first; read at start.

    To rotate, add a key file; after two minutes its key signs, and when the last token of the old one has expired,
    the old file may go.
    """

    def __init__(self, directory: Path, issuer: str, clock: Clock = SYSTEM_CLOCK) -> None:
        """Reads the keys, and makes the first one where there is none.

        Raises:
            DatabaseRefused: a key file is open to others, or holds no key.
        """
        self._issuer = issuer
        self._clock = clock
        paths = directory.glob("*.pem") if directory.exists() else ()
        keys = [_read(path) for path in paths] or [_make(directory, clock.now())]
        self._keys = sorted(keys, key=lambda key: key.key_id, reverse=True)

    async def listed(self) -> Sequence[SigningKey]:
        """The keys whose tokens are valid, newest first."""
        return self._keys

    def signer(self) -> TokenSigner:
        """Signs with the newest key that everybody knows by now."""
        known = self._clock.now() - LISTED_FIRST
        key = next((key for key in self._keys if key.create_time <= known), self._keys[-1])
        return TokenSigner(key.key_id, key.private_key, self._issuer, self._clock)


def _make(directory: Path, now: datetime) -> SigningKey:
    create_time = now.astimezone(UTC).replace(microsecond=0)
    key = SigningKey(f"{create_time.strftime(_TIME)}-{secrets.token_hex(4)}", create_time, Ed25519PrivateKey.generate())
    pem = key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(directory / f"{key.key_id}.pem", pem)
    return key


def _read(path: Path) -> SigningKey:
    named = _FILE.fullmatch(path.name)
    if named is None:
        raise DatabaseRefused(f"{path} is no signing key: its name must be like 20260105T090000Z-0a1b2c3d.pem")
    if not is_private(path.stat().st_mode):
        raise DatabaseRefused(f"{path} is open to others: run `chmod 600` on it, and better replace the key")
    try:
        private_key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise DatabaseRefused(f"{path} holds no private key") from error
    if not isinstance(private_key, Ed25519PrivateKey):
        raise DatabaseRefused(f"{path} holds no Ed25519 key")
    return SigningKey(path.stem, datetime.strptime(named[1], _TIME).replace(tzinfo=UTC), private_key)
