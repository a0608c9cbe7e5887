"""Filling gaps: what a key waits for is asked of its publisher's log, and parked until its turn comes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import structlog

from trunkline.errors import ServiceError
from trunkline.events.consuming.failure import describe
from trunkline.events.consuming.ledger import Key

AT_ONCE = 100
"""Numbers asked for at once."""
AGAIN_S = 0.5
"""Longest wait until a publisher that did not answer is asked again, in seconds; it doubles with every try."""
CAP_S = 5.0
"""No wait is longer, in seconds: there are several tries while a key is patient."""
_log = structlog.get_logger("trunkline.events")


class GapSource(Protocol):
    """Gives what a key lacks: `published.PublishedLog` does, over calls to the publishers."""

    async def events(self, topic: str, key: str, numbers: range) -> Sequence[bytes]:
        """Envelopes of some numbers of a key, in their order; those that were never published are left out.

        Raises:
            ServiceError: the publisher does not answer.
        """
        ...


Park = Callable[[Key, Sequence[bytes]], Awaitable[None]]
"""Keeps events of a key until their turn comes."""


class GapFiller:
    """Asks for what is missing, beside the consumer: it never waits for a publisher, and no topic for another's."""

    def __init__(self, log: GapSource, park: Park, topics: Iterable[str]) -> None:
        self._topics = {topic: _TopicGaps(topic, log, park) for topic in topics}

    @property
    def filled(self) -> int:
        """Events that publishers gave."""
        return sum(gaps.filled for gaps in self._topics.values())

    def ask(self, key: Key, numbers: range) -> None:
        """Wants numbers of a key; the last word on a key holds."""
        self._topics[key[0]].ask(key, numbers)

    async def run(self) -> None:
        """Asks until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for gaps in self._topics.values():
                group.create_task(gaps.run())


class _TopicGaps:
    """What is missing of one topic: one key after the other is asked for."""

    def __init__(self, topic: str, log: GapSource, park: Park) -> None:
        self.filled = 0
        self._topic = topic
        self._log = log
        self._park = park
        self._missing: dict[Key, range] = {}
        self._due = asyncio.Event()
        self._tries = 0

    def ask(self, key: Key, numbers: range) -> None:
        self._missing[key] = numbers
        self._due.set()

    async def run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            wanted, self._missing = self._missing, {}
            for key, numbers in list(wanted.items()):
                if not await self._fill(key, numbers):
                    break
                del wanted[key]
            if wanted:
                longest_s = min(CAP_S, AGAIN_S * 2 ** min(self._tries - 1, 10))
                await asyncio.sleep(random.uniform(longest_s / 2, longest_s))
                # Those that were settled meanwhile come as duplicates, which costs nothing.
                self._missing = {**wanted, **self._missing}
                self._due.set()

    async def _fill(self, key: Key, numbers: range) -> bool:
        """Whether there is no reason to ask again: who has none of them never will, and patience decides."""
        try:
            found = await self._log.events(*key, numbers[:AT_ONCE])
            if found:
                await self._park(key, found)
        except Exception as error:  # noqa: BLE001  whatever it is: keys wait for this, and are asked for again
            if not self._tries:
                text = str(error) if isinstance(error, ServiceError) else describe(error)
                _log.warning("missing events cannot be asked for", topic=self._topic, error=text)
            self._tries += 1
            return False
        self._tries = 0
        self.filled += len(found)
        return True
