"""PINs as they are kept: slow salted hashes that nobody can read back."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

# Argon2id at the least OWASP's password storage cheat sheet allows: more costs a till's sign-in, and memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Pins:
    """Hashes and checks PINs, in one thread of its own: calls go on meanwhile.

    One, because every thread that ever hashed keeps the 19 MiB it needed.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pins")

    async def hash(self, pin: str) -> str:
        """The hash to keep of a PIN, with a salt of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _HASHER.hash, pin)

    async def matches(self, pin_hash: str | None, pin: str) -> bool:
        """Whether a hash is that of this PIN. Without a hash it takes as long, and it is not."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, _matches, pin_hash, pin)


@cache
def _nobody() -> str:
    return _HASHER.hash(secrets.token_hex())


def _matches(pin_hash: str | None, pin: str) -> bool:
    # Asked for in any case: the first call takes longer whoever is signed in.
    nobody = _nobody()
    try:
        return _HASHER.verify(pin_hash or nobody, pin) and pin_hash is not None
    except VerifyMismatchError:
        return False
