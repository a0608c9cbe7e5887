"""Rebuild: what events made of a service's tables is made again beside them, compared, and put in their place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.events.consuming.ledger import Key
from trunkline.events.publishing.published import EventLog
from trunkline.events.rebuilding.comparison import TableComparison, compare
from trunkline.events.rebuilding.places import Place
from trunkline.events.rebuilding.shadow import Derived, Shadow
from trunkline.events.rebuilding.swap import SwapRefused, swap, written
from trunkline.events.topics import topic_of
from trunkline.storage import revision

ATTEMPTS = 8
"""Times the live database is waited for, or caught up with."""
WAIT_S = 0.5
"""Seconds between two."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A live database beside its shadow."""

    tables: list[TableComparison]
    """Table by table."""
    behind: int
    """Events that the live database has yet to apply, for all that was waited."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.behind and all(one.same for one in self.tables)


class Rebuild:
    """One rebuild of what events made of a service's database. Nothing of that is touched except by `swap`."""

    def __init__(
        self,
        derived: Derived,
        place: Place,
        log: EventLog,
        *,
        progress: Callable[[str, int], None] = lambda _topic, _events: None,
        clock: Clock = SYSTEM_CLOCK,
        wait_s: float = WAIT_S,
    ) -> None:
        """Makes an empty shadow.

        Args:
            derived: What is rebuilt.
            place: The live database, which has the tables of this release, and room for the shadow.
            log: Where the events are read.
            progress: Told, page by page, of which topic how many events were read.
            clock: Stamps rows.
            wait_s: Seconds between two looks at a live database that is behind.
        """
        self.shadow = Shadow(place, derived, clock=clock)
        """What is made."""
        self._derived = derived
        self._place = place
        self._log = log
        self._progress = progress
        self._clock = clock
        self._wait_s = wait_s
        with self._place.snapshot() as connection:
            self._migration = revision.current(connection)

    async def fill(self) -> None:
        """Applies all that was ever published to the shadow."""
        for topic in sorted({topic_of(message).name for message in self._derived.handlers}):
            read = 0
            async for page in self._log.all_of(topic):
                await asyncio.to_thread(self.shadow.apply, topic, page)
                read += len(page)
                self._progress(topic, read)

    async def compare(self) -> Comparison:
        """Compares, at one state of the live database: at the same events where it can be had, waiting a little.

        Raises:
            SwapRefused: the live database has applied what the publishers' logs do not hold.
        """
        for attempt in range(1, ATTEMPTS + 1):
            with self._place.snapshot() as live:
                positions = await asyncio.to_thread(self._positions, live)
                await self._catch_up(positions)
                behind = sum(max(0, number - positions.get(key, 0)) for key, number in self.shadow.positions.items())
                if not behind or attempt == ATTEMPTS:
                    tables = await asyncio.to_thread(self._compare, live)
                    return Comparison(tables, behind)
            await asyncio.sleep(self._wait_s)
        raise AssertionError("the last attempt returns")

    async def swap(self) -> None:
        """Puts the shadow in the place of the live tables, once it has caught up with them.

        Raises:
            SwapRefused: it did not, or the live database would lose what it has applied.
        """
        for _ in range(ATTEMPTS):
            with self._place.snapshot() as live:
                positions = await asyncio.to_thread(self._positions, live)
            await self._catch_up(positions)
            if await asyncio.to_thread(self._swap):
                return
        raise SwapRefused(f"the live database was ahead {ATTEMPTS} times: try again when less is going on")

    def close(self) -> None:
        """Closes the shadow."""
        self.shadow.close()

    async def _catch_up(self, positions: Mapping[Key, int]) -> None:
        shadow = self.shadow
        for (topic, key), number in positions.items():
            last = shadow.positions.get((topic, key), 0)
            if last >= number:
                continue
            async for page in self._log.of_key(topic, key, range(last + 1, number + 1)):
                await asyncio.to_thread(shadow.apply, topic, page)
            if shadow.positions.get((topic, key), 0) < number:
                raise SwapRefused(f"{topic} {key}: its publisher holds nothing up to {number}, which has been applied")

    def _compare(self, live: sa.Connection) -> list[TableComparison]:
        rebuilt = self.shadow.connection
        with rebuilt.begin():
            self._place.begin(rebuilt, writing=False)
            return [compare(live, rebuilt, table) for table in self._derived.rebuildable]

    def _swap(self) -> bool:
        now, positions = self._clock.now(), self.shadow.positions
        with self._place.alone(written(self._derived)) as connection:
            if revision.current(connection) != self._migration:
                raise SwapRefused(f"{self._place.name} was migrated meanwhile: rebuild it with the release it is for")
            return swap(connection, self._derived, positions, now)

    def _positions(self, live: sa.Connection) -> dict[Key, int]:
        columns = self._derived.platform.consumer_position.c
        query = sa.select(columns.topic, columns.key, columns.number).where(
            columns.consumer_group == self._derived.group
        )
        return {(row.topic, row.key): row.number for row in live.execute(query)}
