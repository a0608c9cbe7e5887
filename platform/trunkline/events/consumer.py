"""A consumer: brings the events of its topics, in order per key and once each, to the handlers of one service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError
from trunkline.events.applying import Applying
from trunkline.events.event import Decoder, Handlers
from trunkline.events.outage import Outage, storage_away
from trunkline.events.pause import pause
from trunkline.events.redis import NEW, Link, RedisUnavailable
from trunkline.events.settling import BATCH, ConsumerCounts, Settling
from trunkline.events.shard import Entry, Shard
from trunkline.events.topics import DEFAULT_SHARDS, TopicError, topic_of
from trunkline.storage import Database, PlatformTables

READ = 64
"""Entries read of each stream at once."""
BLOCK_S = 1.0
"""Seconds a read waits for entries, and so the longest time until stop is noticed."""
LOOK_S = 5.0
"""Seconds between two looks at how many shards topics have, while events flow."""


class Consumer:
    """The group of one service. One runs on a database; its lock sees to that."""

    def __init__(
        self,
        database: Database,
        tables: PlatformTables,
        redis_url: str,
        *,
        group: str,
        handlers: Handlers,
        clock: Clock = SYSTEM_CLOCK,
        wake: Callable[[], None] | None = None,
        block_s: float = BLOCK_S,
    ) -> None:
        """Puts the parts together.

        Args:
            database: Where effects are; positions and inbox are committed with them.
            tables: The library's tables in it.
            redis_url: Where the streams are.
            group: The service: its consumer group, and the publisher of what its handlers publish.
            handlers: Message type → handler; the types say which topics are read.
            clock: Stamps rows, and measures patience with missing events.
            wake: Called after a commit in which a handler published: the relay's `wake`.
            block_s: Seconds a read waits for entries.

        Raises:
            TopicError: a type belongs to no topic, or to one that does not declare the group.
        """
        self._topics = sorted({_topic(group, message.DESCRIPTOR.full_name, message) for message in handlers})
        self._group = group
        self._reading = Link(redis_url, name=f"{group}-reader", block_s=block_s)
        self._control = Link(redis_url, name=f"{group}-consumer")
        self._decoder = Decoder(handlers)
        self._settling = Settling(database, Applying(tables, group), self._decoder, clock, wake)
        self._outage = Outage(f"{group} consumer")
        self._clock = clock
        self._shards = dict.fromkeys(self._topics, DEFAULT_SHARDS)
        self._looked = 0.0

    @property
    def counts(self) -> ConsumerCounts:
        """For metrics."""
        return self._settling.counts

    def next_due(self) -> datetime | None:
        """When a parked event is tried, or a missing one given up; None if nothing is parked."""
        return self._settling.next_due()

    async def check(self) -> None:
        """For health.

        Raises:
            RedisUnavailable: it cannot work.
        """
        await self._outage.check()

    async def run(self, stop: asyncio.Event) -> None:
        """Consumes until stop is set; the batch it is at is finished. To be stopped, not cancelled."""
        try:
            while not stop.is_set():
                try:
                    await self._work(stop)
                except (RedisUnavailable, ServiceError) as error:
                    if isinstance(error, ServiceError) and not storage_away(error):
                        raise
                    # Whatever is wrong, the event is not to blame: it is read again.
                    await pause(self._outage.failed(error), stop)
        finally:
            await self._reading.close()
            await self._control.close()

    async def _work(self, stop: asyncio.Event) -> None:
        await self._control.connect()
        await self._reading.connect()
        await self._look()
        shards = self._all_shards()
        await self._control.create_groups(self._group, shards)
        await self._settling.begin()
        await self._finish_own(shards, stop)
        while not stop.is_set():
            entries = await self._read_new(shards)
            await self._handle(entries, stop)
            await self._settling.settle_parked()
            self._outage.over()
            if (not entries or self._clock.monotonic() >= self._looked + LOOK_S) and await self._look():
                return

    async def _look(self) -> bool:
        """Asks how many shards the topics have; says whether that is news."""
        self._looked = self._clock.monotonic()
        found = {**self._shards, **await self._control.shards(self._topics)}
        changed, self._shards = found != self._shards, found
        return changed

    def _all_shards(self) -> list[Shard]:
        return [Shard(topic, number) for topic, count in self._shards.items() for number in range(count)]

    async def _finish_own(self, shards: Sequence[Shard], stop: asyncio.Event) -> None:
        """Settles what was given to this consumer before and not acknowledged, stream by stream in order."""
        after = dict.fromkeys(shards, "0")
        while after and not stop.is_set():
            entries = await self._control.read(self._group, self._group, after, count=READ)
            await self._handle(entries, stop)
            after = {entry.shard: str(entry.id) for entry in entries}

    async def _read_new(self, shards: Sequence[Shard]) -> list[Entry]:
        block_s = self._reading.block_s
        due = self.next_due()
        if due is not None:
            block_s = min(block_s, max(0.0, (due - self._clock.now()).total_seconds()))
        after = dict.fromkeys(shards, NEW)
        return await self._reading.read(self._group, self._group, after, count=READ, block_s=block_s)

    async def _handle(self, entries: Sequence[Entry], stop: asyncio.Event) -> None:
        for start in range(0, len(entries), BATCH):
            if start and stop.is_set():
                return
            await self._handle_batch(entries[start : start + BATCH])

    async def _handle_batch(self, entries: Sequence[Entry]) -> None:
        arrivals = [
            self._decoder.decode(entry.shard.topic, entry.data, entry=entry)
            for entry in entries
            if entry.data is not None
        ]
        if arrivals:
            await self._settling.settle(arrivals)
        # Every entry before these is settled too: streams are read in order, and own ones first.
        done = {
            shard: [entry.id for entry in group] for shard, group in groupby(entries, key=lambda entry: entry.shard)
        }
        await self._control.acknowledge(self._group, done)


def _topic(group: str, name: str, message: type) -> str:
    topic = topic_of(message)
    if group not in topic.groups:
        raise TopicError(f"{name}: topic {topic.name} does not declare the group {group}")
    return topic.name
