"""Writes to a store that nobody waits for: what may be lost is kept when there is time, or not at all."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from trunkline.errors import ServiceError
from trunkline.state.store import StateStore

WAITING = 1000
"""Values that wait; beyond it the oldest are not written."""


class WriteBehind:
    """Puts values into a store, one after the other, the last one of each key."""

    def __init__(self, state: StateStore, ttl_s: float) -> None:
        self._state = state
        self._ttl_s = ttl_s
        self._waiting: OrderedDict[str, bytes] = OrderedDict()
        self._work: asyncio.Task[None] | None = None

    def put(self, key: str, value: bytes) -> None:
        """Puts a value there soon, if that can be done."""
        self._waiting[key] = value
        if len(self._waiting) > WAITING:
            self._waiting.popitem(last=False)
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._put())

    async def written(self) -> None:
        """Returns when nothing waits any more."""
        if self._work is not None:
            await asyncio.wait({self._work})

    async def close(self) -> None:
        """What still waits is not written."""
        self._waiting.clear()
        await self.written()

    async def _put(self) -> None:
        while self._waiting:
            key, value = self._waiting.popitem(last=False)
            try:
                await self._state.put(key, value, ttl_s=self._ttl_s)
            except ServiceError:
                # Written or not: whoever reads it asks the truth. While the store is away nothing is worth waiting.
                self._waiting.clear()
