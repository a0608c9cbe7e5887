"""Filling gaps: what a key waits for is asked of its publisher's log, and parked until its turn comes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog

from trunkline.errors import ServiceError
from trunkline.events.ledger import Key

AT_ONCE = 100
"""Numbers asked for at once."""
AGAIN_S = 2.0
"""Seconds until a publisher that did not answer, or did not know, is asked again."""
_log = structlog.get_logger("trunkline.events")


class EventLog(Protocol):
    """What publishers have kept."""

    async def events(self, topic: str, key: str, numbers: range) -> Sequence[bytes]:
        """Envelopes of some numbers of a key, in their order; those that were never published are left out.

        Raises:
            ServiceError: the publisher does not answer.
        """
        ...


Park = Callable[[Key, Sequence[bytes]], Awaitable[None]]
"""Keeps events of a key until their turn comes."""


class GapFiller:
    """Asks for what is missing, one key after the other, beside the consumer: it never waits for a publisher."""

    def __init__(self, log: EventLog, park: Park) -> None:
        self.filled = 0
        """Events that publishers gave."""
        self._log = log
        self._park = park
        self._missing: dict[Key, range] = {}
        self._due = asyncio.Event()
        self._silent: set[str] = set()

    def ask(self, key: Key, numbers: range) -> None:
        """Wants numbers of a key; the last word on a key holds."""
        self._missing[key] = numbers
        self._due.set()

    async def run(self) -> None:
        """Asks until it is cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            wanted, self._missing = self._missing, {}
            again = {key: numbers for key, numbers in wanted.items() if not await self._fill(key, numbers)}
            if again:
                await asyncio.sleep(AGAIN_S)
                # Those that were settled meanwhile come as duplicates, which costs nothing.
                for key, numbers in again.items():
                    self._missing.setdefault(key, numbers)
                self._due.set()

    async def _fill(self, key: Key, numbers: range) -> bool:
        """Whether there is no reason to ask again."""
        topic = key[0]
        try:
            found = await self._log.events(*key, numbers[:AT_ONCE])
        except ServiceError as error:
            if topic not in self._silent:
                _log.warning("missing events cannot be asked for", topic=topic, error=str(error))
            self._silent.add(topic)
            return False
        self._silent.discard(topic)
        if not found:
            return True  # the publisher does not have them: patience decides
        await self._park(key, found)
        self.filled += len(found)
        return True
