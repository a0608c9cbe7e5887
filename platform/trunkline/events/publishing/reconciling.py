"""The outbox beside the streams: what they have lost is to be sent again, what all have confirmed is done and goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

import sqlalchemy as sa
import structlog

from trunkline.clock import Clock
from trunkline.events.publishing.outbox import CHUNK, OutboxRows
from trunkline.events.shard import Shard, ShardState
from trunkline.events.stream_id import StreamId
from trunkline.events.streams.link import Link
from trunkline.events.streams.trimming import trim_before
from trunkline.events.topics import Topic
from trunkline.faultpoints import faultpoint
from trunkline.storage import Database

T = TypeVar("T")
_log = structlog.get_logger("trunkline.events")


@dataclass(slots=True)
class RelayCounts:
    """What a relay has done since it started."""

    sent: int = 0
    """Events added to a stream and published; sent again counts again."""
    confirmed: int = 0
    """Events that every group has confirmed."""
    lost: int = 0
    """Events that Redis had lost, and that were to be sent again."""
    trimmed: int = 0
    """Entries that every group had confirmed, and that were dropped from the streams."""


class Write(Protocol):
    """Changes the outbox, while this process may."""

    def __call__(self, work: Callable[[sa.Connection], T], /) -> Awaitable[T]:
        """Commits what work does."""
        ...


class Reconciling:
    """Looks at what Redis holds of some topics, and draws the consequences."""

    def __init__(
        self,
        database: Database,
        rows: OutboxRows,
        link: Link,
        topics: Mapping[str, Topic],
        write: Write,
        counts: RelayCounts,
        *,
        clock: Clock,
        window_s: float,
    ) -> None:
        self._database = database
        self._rows = rows
        self._link = link
        self._topics = topics
        self._write = write
        self._counts = counts
        self._clock = clock
        self._window_s = window_s
        self._positions: dict[Shard, StreamId] = {}

    def forget(self) -> None:
        """Knows nothing of what was confirmed: another process may have worked since."""
        self._positions.clear()

    async def run(self, shard_counts: Mapping[str, int]) -> bool:
        """Compares all streams once; says whether there is something to be sent again.

        Raises:
            LeaseLost: it is another process's task now.
            RedisUnavailable: Redis does not say.
            ServiceError: the database is away.
        """
        # Again and again: whoever empties Redis takes this away too.
        await self._link.set_shards(shard_counts)
        shards = [Shard(topic, number) for topic, count in shard_counts.items() for number in range(count)]
        states = dict(zip(shards, await self._link.inspect(shards), strict=True))
        # First of all: positions past what is lost would confirm it.
        lost = await self._database.read(lambda connection: self._rows.lost_from(connection, states))
        for shard in lost:
            await self._take_back(shard, states[shard])
        for shard, state in states.items():
            await self._confirm(shard, state)
        await self._trim(states)
        return bool(lost)

    async def _take_back(self, shard: Shard, state: ShardState) -> None:
        lost, changed = 0, CHUNK
        while changed == CHUNK:
            changed = await self._write(lambda connection: self._rows.mark_unsent(connection, shard, state))
            lost += changed
        self._counts.lost += lost
        _log.warning("the stream has lost events; they are sent again", stream=shard.stream, events=lost)

    async def _confirm(self, shard: Shard, state: ShardState) -> None:
        groups = self._topics[shard.topic].groups
        if not groups or not groups <= state.confirmed.keys():
            return
        position = min(state.confirmed[group] for group in groups)
        if self._positions.get(shard) == position:
            return
        faultpoint("relay.before_confirm")
        changed = CHUNK
        while changed == CHUNK:
            changed = await self._write(lambda connection: self._rows.mark_confirmed(connection, shard, position))
            self._counts.confirmed += changed
        faultpoint("relay.after_confirm")
        self._positions[shard] = position

    async def _trim(self, states: Mapping[Shard, ShardState]) -> None:
        """Drops what every group has confirmed, after a while; the outbox keeps it."""
        now_ms = round(self._clock.now().timestamp() * 1000)
        before = {
            shard: id_
            for shard, state in states.items()
            if (id_ := self._trim_before(shard, state, now_ms)) is not None
        }
        if before:
            faultpoint("relay.before_trim")
            self._counts.trimmed += await self._link.trim(before)
            faultpoint("relay.after_trim")

    def _trim_before(self, shard: Shard, state: ShardState, now_ms: int) -> StreamId | None:
        groups = self._topics[shard.topic].groups
        return trim_before(state, groups, now_ms=now_ms, window_s=self._window_s)
