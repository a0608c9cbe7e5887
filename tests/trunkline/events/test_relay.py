"""The relay: from a real outbox to a real server."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from redis.asyncio import Redis
from trunkline.events import Relay, TopicError
from trunkline.events.streams.link import RedisUnavailable
from trunkline.events.topics import confirmed_name, shard_of, stream_name
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.storage import Database
from trunkline.storage.leases import Leases

from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    OTHER_KEY,
    PLATFORM,
    TOPICS,
    Memo,
    add,
    entries,
    numbers,
    publish,
    relay,
    rows,
    running,
    until,
)
from tests.trunkline.storage.kinds import BOTH

KINDS = BOTH

Logs = list[MutableMapping[str, Any]]
STREAM = stream_name("notes", shard_of(KEY, 8))


async def _confirm(client: Redis, group: str, *, topic: str = "notes") -> None:
    last, _ = (await entries(client, stream_name(topic, shard_of(KEY, 8))))[-1]
    await client.hset(confirmed_name(topic, shard_of(KEY, 8)), group, last.decode())


async def test_sends_in_the_order_of_commits(publisher: Database, client: Redis, url: str):
    """What is committed before and while the relay runs goes to the key's stream, each once, in order."""
    await publish(publisher, *map(str, range(300)))
    sender = relay(publisher, url)

    async with running(sender):
        await until(lambda: sender.counts.sent == 300)
        await publish(publisher, "more")
        sender.wake()
        await until(lambda: sender.counts.sent == 301)

    assert await numbers(client, STREAM) == list(range(1, 302))


async def test_sends_the_bytes_of_the_outbox(publisher: Database, client: Redis, url: str):
    """Outbox, stream and channel hold the same bytes."""
    heard: list[bytes] = []
    async with client.pubsub(ignore_subscribe_messages=True) as watching, running(relay(publisher, url)):
        await watching.subscribe("notes")
        await until(lambda: watching.subscribed)
        await publish(publisher, "one", "two")

        async def both() -> bool:
            message = await watching.get_message(timeout=1.0)
            heard.extend([message["data"]] if message else [])
            return len(heard) == 2

        await until(both)

    stored = [row["envelope"] for row in await rows(publisher, PLATFORM.outbox)]
    assert heard == stored == [data for _, data in await entries(client, STREAM)]


async def test_a_wake_up_need_not_wait_for_the_poll(publisher: Database, url: str):
    """With an hour between two polls, a wake-up alone brings an event out."""
    sender = relay(publisher, url, poll_s=3600.0)

    async with running(sender):
        await until(lambda: sender.counts.sent == 0 and sender._looked > 0)
        await publish(publisher, "one")
        sender.wake()
        await until(lambda: sender.counts.sent == 1)


async def test_sends_once_more_when_it_stops(publisher: Database, client: Redis, url: str):
    """What was committed last goes out before a graceful end."""
    sender = relay(publisher, url, poll_s=3600.0)

    async with running(sender):
        await until(lambda: sender._looked > 0)
        await publish(publisher, "last")

    assert await numbers(client, STREAM) == [1]


async def test_number_of_shards_is_decided_once(publisher: Database, client: Redis, url: str, event_logs: Logs):
    """Another number at a later start changes nothing but a line in the log: keys keep their streams."""
    async with running(relay(publisher, url, shards=4)):
        await until(lambda: client.get("{notes}:shards"))
    await publish(publisher, "one")
    sender = relay(publisher, url, shards=16)
    async with running(sender):
        await until(lambda: sender.counts.sent == 1)

    assert await client.get("{notes}:shards") == b"4"
    assert await numbers(client, stream_name("notes", shard_of(KEY, 4))) == [1]
    assert [one["topic"] for one in event_logs if one["event"] == "shards stay as first decided"] == ["notes", "memos"]


async def test_a_row_is_confirmed_when_every_group_has_it(publisher: Database, client: Redis, url: str):
    """A declared group that has never started still counts."""
    await publish(publisher, "one", message=Memo)
    sender = relay(publisher, url)

    async with running(sender):
        await until(lambda: sender.counts.sent == 1)
        await _confirm(client, GROUP, topic="memos")
        looked = sender._looked
        await until(lambda: sender._looked > looked + 0.1)
        assert [row["confirmed"] for row in await rows(publisher, PLATFORM.outbox)] == [False]

        await _confirm(client, "archive", topic="memos")
        await until(lambda: sender.counts.confirmed == 1)

    assert [row["confirmed"] for row in await rows(publisher, PLATFORM.outbox)] == [True]


async def test_what_is_confirmed_is_not_sent_again(publisher: Database, own_server: EmbeddedRedis):
    """After Redis has lost everything, only what some group lacks is sent again."""
    sender = relay(publisher, own_server.url)
    async with running(sender):
        await publish(publisher, "one", "two")
        await until(lambda: sender.counts.sent == 2)
        async with Redis.from_url(own_server.url, protocol=2) as client:
            await _confirm(client, GROUP)
        await until(lambda: sender.counts.confirmed == 2)
        await publish(publisher, "three")
        await until(lambda: sender.counts.sent == 3)

        await own_server.stop()
        await own_server.start()
        await until(lambda: sender.counts.sent == 4)

    async with Redis.from_url(own_server.url, protocol=2) as client:
        assert await numbers(client, STREAM) == [3]
    assert sender.counts.lost == 1


@pytest.mark.parametrize("sent_meanwhile", [False, True])
async def test_notices_that_redis_was_emptied(publisher: Database, client: Redis, url: str, sent_meanwhile: bool):
    """FLUSHALL breaks no connection. What is lost is found all the same, also behind entries that came after it."""
    sender = relay(publisher, url)
    async with running(sender):
        await publish(publisher, "one", "two")
        await until(lambda: sender.counts.sent == 2)
        await client.flushall()
        if sent_meanwhile:
            await publish(publisher, "three")
            sender.wake()
        await until(lambda: sender.counts.lost >= 2)
        expected = {1, 2, 3} if sent_meanwhile else {1, 2}

        async def all_back() -> bool:
            return set(await numbers(client, STREAM)) == expected

        await until(all_back)
        assert await client.get("{notes}:shards") == b"8"


async def test_sends_the_lost_tail_again_before_what_is_new(publisher: Database, lasting_server: EmbeddedRedis):
    """A server that comes back without its last entries gets them first, so that the key's order is kept."""
    sender = relay(publisher, lasting_server.url)
    async with running(sender):
        await publish(publisher, "one", "two", "three")
        await until(lambda: sender.counts.sent == 3)
        await lasting_server.stop()
        await publish(publisher, "four")
        await lasting_server.start()
        await until(lambda: sender.counts.sent == 4)
    # Rows as they were if the server had lost "three" and "four": their ids are past its last.
    async with Redis.from_url(lasting_server.url, protocol=2) as client:
        kept = (await entries(client, STREAM))[:2]
        await client.delete(STREAM)
        for entry_id, data in kept:
            await client.xadd(STREAM, {"e": data}, id=entry_id)
        sender = relay(publisher, lasting_server.url)
        await publish(publisher, "five")
        async with running(sender):
            await until(lambda: sender.counts.sent == 3)

        assert await numbers(client, STREAM) == [1, 2, 3, 4, 5]
    assert sender.counts.lost == 2


async def test_an_outage_is_one_line(publisher: Database, own_server: EmbeddedRedis, event_logs: Logs):
    """However often it tries, the log has one line when Redis goes and one when it is back; health says so too."""
    sender = relay(publisher, own_server.url)
    async with running(sender):
        await publish(publisher, "one")
        await until(lambda: sender.counts.sent == 1)
        await sender.check()
        await own_server.stop()
        await publish(publisher, "two")
        await until(lambda: sender.outage._tries >= 4)
        with pytest.raises(RedisUnavailable):
            await sender.check()
        await own_server.start()
        await until(lambda: sender.counts.sent >= 2)

    events = [one["event"] for one in event_logs if one.get("loop") == "notebook relay"]
    assert events == ["paused until it is back", "is back"]


async def test_one_stream_that_refuses_holds_the_events_back(publisher: Database, client: Redis, url: str):
    """What Redis does not take stays in the outbox, and goes out when it takes it."""
    await client.set(stream_name("notes", shard_of(OTHER_KEY, 8)), "not a stream")
    await publish(publisher, "one")
    await publish(publisher, "other", key=OTHER_KEY)
    sender = relay(publisher, url)

    async with running(sender):
        await until(lambda: sender.outage._tries >= 2)
        assert [row["stream_id"] for row in await rows(publisher, PLATFORM.outbox)] == [None, None]
        await client.delete(stream_name("notes", shard_of(OTHER_KEY, 8)))
        await until(lambda: sender.counts.sent == 2)


def test_serves_only_what_its_service_publishes(publisher: Database):
    """Topics of other publishers are left out; a relay without any is a mistake."""
    with pytest.raises(TopicError, match="stranger publishes no topic"):
        Relay(
            publisher,
            PLATFORM,
            "redis://127.0.0.1:1",
            source="stranger",
            topics=TOPICS,
            leases=Leases(publisher, PLATFORM),
        )


async def test_entries_of_others_are_no_rows(publisher: Database, client: Redis, url: str):
    """Somebody else's entry in the stream confuses nobody."""
    await add(client, b"nonsense")
    await publish(publisher, "one")
    sender = relay(publisher, url)

    async with running(sender):
        await until(lambda: sender.counts.sent == 1)

    assert sender.counts.lost == 0
