"""The link to Redis, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from trunkline.events.shard import Shard, ShardState
from trunkline.events.streams.link import NEW, GroupMissing, Link, RedisUnavailable
from trunkline.events.topics import confirmed_name
from trunkline.launcher.embedded import EmbeddedRedis

from tests.trunkline.events.notes import BOUND_S, until

SHARD = Shard("notes", 0)


@pytest.fixture
async def link(url: str) -> AsyncIterator[Link]:
    """A link that is open."""
    link = Link(url, name="test", block_s=1.0)
    await link.connect()
    yield link
    await link.close()


async def test_entries_have_one_field_and_go_to_the_channel(link: Link, client: Redis):
    """An event is one XADD with the field `e`, and the same bytes on the channel of its topic."""
    async with client.pubsub(ignore_subscribe_messages=True) as watching:
        await watching.subscribe("notes")
        await until(lambda: watching.subscribed)
        (added,) = await link.append([(SHARD, b"\x00\xff")])

        async def heard() -> bool:
            message = await watching.get_message(timeout=1.0)
            return message is not None and message["data"] == b"\x00\xff"

        await until(heard)
    assert await client.xrange("{notes:0}") == [(str(added).encode(), {b"e": b"\x00\xff"})]


async def test_what_is_sent_together_is_read_together(link: Link, url: str):
    """A reader that waits is not given the first of them alone: that would be a transaction more of each group."""
    waiting = Link(url, name="waiting", block_s=2.0)
    shards = [Shard("notes", number) for number in range(4)]
    await waiting.connect()
    try:
        await waiting.create_groups("reader", shards)
        for number in range(20):
            reading = asyncio.create_task(
                waiting.read("reader", "reader", dict.fromkeys(shards, NEW), count=64, block_s=2.0)
            )
            await link.append([(shards[(number + one) % 4], b"%d" % one) for one in range(10)])
            assert len(await reading) == 10
    finally:
        await waiting.close()


async def test_a_shard_that_is_something_else_holds_up_what_follows_it(link: Link, client: Redis):
    """Those before it count as sent; it is refused, and whoever sends it first is told."""
    await client.set("{notes:1}", "a text")
    other = Shard("notes", 1)
    assert len(await link.append([(SHARD, b"1"), (SHARD, b"2"), (other, b"3"), (SHARD, b"4")])) == 2
    with pytest.raises(RedisUnavailable, match="WRONGTYPE"):
        await link.append([(other, b"3"), (SHARD, b"4")])


async def test_a_server_without_room_takes_none_of_them(link: Link, client: Redis):
    """The reason is the refusal itself, not that of EXEC."""
    await client.config_set("maxmemory", "1")
    try:
        with pytest.raises(RedisUnavailable, match="OOM"):
            await link.append([(SHARD, b"1"), (SHARD, b"2")])
    finally:
        await client.config_set("maxmemory", "0")
    assert await client.exists("{notes:0}") == 0


async def test_says_what_a_stream_holds(link: Link, client: Redis):
    """First entry, last one ever added, and each group's position; nothing of a stream that is not there."""
    added = await link.append([(SHARD, b"1"), (SHARD, b"2"), (SHARD, b"3")])
    await client.xdel("{notes:0}", str(added[0]), str(added[2]))
    await link.acknowledge("reader", {SHARD: [*map(bytes, added[:2])]})

    held, nothing = await link.inspect([SHARD, Shard("notes", 1)])

    assert held == ShardState(first=added[1], last=added[2], confirmed={"reader": added[1]})
    assert nothing == ShardState()


async def test_a_position_is_never_set_back(link: Link):
    """One who acknowledges late what others are past by now changes nothing but its entries."""
    added = await link.append([(SHARD, b"1"), (SHARD, b"2"), (SHARD, b"3")])
    for late in (added[1:2], added[:1], []):
        await link.acknowledge("reader", {SHARD: [*map(bytes, late)]} if late else {})
        (state,) = await link.inspect([SHARD])
        assert state.confirmed == {"reader": added[1]}
    await link.acknowledge("reader", {SHARD: [bytes(added[2])]})
    (state,) = await link.inspect([SHARD])
    assert state.confirmed == {"reader": added[2]}


async def test_a_position_does_not_pass_what_is_pending(link: Link):
    """It stays before the oldest entry that is not acknowledged; once that is, it is where the group is."""
    added = await link.append([(SHARD, b"1"), (SHARD, b"2"), (SHARD, b"3")])
    await link.create_groups("reader", [SHARD])
    await link.read("reader", "reader", {SHARD: NEW}, count=10, block_s=0.1)

    await link.acknowledge("reader", {SHARD: [bytes(added[0]), bytes(added[2])]})
    (state,) = await link.inspect([SHARD])
    assert added[0] <= state.confirmed["reader"] < added[1]

    await link.acknowledge("reader", {SHARD: [bytes(added[1])]})
    (state,) = await link.inspect([SHARD])
    assert state.confirmed == {"reader": added[2]}


async def test_counts_only_what_comes_before_a_refusal(link: Link, client: Redis):
    """A refused entry ends what counts as sent; a refused first one is an outage."""
    await client.set("{notes:1}", "not a stream")

    assert len(await link.append([(SHARD, b"1"), (Shard("notes", 1), b"2"), (SHARD, b"3")])) == 1
    with pytest.raises(RedisUnavailable, match="WRONGTYPE"):
        await link.append([(Shard("notes", 1), b"2"), (SHARD, b"3")])


async def test_gives_own_entries_again_until_they_are_acknowledged(link: Link):
    """A group misses nothing that was there before it; what it was given stays its own."""
    added = await link.append([(SHARD, b"1"), (SHARD, b"2")])
    await link.create_groups("reader", [SHARD])
    await link.create_groups("reader", [SHARD])

    new = await link.read("reader", "one", {SHARD: NEW}, count=10, block_s=0.1)
    await link.acknowledge("reader", {SHARD: [bytes(added[0])]})
    own = await link.read("reader", "one", {SHARD: "0"}, count=10)

    assert [entry.data for entry in new] == [b"1", b"2"]
    assert [entry.data for entry in own] == [b"2"]
    assert await link.read("reader", "one", {SHARD: NEW}, count=10, block_s=0.01) == []


async def test_an_entry_that_was_trimmed_has_no_data(link: Link, client: Redis):
    """An own entry whose stream was trimmed comes back empty: it is no event."""
    await link.append([(SHARD, b"1")])
    await link.create_groups("reader", [SHARD])
    await link.read("reader", "one", {SHARD: NEW}, count=10, block_s=0.1)
    await client.xtrim("{notes:0}", maxlen=0, approximate=False)

    (entry,) = await link.read("reader", "one", {SHARD: "0"}, count=10)

    assert entry.data is None


async def test_tells_a_lost_group_from_an_outage(link: Link, client: Redis):
    """A stream that goes away under a reader is told apart: the group has to be made again."""
    await link.create_groups("reader", [SHARD])

    async def read() -> None:
        # Servers before 7 let a read wait to its end, and only tell the next one.
        while True:
            await link.read("reader", "one", {SHARD: NEW}, count=1, block_s=0.5)

    waiting = asyncio.create_task(read())

    async def blocked() -> bool:
        return int((await client.info("clients"))["blocked_clients"]) == 1

    await until(blocked)
    await client.flushall()

    async with asyncio.timeout(BOUND_S):
        with pytest.raises(GroupMissing):
            await waiting


async def test_a_lost_connection_is_not_replaced_silently(own_server: EmbeddedRedis):
    """Behind a new connection may be a server that lost entries: nothing is sent before somebody looked."""
    link = Link(own_server.url, name="test")
    await link.connect()
    await own_server.stop()
    await own_server.start()

    for _ in range(2):
        with pytest.raises(RedisUnavailable):
            await link.append([(SHARD, b"1")])
    await link.connect()
    await link.append([(SHARD, b"1")])
    await link.close()


async def test_nobody_there_is_an_outage(own_server: EmbeddedRedis):
    """Whatever the client library raises, callers see one error."""
    link = Link(own_server.url, name="test")
    await own_server.stop()

    with pytest.raises(RedisUnavailable):
        await link.connect()
    await link.close()


async def test_a_key_of_ours_that_holds_something_else_is_named(link: Link, client: Redis):
    """Whoever reads the error knows which key to delete; a stream in the middle of others, and a hash, too."""
    shards = [Shard("notes", number) for number in range(3)]
    await client.set(shards[1].stream, "something else")
    for asked in (link.append([(shards[1], b"one")]), link.inspect(shards), link.create_groups("readers", shards)):
        with pytest.raises(RedisUnavailable, match=r"^WRONGTYPE .*\(\{notes:1\}\)$"):
            await asked
    await client.delete(shards[1].stream)
    await client.set(confirmed_name(*shards[2]), "something else")
    with pytest.raises(RedisUnavailable, match=r"^WRONGTYPE .*\(\{notes:2\}:confirmed\)$"):
        await link.inspect(shards)
    await link.create_groups("readers", shards)
    with pytest.raises(RedisUnavailable, match=r"WRONGTYPE .*\(\{notes:2\}:confirmed\)$"):
        await link.acknowledge("readers", {shard: [b"1-0"] for shard in shards})
