"""State of one process: the specification of what a store does, and enough where nobody shares it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.state.store import Stored, Version, new_version, ttl_ms

SWEPT_FROM = 1024
"""Values below which those that have ended are not looked for."""


@dataclass(frozen=True, slots=True)
class _Entry:
    stored: Stored
    ends_at: float


class MemoryStore:
    """A StateStore in this process, for this process."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._sweep_at = SWEPT_FROM

    async def get(self, key: str) -> Stored | None:
        """The value, or None: it is not there."""
        return self._live(key)

    async def get_many(self, keys: Sequence[str]) -> dict[str, Stored]:
        """Those of the values that are there."""
        return {key: found for key in keys if (found := self._live(key)) is not None}

    async def put(self, key: str, value: bytes, *, ttl_s: float) -> Version:
        """Puts a value there, whatever was."""
        return self._write(key, value, ttl_s)

    async def create(self, key: str, value: bytes, *, ttl_s: float) -> Version | None:
        """Puts a value there if there is none."""
        return None if self._live(key) is not None else self._write(key, value, ttl_s)

    async def replace(self, key: str, value: bytes, *, version: Version, ttl_s: float) -> Version | None:
        """Puts a value in the place of one version."""
        found = self._live(key)
        return None if found is None or found.version != version else self._write(key, value, ttl_s)

    async def delete(self, key: str) -> bool:
        """Takes a value away; says whether there was one."""
        found = self._live(key)
        self._entries.pop(key, None)
        return found is not None

    async def close(self) -> None:
        """Forgets everything."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)

    def _live(self, key: str) -> Stored | None:
        entry = self._entries.get(key)
        return None if entry is None or entry.ends_at <= self._clock.monotonic() else entry.stored

    def _write(self, key: str, value: bytes, ttl_s: float) -> Version:
        ends_at = self._clock.monotonic() + ttl_ms(ttl_s) / 1000
        version = new_version()
        self._entries[key] = _Entry(Stored(value, version), ends_at)
        if len(self._entries) >= self._sweep_at:
            self._sweep()
        return version

    def _sweep(self) -> None:
        """Lets go of what has ended: nobody may ever ask for it again."""
        now = self._clock.monotonic()
        self._entries = {key: entry for key, entry in self._entries.items() if entry.ends_at > now}
        self._sweep_at = max(SWEPT_FROM, 2 * len(self._entries))
