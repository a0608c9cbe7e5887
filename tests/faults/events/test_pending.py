"""What a group was given and has not acknowledged: trimmed, deleted, or held under another name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from trunkline.events.topics import shard_of, stream_name
from trunkline.storage import Database

from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    PLATFORM,
    add,
    consumer,
    envelope,
    publish,
    relay,
    rows,
    running,
    until,
    until_seen,
)

STREAM = stream_name("notes", shard_of(KEY, 8))


async def _given_to_one_that_died(client: Redis, count: int) -> None:
    await client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    given: Any = await client.xreadgroup(GROUP, GROUP, {STREAM: ">"}, count=count)
    assert len(given[0][1]) == count


async def test_what_was_trimmed_while_pending_is_sent_again(
    publisher: Database, reader: Database, client: Redis, url: str
):
    """E13: entries that are gone are not taken for applied: the publisher, who has kept them, sends them again."""
    async with running(sender := relay(publisher, url)):
        await publish(publisher, *"abcde")
        sender.wake()
        await until(lambda: sender.counts.sent == 5)
    await _given_to_one_that_died(client, 4)
    await client.xtrim(STREAM, maxlen=2, approximate=False)

    receiver = consumer(reader, url)
    async with running(receiver):
        await until(lambda: receiver.counts.gone == 3)
        async with running(relay(publisher, url)):
            await until_seen(reader, [1, 2, 3, 4, 5])
    assert await rows(reader, PLATFORM.hole) == []
    assert (await client.xpending(STREAM, GROUP))["pending"] == 0


async def test_what_was_deleted_while_pending_is_asked_of_the_log(reader: Database, client: Redis, url: str):
    """E13: what is gone from the middle of a stream leaves a gap in the numbers, and that is filled."""

    class Kept:
        """A publisher that has kept everything."""

        async def events(self, topic: str, key: str, numbers: range) -> Sequence[bytes]:
            assert (topic, key) == ("notes", KEY)
            return [envelope(number) for number in numbers]

    await add(client, *(envelope(number) for number in range(1, 6)))
    await _given_to_one_that_died(client, 4)
    held: Any = await client.xrange(STREAM)
    second, third = [entry_id for entry_id, _ in held][1:3]
    await client.xdel(STREAM, second, third)

    receiver = consumer(reader, url, log=Kept())
    async with running(receiver):
        await until_seen(reader, [1, 2, 3, 4, 5])
    assert receiver.counts.gone == 2
    assert await rows(reader, PLATFORM.hole) == []


async def test_others_entries_are_taken_over(reader: Database, client: Redis, url: str):
    """E15: what a consumer of another name holds, such as an earlier release, is applied; then that one is removed."""
    await add(client, *(envelope(number) for number in range(1, 6)))
    await client.xgroup_create(STREAM, GROUP, "0")
    await client.xreadgroup(GROUP, "somebody", {STREAM: ">"}, count=3)
    async with running(consumer(reader, url)):
        await until_seen(reader, [1, 2, 3, 4, 5])
        await until(lambda: _names(client))
    assert (await client.xpending(STREAM, GROUP))["pending"] == 0


async def _names(client: Redis) -> bool:
    return [one["name"] for one in await client.xinfo_consumers(STREAM, GROUP)] == [GROUP.encode()]
