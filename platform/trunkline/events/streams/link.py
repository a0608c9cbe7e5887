"""The only module that speaks to Redis: RESP2, and commands up to Redis 6.2, so that every server since works.

Nothing is retried here: a repeated XADD makes a second entry, so whoever asked decides. And no connection is replaced
silently: behind a new one may stand a server that has lost its last entries, and that has to be looked at first.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from redis.asyncio import Connection, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from trunkline.events.shard import Entry, Shard, ShardState
from trunkline.events.stream_id import StreamId
from trunkline.events.streams.bulk import send, send_together
from trunkline.events.streams.confirming import confirm
from trunkline.events.streams.errors import GroupMissing, RedisUnavailable, mapped, require, translated
from trunkline.events.streams.pool import ANSWER_S, pool_at
from trunkline.events.topics import confirmed_name, shards_name
from trunkline.redis_master import master_url

__all__ = ["GroupMissing", "Link", "RedisUnavailable"]

FIELD = b"e"
"""The one field of an entry: a serialized trunk.event.v1.Envelope."""
LONGEST_BLOCK_S = 2.0
"""Longest time a read may wait for entries; the client waits ANSWER_S longer, so it is never broken off."""
CLAIM = 256
"""Entries taken over from another consumer at once."""
NEW = ">"
"""Read what nobody in the group has been given yet."""


class Link:
    """One connection to Redis. It is opened by `connect`, and by nothing else."""

    def __init__(self, url: str, *, name: str, block_s: float = 0.0) -> None:
        """Describes the connection.

        Args:
            url: Where Redis is.
            name: Whose connection it is, for `CLIENT LIST`.
            block_s: Longest time its reads wait for entries; a link that blocks is used for nothing else.
        """
        self.block_s = min(block_s, LONGEST_BLOCK_S)
        """Longest time its reads wait."""
        self._connecting = False
        self._url, self._name, self._at = url, name, ""
        self._pool: Any = None
        self._client: Any = None  # its own types say Any or less

    async def connect(self) -> None:
        """Opens the connection anew.

        Raises:
            RedisUnavailable: nobody answers.
        """
        self._connecting = True
        try:
            with mapped():
                if self._pool is not None:
                    await self._pool.disconnect()
                url = await master_url(self._url)
                if url != self._at:
                    self._at, self._pool = url, pool_at(url, self._name, self.block_s, self._on_connect)
                    self._client = Redis(connection_pool=self._pool)
                await self._client.ping()
        finally:
            self._connecting = False

    async def close(self) -> None:
        """Closes the connection."""
        if self._pool is not None:
            with mapped():
                await self._pool.disconnect()

    async def ask(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What the server tells of itself; a refusal of one is its answer.

        Raises:
            RedisUnavailable: it does not say.
        """
        return await self._pipeline(commands)

    async def append(self, events: Sequence[tuple[Shard, bytes]]) -> list[StreamId]:
        """Adds events to their streams and publishes them on their topics' channels, in one pipeline.

        They are there together: who waits for entries and were given the first alone would spend a transaction on it,
        and another one on the others.

        Gives the ids of those before the first that was refused: none of the others counts as sent.

        Raises:
            RedisUnavailable: the first was refused, or nobody knows what was done.
        """
        commands: list[tuple[Any, ...]] = []
        for shard, data in events:
            commands.append((b"XADD", shard.stream, b"*", FIELD, data))
            # Whoever listens there only watches: what comes of it does not matter.
            commands.append((b"PUBLISH", shard.topic, data))
        added: list[StreamId] = []
        for answer in (await send_together(self._pool, commands, ANSWER_S))[::2]:
            if isinstance(answer, Exception):
                if added:
                    break
                raise translated(answer, events[0][0].stream) from answer
            added.append(StreamId.parse(answer))
        return added

    async def inspect(self, shards: Sequence[Shard]) -> list[ShardState]:
        """What Redis holds of some streams.

        Raises:
            RedisUnavailable: it does not say.
        """
        commands: list[tuple[Any, ...]] = []
        for shard in shards:
            commands.append(("XINFO STREAM", shard.stream))
            commands.append(("HGETALL", confirmed_name(*shard)))
        answers = await self._pipeline(commands)
        return list(map(_state, shards, answers[::2], answers[1::2]))

    async def trim(self, before: Mapping[Shard, StreamId]) -> int:
        """Drops entries before an id of each stream, roughly: whole nodes of its tree. Gives how many.

        Raises:
            RedisUnavailable: perhaps they were dropped.
        """
        commands = [("XTRIM", shard.stream, "MINID", "~", str(id_)) for shard, id_ in before.items()]
        return sum(require(await self._pipeline(commands)))

    async def set_shards(self, shards: Mapping[str, int]) -> None:
        """Says how many shards each topic has.

        Raises:
            RedisUnavailable: that could not be kept.
        """
        require(await self._pipeline([("SET", shards_name(topic), count) for topic, count in shards.items()]))

    async def shards(self, topics: Sequence[str]) -> dict[str, int]:
        """How many shards each topic has; those whose publisher has not said so yet are left out.

        Raises:
            RedisUnavailable: Redis does not say.
        """
        answers = require(await self._pipeline([("GET", shards_name(topic)) for topic in topics]))
        return {topic: int(count) for topic, count in zip(topics, answers, strict=True) if count is not None}

    async def create_groups(self, group: str, shards: Sequence[Shard]) -> None:
        """Makes a group where it is missing, from the first entry on, so that it misses none.

        Raises:
            RedisUnavailable: it could not be made.
        """
        answers = await self._pipeline(
            [("XGROUP CREATE", shard.stream, group, "0", "MKSTREAM") for shard in shards],
        )
        made = [None if isinstance(one, ResponseError) and "BUSYGROUP" in str(one) else one for one in answers]
        require(made, [shard.stream for shard in shards])

    async def read(
        self, group: str, consumer: str, after: Mapping[Shard, str], *, count: int, block_s: float | None = None
    ) -> list[Entry]:
        """Reads entries for a group; never cancel it, or what is on its way stays assigned.

        Args:
            group: The group.
            consumer: Who in the group.
            after: Stream → NEW, or an id: then what was given to this consumer before and not acknowledged.
            count: Most entries of each stream.
            block_s: How long to wait for new ones, at most the link's own; None does not wait.

        Raises:
            GroupMissing: make the groups again.
            RedisUnavailable: nothing could be read.
        """
        command: list[Any] = ["XREADGROUP", "GROUP", group, consumer, "COUNT", count]
        if block_s is not None:
            command += ["BLOCK", max(1, round(min(block_s, self.block_s) * 1000))]
        command += ["STREAMS", *(shard.stream for shard in after), *after.values()]
        (answer,) = require(await send(self._pool, [tuple(command)], ANSWER_S + self.block_s))
        by_stream = {shard.stream.encode(): shard for shard in after}
        return [
            Entry(shard, entry_id, _data(fields))
            for shard, entries in ((by_stream[stream], entries) for stream, entries in answer or ())
            for entry_id, fields in entries
        ]

    async def claim_from_others(self, group: str, shard: Shard) -> int:
        """Takes over what other consumers of a group hold of a stream, and removes those that hold nothing more.

        Everybody of the group reads as one consumer, named like it: others are of earlier releases, or somebody's
        hand. Gives the number of entries.

        Raises:
            RedisUnavailable: perhaps some were taken over.
        """
        with mapped():
            consumers = await self._client.execute_command("XINFO CONSUMERS", shard.stream, group)
        claimed = 0
        for name in [one["name"] for one in consumers if one["name"] != group.encode()]:
            claimed += await self._claim(group, shard, name)
            with mapped():
                await self._client.execute_command("XGROUP DELCONSUMER", shard.stream, group, name)
        return claimed

    async def _claim(self, group: str, shard: Shard, name: bytes) -> int:
        claimed, after = 0, "-"
        while True:
            with mapped():
                held = await self._client.execute_command(
                    "XPENDING", shard.stream, group, after, "+", CLAIM, name, parse_detail=True
                )
            ids = [one["message_id"] for one in held]
            if not ids:
                return claimed
            with mapped():
                # JUSTID: they are read by the one who owns the stream, and counted then.
                await self._client.execute_command(
                    "XCLAIM", shard.stream, group, group, 0, *ids, "JUSTID", parse_justid=True
                )
            claimed += len(ids)
            after = f"({ids[-1].decode()}"

    async def acknowledge(self, group: str, done: Mapping[Shard, Sequence[bytes]]) -> None:
        """Acknowledges entries, and says that everything up to the last of each stream is confirmed.

        Raises:
            RedisUnavailable: perhaps they were, perhaps not; they may come again.
        """
        commands: list[tuple[Any, ...]] = []
        for shard, ids in done.items():
            commands.append((b"XACK", shard.stream, group, *ids))
            commands.append(confirm(group, shard, ids[-1]))
        keys = [key for shard in done for key in (shard.stream, confirmed_name(*shard))]
        require(await send(self._pool, commands, ANSWER_S), keys)

    async def messages(self, channels: Sequence[str]) -> AsyncGenerator[bytes | None, None]:
        """What is published on some channels from now on, until the connection is lost. None: listening has begun.

        Raises:
            RedisUnavailable: it is lost. What is published meanwhile is missed.
        """
        with mapped():
            async with self._client.pubsub() as subscription:
                await subscription.subscribe(*channels)
                awaited = set(channels)
                while True:
                    message = await subscription.get_message(timeout=1.0)
                    if message is None:
                        continue
                    if message["type"] == "message":
                        yield message["data"]
                    elif awaited and message["type"] == "subscribe":
                        awaited.discard(message["channel"].decode())
                        if not awaited:
                            yield None

    async def _pipeline(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Answers to commands sent together; a refusal of one is its answer."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        with mapped():
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    async def _on_connect(self, connection: Connection) -> None:
        if not self._connecting:
            raise RedisConnectionError("the connection was lost")
        await connection.on_connect()


def _state(shard: Shard, info: Any, confirmed: Any) -> ShardState:
    if isinstance(confirmed, Exception):
        raise translated(confirmed, confirmed_name(*shard)) from confirmed
    if isinstance(info, ResponseError) and "no such key" in str(info):
        info = {}
    elif isinstance(info, Exception):
        raise translated(info, shard.stream) from info
    first = info.get("first-entry")
    return ShardState(
        first=StreamId.parse(first[0]) if first else None,
        last=StreamId.parse(info.get("last-generated-id", b"0-0")),
        confirmed={group.decode(): StreamId.parse(position) for group, position in confirmed.items()},
    )


def _data(fields: Sequence[bytes] | None) -> bytes | None:
    # An entry that was trimmed comes without fields; one that somebody else wrote may lack ours.
    if not fields:
        return None
    return fields[1] if fields[0] == FIELD else dict(zip(fields[::2], fields[1::2], strict=True)).get(FIELD, b"")
