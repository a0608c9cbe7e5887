"""The public keys that verify tokens: fetched when first needed, kept fresh while in use, remembered on disk."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import grpc
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from trunkline.auth.files import write_private
from trunkline.auth.tokens import ALGORITHM
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError, platform_error

REFRESH_S = 60.0
"""Least time between two fetches that succeed, in seconds."""
BACKOFF_BASE_S = 0.1
"""Wait after the first failed fetch; it doubles, in seconds."""
BACKOFF_CAP_S = 5.0
"""Longest of these waits, and each of them while there is a key, in seconds."""
WAIT_S = 1.0
"""Longest that a call waits for a key nobody here knows, while there are others, in seconds."""

_log = structlog.get_logger("trunkline.auth")


class PublicKey(Protocol):
    """A key as the identity service lists it (trunk.identity.v1.PublicKey)."""

    @property
    def key_id(self) -> str:
        """The `kid` of the tokens it verifies."""
        ...

    @property
    def algorithm(self) -> str:
        """The only algorithm it may be used with."""
        ...

    @property
    def public_key(self) -> bytes:
        """The raw key."""
        ...


Fetch = Callable[[], Awaitable[Sequence[PublicKey]]]
"""Asks the identity service for its keys; raises ServiceError when it does not answer."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, and the only algorithm it is used with."""

    key_id: str
    """The `kid` of the tokens it verifies."""
    raw: bytes
    """Its 32 bytes."""
    algorithm: str = ALGORITHM
    """What it is used with."""
    key: Ed25519PublicKey = field(init=False, repr=False, compare=False)
    """The key, ready for use."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", Ed25519PublicKey.from_public_bytes(self.raw))


class PublicKeys:
    """Every key this process verifies tokens with.

    A call whose key is known never waits. Fetches are a minute apart, whatever tokens arrive; those that fail are
    repeated sooner, with a growing wait while there is no key.
    """

    def __init__(self, fetch: Fetch, path: Path | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._fetch = fetch
        self._path = path
        self._clock = clock
        self._keys: Mapping[str, VerificationKey] = _read(path)
        self._failures = 0
        self._refreshing: asyncio.Task[None] | None = None
        self.next_fetch = clock.monotonic()
        """Instant (clock.monotonic) from which the keys may be fetched again."""
        self.version = 0
        """Rises when a key goes away: what was verified with it must be verified again."""

    async def find(self, key_id: str) -> VerificationKey | None:
        """The key of this id, or None if it verifies nothing now.

        Raises:
            ServiceError: UNAVAILABLE / KEYS_UNAVAILABLE while there is no key at all, and for an unknown key while the
                list cannot be had: it may be a new one.
        """
        if key_id in self._keys:
            self.refresh_if_due()
        elif self._running or self._clock.monotonic() >= self.next_fetch:
            await asyncio.wait({self._start()}, timeout=WAIT_S if self._keys else None)
        found = self._keys.get(key_id)
        if found is None and (not self._keys or self._failures):
            wait_s = max(0.0, self.next_fetch - self._clock.monotonic())
            code = grpc.StatusCode.UNAVAILABLE
            raise platform_error(code, "KEYS_UNAVAILABLE", "no public keys to verify tokens with", retry_after_s=wait_s)
        return found

    def refresh_if_due(self) -> None:
        """Starts fetching the keys again if the last time is a minute ago. Does not wait for them."""
        if self._clock.monotonic() >= self.next_fetch and not self._running:
            self._start()

    async def close(self) -> None:
        """Ends a running fetch."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})

    @property
    def _running(self) -> bool:
        return self._refreshing is not None and not self._refreshing.done()

    def _start(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            # Everybody waits for this one fetch: it must not run under the deadline of whoever came first.
            self._refreshing = asyncio.create_task(self._refresh(), context=Context())
        return self._refreshing

    async def _refresh(self) -> None:
        self._failures += 1
        growing_s = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(self._failures - 1, 10))
        self.next_fetch = self._clock.monotonic() + (BACKOFF_CAP_S if self._keys else growing_s)
        try:
            fetched = _usable(await self._fetch())
        except (ServiceError, OSError) as error:
            if self._failures == 1:
                # Told once an outage: it is tried again every few seconds.
                _log.warning("public keys not refreshed", error=str(error), kept=sorted(self._keys))
            return
        if not fetched:
            if self._failures == 1:
                _log.error("identity service lists no usable public key", kept=sorted(self._keys))
            return
        if self._failures > 1:
            _log.info("public keys refreshed again", failures=self._failures - 1)
        self._failures = 0
        self.next_fetch = self._clock.monotonic() + REFRESH_S
        if fetched != self._keys:
            await self._take(fetched)

    async def _take(self, fetched: Mapping[str, VerificationKey]) -> None:
        if any(fetched.get(key_id) != key for key_id, key in self._keys.items()):
            self.version += 1
        self._keys = fetched
        if self._path is None:
            return
        try:
            await asyncio.to_thread(write_private, self._path, _encode(fetched.values()))
        except OSError as error:
            _log.warning("public keys not kept on disk", error=str(error))


def _usable(listed: Iterable[PublicKey]) -> Mapping[str, VerificationKey]:
    keys: dict[str, VerificationKey] = {}
    for one in listed:
        try:
            if one.key_id and one.algorithm == ALGORITHM:
                keys.setdefault(one.key_id, VerificationKey(one.key_id, one.public_key))
        except ValueError:
            _log.warning("public key is not readable", key_id=one.key_id)
    return keys


def _encode(keys: Iterable[VerificationKey]) -> bytes:
    listed = [
        {"key_id": key.key_id, "algorithm": key.algorithm, "public_key": b64encode(key.raw).decode()} for key in keys
    ]
    return json.dumps({"keys": listed}, indent=1).encode()


def _read(path: Path | None) -> Mapping[str, VerificationKey]:
    if path is None:
        return {}
    try:
        listed = json.loads(path.read_bytes())["keys"]
        found = [VerificationKey(str(one["key_id"]), b64decode(one["public_key"]), one["algorithm"]) for one in listed]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        _log.warning("public keys on disk are not readable", error=str(error))
        return {}
    return {key.key_id: key for key in found if key.algorithm == ALGORITHM}
