"""The relay: brings the outbox to the streams and channels, in order, at least once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

import sqlalchemy as sa
import structlog

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError
from trunkline.events.pause import end, pause
from trunkline.events.publishing.hints import Hints
from trunkline.events.publishing.outbox import OutboxRows, Sent, Unsent
from trunkline.events.publishing.pace import Pace
from trunkline.events.publishing.reconciling import Reconciling, RelayCounts
from trunkline.events.shard import Shard
from trunkline.events.streams import server_check
from trunkline.events.streams.link import Link, RedisUnavailable
from trunkline.events.streams.outage import Outage, storage_away
from trunkline.events.topics import DEFAULT_SHARDS, Topic, TopicError, shard_of
from trunkline.faultpoints import faultpoint
from trunkline.foreground import FOREGROUND, Foreground
from trunkline.storage import Database, PlatformTables
from trunkline.storage.leases import LeaseLost, Leases

LEASE = "relay"
"""What one process of a service at a time has: it relays."""
BATCH = 256
"""Events sent in one pipeline."""
POLL_S = 1.0
"""Seconds between two looks for what no wake-up told of, and between two looks at what was confirmed."""
WINDOW_S = 3600.0
"""Seconds that entries stay in the streams, once every group has confirmed them."""
T = TypeVar("T")
_log = structlog.get_logger("trunkline.events")


class Relay:
    """Sends what one service publishes. Each process of the service has one, and one of them at a time works.

    Which of them is a matter of a lease, and is checked whenever it writes into the outbox. One that slept through the
    end of its lease may send what it had in hand once more: consumers know the numbers.
    """

    def __init__(
        self,
        database: Database,
        tables: PlatformTables,
        redis_url: str,
        *,
        source: str,
        topics: Iterable[Topic],
        leases: Leases,
        shards: int = DEFAULT_SHARDS,
        clock: Clock = SYSTEM_CLOCK,
        poll_s: float = POLL_S,
        window_s: float = WINDOW_S,
        foreground: Foreground = FOREGROUND,
    ) -> None:
        """Puts the parts together.

        Args:
            database: With the outbox.
            tables: The library's tables in it.
            redis_url: Where the streams are.
            source: The service.
            topics: What it publishes: `topic_of(message)` of each message, or `declared_topics().values()`, of which
                those of other publishers are left out.
            leases: This process's on the database.
            shards: Streams of a topic that has never been sent to.
            clock: Stamps what is decided.
            poll_s: Seconds between two looks for what no wake-up told of.
            window_s: Seconds that entries stay in the streams, once every group has confirmed them.
            foreground: Calls that a backlog yields to.

        Raises:
            TopicError: it publishes nothing.
        """
        self.counts = RelayCounts()
        """For metrics."""
        self._topics = {topic.name: topic for topic in topics if topic.publisher == source}
        if not self._topics:
            raise TopicError(f"{source} publishes no topic")
        self._database = database
        self._leases = leases
        leases.watch(self._note_change)
        self._hints = Hints(redis_url, source, self._woken_by_hint)
        self._changed = asyncio.Event()
        self._rows = OutboxRows(tables, self._topics)
        self._link = Link(redis_url, name=f"{source}-relay")
        self.outage = Outage(f"{source} relay", clock=clock)
        """Its way to Redis and to the outbox."""
        self._wanted = dict.fromkeys(self._topics, shards)
        self._clock = clock
        self._poll_s = poll_s
        self._woken = asyncio.Event()
        self._foreground, self._pace = foreground, _pace()
        self._shards: dict[str, int] = {}
        self._reconciling = Reconciling(
            database, self._rows, self._link, self._topics, self._write, self.counts, clock=clock, window_s=window_s
        )
        self._looked = 0.0
        self._verdict = server_check.Verdict()

    @property
    def relays(self) -> bool:
        """Whether it is this process that relays."""
        return self._leases.has(LEASE)

    def wake(self) -> None:
        """Tells it that something was committed; on the event loop."""
        self._woken.set()

    def _note_change(self) -> None:
        self._changed.set()

    def _woken_by_hint(self, told: bool) -> None:
        if self._leases.has(LEASE):
            if told:
                self._foreground.note()
            # When listening has begun, too: nobody was heard before.
            self._woken.set()

    async def check(self) -> None:
        """For health.

        Raises:
            RedisUnavailable: it cannot send.
        """
        await self.outage.check()

    async def run(self, stop: asyncio.Event) -> None:
        """Sends until stop is set, and then once more what is there; while it has the lease."""
        hearing = asyncio.create_task(self._hints.run(stop))
        try:
            while not stop.is_set():
                try:
                    if self._leases.is_free(LEASE) and await self._leases.take(LEASE):
                        await self._work(stop)
                    else:
                        await self._stand_by(stop)
                except LeaseLost:
                    _log.warning("another process relays now")
                except (RedisUnavailable, ServiceError) as error:
                    if isinstance(error, ServiceError) and not storage_away(error):
                        raise
                    await pause(self.outage.failed(error), stop)
        finally:
            await end([hearing])
            await self._end()

    async def _stand_by(self, stop: asyncio.Event) -> None:
        """Waits for the lease to be free, and tells who has it of what is committed here."""
        self.outage.over()
        self._changed.clear()
        if not await pause(self._poll_s, stop, self._woken, self._changed) or not self._woken.is_set():
            return
        self._woken.clear()
        await self._hints.tell()

    async def _end(self) -> None:
        try:
            await self._leases.give_back([LEASE])
        except ServiceError as error:
            _log.warning("the lease was not given back: others have to wait", error=str(error))
        await self._link.close()

    async def _write(self, work: Callable[[sa.Connection], T]) -> T:
        """Changes the outbox, if this process has the lease still.

        Raises:
            LeaseLost: it has not.
        """

        def checked(connection: sa.Connection) -> T:
            self._leases.require(connection, [LEASE])
            return work(connection)

        return await self._database.write(checked)

    async def _work(self, stop: asyncio.Event) -> None:
        await self._link.connect()
        await self._judge()
        await self._decide_shards()
        self._reconciling.forget()
        self._pace = _pace()
        # Before anything is sent: later ids would hide that entries in the middle are gone.
        await self._compare()
        while not stop.is_set():
            self._woken.clear()
            more = await self._send()
            self.outage.over()
            quiet = not more and not await pause(self._poll_s, stop, self._woken)
            if quiet or self._clock.monotonic() >= self._looked + self._poll_s:
                await self._compare()
        await self._send()

    async def _judge(self) -> None:
        """Tells what is wrong with the server, whenever that is news."""
        verdict = await server_check.ask(self._link)
        if verdict != self._verdict and (verdict.refusal or verdict.warning):
            (_log.error if verdict.refusal else _log.warning)(verdict.refusal or verdict.warning)
        self._verdict = verdict

    async def _decide_shards(self) -> None:
        if not self._shards:
            now = self._clock.now()
            self._shards = await self._write(lambda connection: self._rows.decide_shards(connection, self._wanted, now))
            for topic, shards in self._shards.items():
                if shards != self._wanted[topic]:
                    _log.warning("shards stay as first decided", topic=topic, shards=shards, asked=self._wanted[topic])

    async def _compare(self) -> None:
        self._looked = self._clock.monotonic()
        if await self._reconciling.run(self._shards):
            self._woken.set()

    async def _send(self) -> bool:
        """Sends batch after batch, for a while; says whether there may be more.

        While one is on its way the next is read, and the one before is marked as sent.
        """
        until, rows = self._clock.monotonic() + self._poll_s, await self._unsent(())
        marking: asyncio.Task[None] | None = None
        marked: set[int] = set()
        try:
            while rows and self._clock.monotonic() < until:
                held = {row.id for row in rows} | marked
                batch, rest = await self._turn(rows)
                # Whatever becomes of the reading: what was sent is marked, and nothing is sent behind anybody's back.
                sent, following = await asyncio.gather(
                    self._append(batch), self._following(rest, held), return_exceptions=True
                )
                if isinstance(sent, BaseException):
                    raise sent
                if marking is not None:
                    await marking
                marked, marking = {one.id for one in sent}, asyncio.create_task(self._mark(sent))
                if isinstance(following, BaseException):
                    raise following
                if len(sent) < len(batch):
                    return True
                rows = following
            return bool(rows)
        finally:
            if marking is not None:
                await marking

    async def _following(self, rest: Sequence[Unsent], held: Collection[int]) -> Sequence[Unsent]:
        return rest or await self._unsent(held)

    async def _unsent(self, held: Collection[int]) -> Sequence[Unsent]:
        """The next rows, without those that are on their way."""
        if self._foreground.is_active():
            self._pace.note(await self._database.read(self._rows.newest), self._clock.monotonic())
        return await self._database.read(lambda connection: self._rows.unsent(connection, BATCH, held))

    async def _turn(self, rows: Sequence[Unsent]) -> tuple[Sequence[Unsent], Sequence[Unsent]]:
        """Which of some rows are sent next, after calls had their turn; and the others."""
        if not self._foreground.is_active():
            return rows, ()
        count, rest_s = self._pace.slice(rows[0].id, len(rows))
        await asyncio.sleep(rest_s)
        return rows[:count], rows[count:]

    async def _append(self, rows: Sequence[Unsent]) -> list[Sent]:
        faultpoint("relay.before_xadd")
        shards = [self._shard(row) for row in rows]
        ids = await self._link.append([(shard, row.data) for shard, row in zip(shards, rows, strict=True)])
        faultpoint("relay.after_xadd")
        return [
            Sent(row.id, shard.number, stream_id, confirmed=not self._topics[row.topic].groups)
            for row, shard, stream_id in zip(rows, shards, ids, strict=False)
        ]

    async def _mark(self, sent: Sequence[Sent]) -> None:
        await self._write(lambda connection: self._rows.mark_sent(connection, sent))
        faultpoint("relay.after_mark")
        self.counts.sent += len(sent)

    def _shard(self, row: Unsent) -> Shard:
        return Shard(row.topic, shard_of(row.key, self._shards[row.topic]))


def _pace() -> Pace:
    return Pace(os.cpu_count() or 1)
