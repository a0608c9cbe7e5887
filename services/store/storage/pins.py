"""PINs as they are kept: slow salted hashes that nobody can read back."""

from __future__ import annotations

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

# Argon2id at the least OWASP's password storage cheat sheet allows: more costs a till's sign-in, and memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
AT_ONCE = 2
"""Hashes computed at once: each takes a core, and 19 MiB."""


class Pins:
    """Hashes and checks PINs, in threads, so that calls go on meanwhile."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._nobody = _HASHER.hash(secrets.token_hex())

    async def hash(self, pin: str) -> str:
        """The hash to keep of a PIN, with a salt of its own."""
        async with self._slots:
            return await asyncio.to_thread(_HASHER.hash, pin)

    async def matches(self, pin_hash: str | None, pin: str) -> bool:
        """Whether a hash is that of this PIN. Without a hash it takes as long, and it is not."""
        async with self._slots:
            matched = await asyncio.to_thread(_matches, pin_hash or self._nobody, pin)
        return matched and pin_hash is not None


def _matches(pin_hash: str, pin: str) -> bool:
    try:
        return _HASHER.verify(pin_hash, pin)
    except VerifyMismatchError:
        return False
