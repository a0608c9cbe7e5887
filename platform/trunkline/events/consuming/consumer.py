"""A consumer: brings the events of its topics, in order per key and once each, to the handlers of one service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

import structlog

from trunkline import __version__
from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError
from trunkline.events.consuming.appetite import Appetite
from trunkline.events.consuming.applying import Applying
from trunkline.events.consuming.counts import ConsumerCounts
from trunkline.events.consuming.flow import Flow
from trunkline.events.consuming.gaps import GapFiller, GapSource
from trunkline.events.consuming.ledger import Key
from trunkline.events.consuming.ownership import Ownership
from trunkline.events.consuming.settling import Settling
from trunkline.events.event import Decoder, Handlers
from trunkline.events.pause import end, pause
from trunkline.events.shard import Entry, Shard
from trunkline.events.streams.link import NEW, Link, RedisUnavailable
from trunkline.events.streams.outage import Outage, storage_away
from trunkline.events.topics import DEFAULT_SHARDS, TopicError, topic_of
from trunkline.faultpoints import faultpoint
from trunkline.foreground import FOREGROUND, Foreground
from trunkline.storage import Database, PlatformTables
from trunkline.storage.leases import LeaseLost, Leases

BLOCK_S = 1.0
"""Seconds a read waits for entries, and so the longest time until stop is noticed."""
LOOK_S = 5.0
"""Seconds between two looks at how many shards topics have, and at what was left over, while events flow."""
PARKED_S = 5.0
"""Seconds spent on parked events at once, before what has come meanwhile has its turn."""
_log = structlog.get_logger("trunkline.events")


class Consumer:
    """The group of one service, in one of its processes. Each shard has one of them at a time for an owner."""

    def __init__(
        self,
        database: Database,
        tables: PlatformTables,
        redis_url: str,
        *,
        group: str,
        handlers: Handlers,
        leases: Leases,
        log: GapSource | None = None,
        version: str = __version__,
        clock: Clock = SYSTEM_CLOCK,
        wake: Callable[[], None] | None = None,
        block_s: float = BLOCK_S,
        foreground: Foreground = FOREGROUND,
    ) -> None:
        """Puts the parts together.

        Args:
            database: Where effects are; positions and inbox are committed with them.
            tables: The library's tables in it.
            redis_url: Where the streams are.
            group: The service: its consumer group, and the publisher of what its handlers publish.
            handlers: Message type → handler; the types say which topics are read.
            leases: This process's on the database: which shards are its own.
            log: Asked for events that are missing; without one they are waited for only.
            version: Release of the service, for dead letters.
            clock: Stamps rows, and measures patience with missing events.
            wake: Called after a commit in which a handler published: the relay's `wake`.
            block_s: Seconds a read waits for entries.
            foreground: Calls that batches yield to.

        Raises:
            TopicError: a type belongs to no topic, or to one that does not declare the group.
        """
        self._topics = sorted({_topic(group, message.DESCRIPTOR.full_name, message) for message in handlers})
        self._group = group
        self._database = database
        self._reading = Link(redis_url, name=f"{group}-reader", block_s=block_s)
        self._control = Link(redis_url, name=f"{group}-consumer")
        self._decoder = Decoder(handlers)
        self._leases = leases
        self._shards = dict.fromkeys(self._topics, DEFAULT_SHARDS)
        self._ownership = Ownership(leases, group, self._shards)
        self._applying = Applying(tables, group, version)
        self._gaps = GapFiller(log, self.park, self._topics) if log is not None else None
        self._settling = Settling(
            database,
            self._applying,
            self._decoder,
            self._ownership,
            clock,
            wake=wake,
            missing=self._gaps.ask if self._gaps is not None else lambda _key, _numbers: None,
        )
        self._flow = Flow(self._settling, self._decoder, self._acknowledge, clock, foreground)
        self.outage = Outage(f"{group} consumer", clock=clock)
        """Its way to Redis and to its database."""
        self._appetite = Appetite()
        self._clock = clock
        self._suspect = set[Shard]()
        """Taken from others, who may have died over what they were given; until that is settled."""
        self._looked = 0.0
        self._woken = asyncio.Event()
        self._woken.set()
        leases.watch(self.wake)

    @property
    def counts(self) -> ConsumerCounts:
        """For metrics."""
        return self._settling.counts

    @property
    def owned(self) -> frozenset[Shard]:
        """Shards that are this process's."""
        return self._ownership.owned

    def next_due(self) -> datetime | None:
        """When a parked event is tried, or a missing one given up; None if nothing is parked."""
        return self._settling.next_due()

    def wake(self) -> None:
        """Has it look for what was parked by others, and for shards; on the event loop."""
        self._woken.set()

    async def park(self, key: Key, events: Sequence[bytes]) -> None:
        """Keeps events of a key for the process that owns it, to be applied when it is their turn, and once.

        Raises:
            ServiceError: the database is away.
        """
        arrivals, now = [self._decoder.decode(key[0], data) for data in events], self._clock.now()
        await self._database.write(partial(self._applying.aside.park_all, arrivals=arrivals, now=now))
        self.wake()

    async def check(self) -> None:
        """For health.

        Raises:
            RedisUnavailable: it cannot work.
        """
        await self.outage.check()

    async def run(self, stop: asyncio.Event) -> None:
        """Consumes until stop is set; the batch it is at is finished. To be stopped, not cancelled."""
        filling = [asyncio.create_task(self._gaps.run())] if self._gaps is not None else []
        try:
            while not stop.is_set():
                try:
                    await self._work(stop)
                except LeaseLost:
                    _log.warning("shards are another process's now", group=self._group)
                    self._ownership.forget()
                    self._woken.set()
                except (RedisUnavailable, ServiceError) as error:
                    if isinstance(error, ServiceError) and not storage_away(error):
                        raise
                    # Whatever is wrong, the event is not to blame: it is read again.
                    await pause(self.outage.failed(error), stop)
        finally:
            await end(filling)
            await self._end()

    async def _end(self) -> None:
        try:
            await self._ownership.give_up()
        except ServiceError as error:
            _log.warning("shards were not given up: others have to wait", error=str(error))
        await self._reading.close()
        await self._control.close()

    async def _work(self, stop: asyncio.Event) -> None:
        await self._control.connect()
        await self._reading.connect()
        await self._look()
        await self._begin(self._ownership.owned, stop)
        self._woken.set()
        while not stop.is_set():
            if self._woken.is_set():
                self._woken.clear()
                await self._own(stop)
            if not self._ownership.owned:
                self.outage.over()
                await pause(BLOCK_S, stop, self._woken)
                continue
            entries = await self._read_new()
            await self._handle(entries, stop, go_on=True)
            await self._settle_parked(stop)
            self.outage.over()
            if (not entries or self._time_to_look) and await self._look(stop):
                return

    async def _own(self, stop: asyncio.Event) -> None:
        """Takes its share of the shards, and what others have parked for it."""
        before = self._ownership.owned
        taken = await self._ownership.update()
        if taken:
            self._suspect |= taken
            await self._begin(taken, stop)
        elif before != self._ownership.owned:
            await self._settling.begin()
        else:
            await self._settling.look()

    async def _begin(self, shards: Iterable[Shard], stop: asyncio.Event) -> None:
        shards = sorted(shards)
        if not shards:
            return
        await self._control.create_groups(self._group, shards)
        for shard in shards:
            claimed = await self._control.claim_from_others(self._group, shard)
            if claimed:
                _log.warning("took over what other consumers held", stream=shard.stream, entries=claimed)
        await self._settling.begin()
        suspect = self._suspect.intersection(shards)
        await self._finish_own(suspect, stop, tried=True)
        self._suspect -= suspect
        # These were this process's before: what it was given it has not finished, but nobody has died over it.
        await self._finish_own(set(shards) - suspect, stop, tried=False)
        await self._settle_parked(stop)

    async def _settle_parked(self, stop: asyncio.Event) -> None:
        until = self._clock.monotonic() + PARKED_S
        await self._settling.settle_parked(lambda: stop.is_set() or self._clock.monotonic() >= until)

    async def _look(self, stop: asyncio.Event | None = None) -> bool:
        """Asks how many shards the topics have; says whether that is news. With stop: finishes what was left over."""
        self._looked = self._clock.monotonic()
        found = {**self._shards, **await self._control.shards(self._topics)}
        changed, self._shards = found != self._shards, found
        if changed:
            self._ownership.resize(found)
        elif stop is not None:
            # A predecessor's read that was on its way when its lease ended, or entries that could not be acknowledged.
            await self._finish_own(self._ownership.owned, stop, tried=False)
            await self._settling.look()
        return changed

    async def _finish_own(self, shards: Iterable[Shard], stop: asyncio.Event, *, tried: bool) -> None:
        """Settles what was given to this group before and not acknowledged, stream by stream in order."""
        after = dict.fromkeys(sorted(shards), "0")
        while after and not stop.is_set():
            entries = await self._read(self._control, after)
            self.counts.redelivered += len(entries)
            await self._handle(entries, stop, tried=tried)
            after = {entry.shard: entry.id.decode() for entry in entries}

    async def _read_new(self) -> list[Entry]:
        block_s = self._reading.block_s
        due = self.next_due()
        if due is not None:
            block_s = min(block_s, max(0.0, (due - self._clock.now()).total_seconds()))
        return await self._read_from_streams(block_s)

    async def _read_on(self) -> list[Entry]:
        """What comes next, if nothing else is to be done first."""
        due = self.next_due()
        if self._woken.is_set() or self._time_to_look or (due is not None and due <= self._clock.now()):
            return []
        return await self._read_from_streams(None)

    async def _read_from_streams(self, block_s: float | None) -> list[Entry]:
        after = dict.fromkeys(sorted(self._ownership.owned), NEW)
        entries = await self._read(self._reading, after, block_s=block_s)
        if entries:
            faultpoint("consumer.after_read")
        return entries

    @property
    def _time_to_look(self) -> bool:
        return self._clock.monotonic() >= self._looked + LOOK_S

    async def _read(self, link: Link, after: Mapping[Shard, str], *, block_s: float | None = None) -> list[Entry]:
        count = self._appetite.count(len(after))
        entries = await link.read(self._group, self._group, after, count=count, block_s=block_s)
        self._appetite.note(len(entry.data) for entry in entries if entry.data is not None)
        return entries

    async def _handle(
        self, entries: Sequence[Entry], stop: asyncio.Event, *, tried: bool = False, go_on: bool = False
    ) -> None:
        await self._flow.run(entries, stop, tried=tried, more=self._read_on if go_on else None)

    async def _acknowledge(self, done: Mapping[Shard, Sequence[bytes]]) -> None:
        await self._control.acknowledge(self._group, done)


def _topic(group: str, name: str, message: type) -> str:
    topic = topic_of(message)
    if group not in topic.groups:
        raise TopicError(f"{name}: topic {topic.name} does not declare the group {group}")
    return topic.name
