"""What GetCart answers for long carts, kept in shared state, so that it is not priced anew every time.

The database decides: it is asked for the cart's version first, and only what was kept for that very version is given.
Whatever is missing, older, restored, written by somebody else or not to be had is computed from the database.
"""

from __future__ import annotations

import sys

from trunkline.errors import ServiceError
from trunkline.state.store import StateStore
from trunkline.state.write_behind import WriteBehind

from services.kernel.ids import TerminalId

KEPT_S = 10 * 3600.0
"""Seconds that an answer is kept: a day at the till."""
LONG = 8 * 1024
"""Characters of a cart's document from which its answer is kept: to compute a shorter one costs less than to ask."""
_VERSION_BYTES = 8


class CartViews:
    """Answers about carts, by version."""

    def __init__(self, state: StateStore | None) -> None:
        self.long = sys.maxsize if state is None else LONG
        """Documents shorter than this are not looked for."""
        self._state = state
        self._writing = WriteBehind(state, KEPT_S) if state is not None else None

    async def get(self, terminal_id: TerminalId, cart_id: str, version: int) -> bytes | None:
        """The answer for this version of a cart; None: compute it."""
        if self._state is None:
            return None
        try:
            found = await self._state.get(_key(terminal_id, cart_id))
        except ServiceError:
            return None
        if found is None or found.value[:_VERSION_BYTES] != version.to_bytes(_VERSION_BYTES):
            return None
        return found.value[_VERSION_BYTES:]

    def keep(self, terminal_id: TerminalId, cart_id: str, version: int, answer: bytes) -> None:
        """Keeps the answer for a version, soon and if that can be done."""
        if self._writing is not None:
            self._writing.put(_key(terminal_id, cart_id), version.to_bytes(_VERSION_BYTES) + answer)

    async def written(self) -> None:
        """Returns when nothing waits to be kept."""
        if self._writing is not None:
            await self._writing.written()

    async def close(self) -> None:
        """Ends it."""
        if self._writing is not None and self._state is not None:
            await self._writing.close()
            await self._state.close()


def _key(terminal_id: TerminalId, cart_id: str) -> str:
    return f"{terminal_id.tenant_id}/{cart_id}"
