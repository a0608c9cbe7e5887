"""The shop's consumers on streams of the test's own: what is in those streams, and in which order, the test decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from redis.asyncio import Redis
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.events import Consumer
from trunkline.events.consuming.inbox import GAP_PATIENCE
from trunkline.events.shard import Shard
from trunkline.events.topics import DEFAULT_SHARDS, shard_of, topics_in
from trunkline.storage import Database, PlatformTables, SqliteDatabase
from trunkline.storage.leases import Leases
from trunkline.testing.clock import FakeClock

from services.stock.storage.tables import MOVEMENT, STOCK
from tests.faults.skew.consuming import SERVICES
from tests.golden.recorded import Rows, effects
from tests.trunkline.events.notes import running, until

BOUND_S = 30.0
"""Seconds a test waits for consumers."""


class Receiver:
    """A service as a consumer, on a file of its own."""

    def __init__(self, service: str, database: Database, url: str, clock: FakeClock) -> None:
        tables, handlers = SERVICES[service]
        self.service = service
        """Its name, and its group."""
        self.platform: PlatformTables = tables.PLATFORM
        """The library's tables."""
        self.database = database
        """Its file."""
        self.consumer = Consumer(
            database, self.platform, url, group=service, handlers=handlers,
            leases=Leases(database, self.platform), clock=clock, block_s=0.02,
        )  # fmt: skip
        topics = topics_in(message.DESCRIPTOR.file for message in handlers)
        self.topics = {name for name, topic in topics.items() if service in topic.groups}
        """What it reads."""

    async def effects(self) -> Rows:
        """What events made in its tables."""
        return await self.database.read(lambda connection: effects(connection, self.service))

    async def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        """All rows of a table."""
        query = sa.select(table).order_by(*table.primary_key)
        return await self.database.read(lambda connection: [dict(row) for row in connection.execute(query).mappings()])


class Receiving:
    """Report, journal and stock, which run."""

    def __init__(self, receivers: Iterable[Receiver], client: Redis, clock: FakeClock) -> None:
        self.receivers = {one.service: one for one in receivers}
        """By service."""
        self._client = client
        self._clock = clock
        self._used: dict[str, set[Shard]] = {service: set() for service in self.receivers}

    async def bring(self, *events: Envelope) -> None:
        """Adds entries in this order, and waits until everybody has taken them in."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for one in events:
                shard = Shard(one.topic, shard_of(one.key, DEFAULT_SHARDS))
                pipeline.xadd(shard.stream, {"e": one.SerializeToString()})
                for receiver in self.receivers.values():
                    if one.topic in receiver.topics:
                        self._used[receiver.service].add(shard)
            await pipeline.execute()
        await until(self._taken_in, BOUND_S)

    async def lose_patience(self) -> None:
        """Lets so much time pass that nothing is waited for any more; what is missing is a hole then."""
        self._clock.advance(GAP_PATIENCE.total_seconds() + 1)
        await until(lambda: all(one.consumer.next_due() is None for one in self.receivers.values()), BOUND_S)

    async def _taken_in(self) -> bool:
        return all([await self._has_all(service, shard) for service, used in self._used.items() for shard in used])

    async def _has_all(self, group: str, shard: Shard) -> bool:
        last = (await self._client.xinfo_stream(shard.stream))["last-generated-id"]
        groups = {one["name"]: one for one in await self._client.xinfo_groups(shard.stream)}
        mine = groups.get(group.encode())
        return mine is not None and (mine["last-delivered-id"], mine["pending"]) == (last, 0)


@asynccontextmanager
async def receiving(folder: Path, url: str, client: Redis) -> AsyncIterator[Receiving]:
    """Runs the three for the length of a block, with one clock that stands still."""
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        receivers = []
        for service, (tables, _) in SERVICES.items():
            database = SqliteDatabase(folder / f"{service}.db", tables.METADATA)
            await database.open()
            stack.push_async_callback(database.close)
            receivers.append(Receiver(service, database, url, clock))
        await stack.enter_async_context(running(*(one.consumer for one in receivers)))
        yield Receiving(receivers, client, clock)


def misled_stock(movements: Iterable[dict[str, Any]], stocks: Iterable[dict[str, Any]]) -> list[str]:
    """What is wrong with a stock that nobody moved by hand: it is what its movements come to, one after the other."""
    levels: dict[tuple[str, str, str], tuple[int, int]] = {}
    wrong = []
    for row in movements:
        place = (row["tenant_id"], row["store_code"], row["item_code"])
        number, level = levels.get(place, (0, 0))
        if (row["movement_no"], row["before"], row["after"]) != (number + 1, level, level + row["change"]):
            wrong.append(f"movement {row['movement_no']} of {place} does not follow {number}")
        levels[place] = (row["movement_no"], row["after"])
    kept = {
        (row["tenant_id"], row["store_code"], row["item_code"]): (row["movement_no"], row["quantity"]) for row in stocks
    }
    return wrong if kept == levels else [*wrong, f"{kept} is not what movements come to: {levels}"]


async def stock_is_right(stock: Receiver) -> None:
    """Asserts that stocks follow from their movements."""
    movements, stocks = await asyncio.gather(stock.rows(MOVEMENT), stock.rows(STOCK))
    assert misled_stock(movements, stocks) == []
