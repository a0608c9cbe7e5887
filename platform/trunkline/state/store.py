"""Short-lived state that processes share: what a store promises, whatever keeps it.

Nothing here is the truth about anything: every value has an end, and a store may lose all of them at any moment. What
it never does is to say "absent" because it could not look, or "done" because it did not hear.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

import grpc

from trunkline.errors import ServiceError, platform_error

Version = NewType("Version", bytes)
"""Names one write of one key, and no other ever. They have no order."""
VERSION_BYTES = 12
"""Length of a version."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A value that was found."""

    value: bytes
    """What was put there."""
    version: Version
    """Of the write that put it there."""


class StateStore(Protocol):
    """Values by key, each with an end. Every method is atomic, its time to live with it.

    All of them raise ServiceError, UNAVAILABLE of domain trunk: STATE_UNAVAILABLE where nothing was done or read, and
    STATE_UNKNOWN where a change may or may not have been made. Nothing is repeated inside.
    """

    async def get(self, key: str) -> Stored | None:
        """The value, or None: it is not there."""
        ...

    async def get_many(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Those of the values that are there, all of one moment."""
        ...

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> Version:
        """Puts a value there, whatever was; it ends after ttl_s."""
        ...

    async def create(self, key: str, value: bytes, *, ttl_s: float) -> Version | None:
        """Puts a value there if there is none; None: there is one."""
        ...

    async def replace(self, key: str, value: bytes, *, version: Version, ttl_s: float) -> Version | None:
        """Puts a value in the place of one version (compare and set); None: that one is not there any more."""
        ...

    async def delete(self, key: str) -> bool:
        """Takes a value away; says whether there was one."""
        ...

    async def close(self) -> None:
        """Ends what it has begun; it is not used afterwards."""
        ...


def new_version() -> Version:
    """One that no write has had: a counter would begin anew when a value has ended, and so name two of them alike."""
    return Version(secrets.token_bytes(VERSION_BYTES))


def ttl_ms(ttl_s: float) -> int:
    """Milliseconds that a value lives, at least one.

    Raises:
        ValueError: it would not live at all.
    """
    if not ttl_s > 0:
        raise ValueError("a value lives longer than no time")
    return max(1, round(ttl_s * 1000))


def state_unavailable(why: str) -> ServiceError:
    """Nothing was done, and nothing is known."""
    return platform_error(grpc.StatusCode.UNAVAILABLE, "STATE_UNAVAILABLE", f"shared state is not to be had: {why}")


def state_unknown(why: str) -> ServiceError:
    """A change was asked for, and nobody knows whether it was made."""
    return platform_error(
        grpc.StatusCode.UNAVAILABLE, "STATE_UNKNOWN", f"shared state may have been changed, or not: {why}"
    )
