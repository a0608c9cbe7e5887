"""The private keys that sign tokens: files of mode 0600 in a folder of their own, and what each is for by its age.

A key is listed, so that everybody can verify with it, before it signs; and it stays listed after the next one signs,
until the last token it signed has expired.
"""

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
from trunkline.auth.tokens import ALGORITHM, MAX_LIFETIME_S
from trunkline.auth.verifier import LEEWAY_S

LISTED_FIRST_S = 120.0
"""How long a key is listed before it signs, in seconds: everybody refreshes the list within a minute."""
LAST_TOKEN_S = MAX_LIFETIME_S + 2 * LEEWAY_S
"""How long a key is needed after the next one began to sign, in seconds: the life of a token, and for clocks that are
apart the leeway, once for whoever signs and once for whoever verifies."""

_TIME = "%Y%m%dT%H%M%SZ"
_FILE = re.compile(r"(\d{8}T\d{6}Z)-[0-9a-f]{8}\.pem")


class KeyFileRefused(Exception):
    """A file among the signing keys is none, or is open to others."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and what everybody may know of it."""

    key_id: str
    """The `kid` of its tokens; starts with the time it was made."""
    create_time: datetime
    """When it was made, to the second."""
    private_key: Ed25519PrivateKey = field(repr=False, compare=False)
    """The key itself."""
    algorithm: str = ALGORITHM
    """What it is used with."""

    @property
    def public_key(self) -> bytes:
        """Its public half: 32 bytes."""
        return self.private_key.public_key().public_bytes_raw()


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What a key is for at an instant."""

    key: SigningKey
    """The key."""
    state: str
    """`new`: listed, signs later; `signing`; `old`: verifies what it signed; `spent`: its last token has expired."""
    until: datetime | None
    """When that changes; None for the key that signs and for one that is spent."""


def make_key(directory: Path, now: datetime) -> SigningKey:
    """Makes a key, and its file."""
    create_time = now.astimezone(UTC).replace(microsecond=0)
    key = SigningKey(f"{create_time.strftime(_TIME)}-{secrets.token_hex(4)}", create_time, Ed25519PrivateKey.generate())
    pem = key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(key_file(directory, key.key_id), pem)
    return key


def key_file(directory: Path, key_id: str) -> Path:
    """The file of a key."""
    return directory / f"{key_id}.pem"


def key_paths(directory: Path) -> list[Path]:
    """Every file of the folder that has to be a key."""
    return sorted(directory.glob("*.pem")) if directory.exists() else []


def read_keys(directory: Path) -> list[SigningKey]:
    """All keys of the folder, newest first.

    Raises:
        KeyFileRefused: a file is open to others, or holds no key.
        OSError: a file cannot be read.
    """
    return sorted(map(_read, key_paths(directory)), key=lambda key: key.key_id, reverse=True)


def signing_key(keys: Sequence[SigningKey], now: datetime, listed_first_s: float = LISTED_FIRST_S) -> SigningKey:
    """Which of the keys, newest first, signs: the newest that everybody knows by now, else the oldest."""
    known = now - timedelta(seconds=listed_first_s)
    return next((key for key in keys if key.create_time <= known), keys[-1])


def uses(keys: Sequence[SigningKey], now: datetime, listed_first_s: float = LISTED_FIRST_S) -> list[KeyUse]:
    """What each of the keys, newest first, is for."""
    if not keys:
        return []
    signs, found, next_signs = signing_key(keys, now, listed_first_s), [], None
    for key in keys:
        begins = key.create_time + timedelta(seconds=listed_first_s)
        if key.key_id == signs.key_id:
            found.append(KeyUse(key, "signing", None))
        elif next_signs is None or now < next_signs:
            found.append(KeyUse(key, "new", begins))
        else:
            spent = next_signs + timedelta(seconds=LAST_TOKEN_S)
            found.append(KeyUse(key, "old", spent) if now < spent else KeyUse(key, "spent", None))
        next_signs = begins
    return found


def _read(path: Path) -> SigningKey:
    named = _FILE.fullmatch(path.name)
    if named is None:
        raise KeyFileRefused(f"{path} is no signing key: its name must be like 20260105T090000Z-0a1b2c3d.pem")
    if not is_private(path.stat().st_mode):
        raise KeyFileRefused(f"{path} is open to others: run `chmod 600` on it, and better replace the key")
    try:
        private_key = load_pem_private_key(path.read_bytes(), None)
        create_time = datetime.strptime(named[1], _TIME).replace(tzinfo=UTC)
    except (ValueError, TypeError) as error:
        raise KeyFileRefused(f"{path} holds no private key, or its name no time") from error
    if not isinstance(private_key, Ed25519PrivateKey):
        raise KeyFileRefused(f"{path} holds no Ed25519 key")
    return SigningKey(path.stem, create_time, private_key)
