"""Secrets that people choose, as they are kept: slow salted hashes that nobody can read back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import grpc
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from trunkline.errors import platform_error

# Argon2id at the least OWASP's password storage cheat sheet allows: more costs a till's sign-in, and memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
MOST_WAITING = 32
"""Hashes that wait for the thread at once, about a second's work; more are turned away."""
RETRY_S = 1.0
"""Seconds after which one that was turned away may come back."""
T = TypeVar("T")


class SlowHashes:
    """Makes and checks hashes in one thread of its own: calls go on meanwhile.

    One, because every thread that ever hashed keeps the 19 MiB it needed, and a flood then takes one core at most.
    """

    def __init__(self, name: str) -> None:
        self.done = 0
        """Hashes made so far, to check or to keep; what a refusal costs can be counted by it."""
        self.waiting = 0
        """Hashes asked for and not made yet."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def hash(self, secret: str) -> str:
        """The hash to keep of a secret, with a salt of its own.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED / CONCURRENCY_LIMIT while too many wait.
        """
        return await self._run(self._made, _HASHER.hash, secret)

    async def matches(self, kept: str | None, secret: str) -> bool:
        """Whether a hash is that of this secret. Without a hash it takes as long, and it is not; raises as `hash`."""
        return await self._run(self._matches, kept, secret)

    async def _run(self, function: Callable[..., T], *arguments: object) -> T:
        if self.waiting >= MOST_WAITING:
            code, text = grpc.StatusCode.RESOURCE_EXHAUSTED, "too many secrets wait to be hashed"
            raise platform_error(code, "CONCURRENCY_LIMIT", text, retry_after_s=RETRY_S)
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
        finally:
            self.waiting -= 1

    def _made(self, function: Callable[..., T], *arguments: str) -> T:
        self.done += 1
        return function(*arguments)

    def _matches(self, kept: str | None, secret: str) -> bool:
        # Asked for in any case: the first call takes longer whoever is meant.
        nobody = _nobody()
        try:
            return self._made(_HASHER.verify, kept or nobody, secret) and kept is not None
        except VerifyMismatchError:
            return False


@cache
def _nobody() -> str:
    return _HASHER.hash(secrets.token_hex())
