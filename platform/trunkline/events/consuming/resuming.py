"""Dead letters of events that an earlier release could not read, and that this one perhaps can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from trunkline.events.consuming.aside import Aside, Letter
from trunkline.events.consuming.ownership import Ownership
from trunkline.events.event import Arrival, Decoder
from trunkline.events.shard import Shard
from trunkline.events.unreadable import UNKNOWN_VALUE
from trunkline.storage import Database

PAGE = 256
"""Letters looked at together."""


class Resuming:
    """Finds them whenever a consumer begins."""

    def __init__(self, database: Database, aside: Aside, decoder: Decoder, ownership: Ownership) -> None:
        self._database = database
        self._aside = aside
        self._decoder = decoder
        self._ownership = ownership
        self._tried: set[Shard] = set()

    async def pages(self) -> AsyncIterator[list[Arrival]]:
        """Events of this process's shards that can be read now, or that may be read by their handlers.

        Only a handler knows whether it can do with a value, so those are tried once by each process.

        Raises:
            ServiceError: the database is away.
        """
        after = 0
        while letters := await self._database.read(partial(self._aside.unreadable, after=after, limit=PAGE)):
            after = letters[-1].id
            found = [arrival for letter in letters if (arrival := self._perhaps(letter)) is not None]
            if found:
                yield found
        self._tried |= self._ownership.owned

    def _perhaps(self, letter: Letter) -> Arrival | None:
        arrival = self._decoder.decode(letter.topic, letter.data)
        if arrival.refusal or not self._ownership.owns_key(*arrival.key):
            return None
        tried = letter.reason == UNKNOWN_VALUE and self._ownership.shard_of(*arrival.key) in self._tried
        return None if tried else arrival
