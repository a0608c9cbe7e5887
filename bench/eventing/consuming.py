"""A consumer with inbox, numbers and effects, beside bare sqlite3 and beside FastStream."""

from __future__ import annotations

import asyncio
import tempfile
import time
from itertools import count as counter
from pathlib import Path
from typing import Any

from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.events import Consumer, ConsumerTransaction, Event
from trunkline.events.consuming.settling import BATCH
from trunkline.events.topics import shards_name
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.storage.leases import Leases

from bench.eventing import plain, rival
from bench.eventing.feed import EFFECT, PLATFORM, TOPIC, client_of, envelopes, opened, pipelined

RIVAL_AT_ONCE = 64
"""Entries that FastStream reads at once; it was fastest with these, of 1, 64 and 256."""


def keep(tx: ConsumerTransaction, event: Event) -> None:
    """The effect: one row."""
    envelope = event.envelope
    total = event.message.total_with_tax_minor_units
    tx.add(EFFECT, {"key": envelope.key, "number": envelope.number, "total": total})


class Consuming:
    """Some events, consumed again and again: from full streams into empty databases."""

    def __init__(self, folder: Path, redis: EmbeddedRedis, *, count: int, terminals: int, shards: int) -> None:
        self.count = count
        """Events that are consumed each time."""
        # Of its own: in a database that another one has filled already, all of it would be duplicates.
        self._folder = Path(tempfile.mkdtemp(prefix="consuming-", dir=folder))
        self._redis, self._shards = redis, shards
        self._events = envelopes(count, terminals, shards)
        decoded = [Envelope.FromString(data) for _, data in self._events]
        self._rows = [plain.Row(one.topic, one.key, one.number, one.id, 600) for one in decoded]
        self._files = counter()

    async def consumed(self) -> float:
        """Events a second by our consumer."""
        async with client_of(self._redis.url) as client, opened(self._file()) as database:
            await client.flushall()
            await client.set(shards_name(TOPIC.name), self._shards)
            await pipelined(client, self._events, BATCH, publish=False)
            leases = Leases(database, PLATFORM)
            await leases.beat()
            consumer = Consumer(
                database, PLATFORM, self._redis.url, group=plain.GROUP, handlers={TransactionLog: keep}, leases=leases
            )
            return self.count / await self._until_applied(consumer, leases)

    async def _until_applied(self, consumer: Consumer, leases: Leases) -> float:
        stop = asyncio.Event()
        started = time.perf_counter()
        running = asyncio.create_task(consumer.run(stop))
        try:
            while consumer.counts.applied < self.count:
                await asyncio.sleep(0.001)
                if running.done():
                    await running
            return time.perf_counter() - started
        finally:
            stop.set()
            await running
            await leases.end()

    async def in_batches(self) -> float:
        """Events a second by sqlite3, as many in a transaction as our consumer takes."""
        return await self._plain(BATCH)

    async def one_by_one(self) -> float:
        """Events a second by sqlite3, one in a transaction."""
        return await self._plain(1)

    async def by_rival(self) -> float:
        """Events a second by FastStream."""
        payloads = [data for _, data in self._events]
        async with client_of(self._redis.url) as client:
            await client.flushall()
            await client.execute_command("XGROUP", "CREATE", rival.STREAM, "bench", "0", "MKSTREAM")
        return self.count / await rival.consume(self._redis.url, payloads, RIVAL_AT_ONCE)

    async def _plain(self, batch: int) -> float:
        file = self._file()
        plain.made(file)
        # In a thread, as ours: what else the loop does costs both alike.
        return self.count / await asyncio.to_thread(plain.write, file, self._rows, batch)

    def _file(self) -> Path:
        return self._folder / f"reader-{next(self._files)}.db"


def slice_of(way: Any) -> Any:
    """A way as a slice of a round: its number alone."""

    async def measured(_: Any) -> tuple[float]:
        return (await way(),)

    return measured
