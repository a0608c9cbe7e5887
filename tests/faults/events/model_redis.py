"""A model of Redis, as far as events need it: streams, groups, what is pending, positions. It can lose them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trunkline.clock import Clock
from trunkline.events.shard import Entry, Shard, ShardState
from trunkline.events.stream_id import FIRST, StreamId
from trunkline.events.streams.link import NEW, GroupMissing, RedisUnavailable


class Crashed(BaseException):
    """The process that asked has ended: nothing of it runs any more."""


@dataclass(slots=True)
class Group:
    """A group of a stream."""

    delivered: StreamId = FIRST
    """Last entry that was given to it."""
    pending: dict[StreamId, None] = field(default_factory=dict)
    """Given and not acknowledged."""


@dataclass(slots=True)
class Stream:
    """A stream."""

    entries: dict[StreamId, bytes] = field(default_factory=dict)
    """What it holds, in order."""
    last: StreamId = FIRST
    """Last id it gave out."""
    groups: dict[str, Group] = field(default_factory=dict)
    """Its groups."""
    confirmed: dict[str, StreamId] = field(default_factory=dict)
    """Positions beside it."""


class ModelRedis:
    """The server."""

    def __init__(self, clock: Clock) -> None:
        self.streams: dict[Shard, Stream] = {}
        """All streams."""
        self.counts: dict[str, int] = {}
        """Shards of each topic."""
        self.era = 0
        """Rises when connections are lost."""
        self._clock = clock

    def stream(self, shard: Shard) -> Stream:
        """A stream; made if it is missing."""
        return self.streams.setdefault(shard, Stream())

    def next_id(self, stream: Stream) -> StreamId:
        """The id of the next entry."""
        now = StreamId(round(self._clock.now().timestamp() * 1000), 0)
        stream.last = max(now, StreamId(stream.last.milliseconds, stream.last.sequence + 1))
        return stream.last

    def lose_all(self) -> None:
        """Restarts empty."""
        self.streams, self.counts = {}, {}
        self.era += 1

    def lose_tail(self, entries: int) -> None:
        """Restarts without the last entries of each stream, and without what happened to them."""
        for stream in self.streams.values():
            for gone in list(stream.entries)[max(0, len(stream.entries) - entries) :]:
                del stream.entries[gone]
            stream.last = max(stream.entries, default=FIRST)
            for group in stream.groups.values():
                group.delivered = min(group.delivered, stream.last)
                group.pending = {id_: None for id_ in group.pending if id_ <= stream.last}
            stream.confirmed = {group: min(id_, stream.last) for group, id_ in stream.confirmed.items()}
        self.era += 1

    def deliver_again(self, group: str, entries: int) -> None:
        """Forgets that a group was given its last entries, as a failover does."""
        for stream in self.streams.values():
            held = stream.groups.get(group)
            if held is not None:
                given = [id_ for id_ in stream.entries if id_ <= held.delivered]
                held.delivered = given[-entries - 1] if len(given) > entries else FIRST
                held.pending = {id_: None for id_ in held.pending if id_ <= held.delivered}


class ModelLink:
    """A connection to it, with the methods of `trunkline.events.streams.link.Link`."""

    def __init__(self, server: ModelRedis) -> None:
        self.block_s = 0.001
        """As of a Link; it never waits."""
        self.crash_after = ""
        """Command after whose effect the process that asks ends."""
        self._server = server
        self._era = server.era

    async def connect(self) -> None:
        """Opens it anew."""
        self._era = self._server.era

    async def append(self, events: Sequence[tuple[Shard, bytes]]) -> list[StreamId]:
        """XADD."""
        self._alive()
        added = list[StreamId]()
        for shard, data in events:
            stream = self._server.stream(shard)
            added.append(self._server.next_id(stream))
            stream.entries[added[-1]] = data
        self._perhaps_crash("append")
        return added

    async def inspect(self, shards: Sequence[Shard]) -> list[ShardState]:
        """XINFO STREAM and HGETALL."""
        self._alive()
        streams = [self._server.streams.get(shard, Stream()) for shard in shards]
        return [ShardState(min(one.entries, default=None), one.last, dict(one.confirmed)) for one in streams]

    async def trim(self, before: Mapping[Shard, StreamId]) -> int:
        """XTRIM MINID."""
        self._alive()
        trimmed = 0
        for shard, first in before.items():
            stream = self._server.stream(shard)
            kept = {id_: data for id_, data in stream.entries.items() if id_ >= first}
            trimmed += len(stream.entries) - len(kept)
            stream.entries = kept
        self._perhaps_crash("trim")
        return trimmed

    async def set_shards(self, shards: Mapping[str, int]) -> None:
        """SET."""
        self._alive()
        self._server.counts |= shards

    async def shards(self, topics: Sequence[str]) -> dict[str, int]:
        """GET."""
        self._alive()
        return {topic: self._server.counts[topic] for topic in topics if topic in self._server.counts}

    async def create_groups(self, group: str, shards: Sequence[Shard]) -> None:
        """XGROUP CREATE 0 MKSTREAM."""
        self._alive()
        for shard in shards:
            self._server.stream(shard).groups.setdefault(group, Group())

    async def claim_from_others(self, _group: str, _shard: Shard) -> int:
        """There are no others: all of a group have one name."""
        self._alive()
        return 0

    async def read(
        self, group: str, _consumer: str, after: Mapping[Shard, str], *, count: int, block_s: float | None = None
    ) -> list[Entry]:
        """XREADGROUP."""
        self._alive()
        found = list[Entry]()
        for shard, position in after.items():
            stream = self._server.streams.get(shard, Stream())
            if group not in stream.groups:
                raise GroupMissing("NOGROUP")
            held = stream.groups[group]
            if position == NEW:
                ids = [id_ for id_ in stream.entries if id_ > held.delivered][:count]
                held.delivered = max([held.delivered, *ids])
                held.pending |= dict.fromkeys(ids)
            else:
                start = FIRST if position == "0" else StreamId.parse(position)
                ids = sorted(id_ for id_ in held.pending if id_ > start)[:count]
            found += [Entry(shard, bytes(id_), stream.entries.get(id_)) for id_ in ids]
        self._perhaps_crash("read")
        return found

    async def acknowledge(self, group: str, done: Mapping[Shard, Sequence[bytes]]) -> None:
        """XACK, and the position: never set back, and never past what is pending."""
        self._perhaps_crash("commit")
        self._alive()
        for shard, given in done.items():
            stream, ids = self._server.stream(shard), [StreamId.parse(one) for one in given]
            for id_ in ids:
                if group in stream.groups:
                    stream.groups[group].pending.pop(id_, None)
            held = stream.groups.get(group, Group())
            position = max(ids[-1], held.delivered)
            if held.pending:
                oldest = min(held.pending)
                position = min(ids[-1], max((id_ for id_ in stream.entries if id_ < oldest), default=FIRST))
            stream.confirmed[group] = max(stream.confirmed.get(group, FIRST), position)

    def _alive(self) -> None:
        if self._era != self._server.era:
            raise RedisUnavailable("the connection was lost")

    def _perhaps_crash(self, command: str) -> None:
        if self.crash_after == command:
            raise Crashed
