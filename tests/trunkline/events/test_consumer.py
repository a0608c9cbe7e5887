"""Consumers: each event once, in order per key, whatever comes twice, late or broken."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from redis.asyncio import Redis
from trunk.event.v1 import envelope_pb2
from trunkline.call import current_call
from trunkline.events import Consumer, ConsumerTransaction, Event, TopicError
from trunkline.events.topics import confirmed_name, shard_of, stream_name
from trunkline.storage import Database
from trunkline.storage.leases import Leases
from trunkline.testing.clock import FakeClock

from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    OTHER_KEY,
    PLATFORM,
    Memo,
    Note,
    Reply,
    Scrap,
    add,
    consumer,
    entries,
    envelope,
    keep,
    publish,
    relay,
    rows,
    running,
    seen,
    until,
    until_seen,
)
from tests.trunkline.storage.kinds import AHEAD, BOTH

KINDS = (*BOTH, AHEAD)

Logs = list[MutableMapping[str, Any]]
STREAM = stream_name("notes", shard_of(KEY, 8))


async def test_applies_in_order_per_key(publisher: Database, reader: Database, url: str):
    """From commit to effect, over all shards: every event of every key once, in the order of its commits."""
    keys = [f"t/s/{terminal}" for terminal in range(20)]
    sender, receiver = relay(publisher, url), consumer(reader, url)

    async with running(sender, receiver):
        for number in range(10):
            for key in keys:
                await publish(publisher, str(number), key=key)
            sender.wake()
        await until(lambda: receiver.counts.applied == 200)

    for key in keys:
        assert [number for number, _ in await seen(reader, key)] == list(range(1, 11))
    assert len(await rows(reader, PLATFORM.inbox)) == 200


async def test_reads_what_was_there_before_it(publisher: Database, reader: Database, url: str):
    """A group that starts after the first events begins with the first."""
    await publish(publisher, "one", "two")
    sender = relay(publisher, url)
    async with running(sender):
        await until(lambda: sender.counts.sent == 2)

    async with running(consumer(reader, url)):
        await until_seen(reader, [1, 2])


async def test_applies_what_comes_twice_once(reader: Database, client: Redis, url: str):
    """Sent again in the same batch or later: the second time has no effect."""
    receiver = consumer(reader, url)
    await add(client, envelope(1), envelope(1), envelope(2))

    async with running(receiver):
        await until(lambda: receiver.counts.applied == 2)
        await add(client, envelope(2), envelope(1), envelope(3))
        await until_seen(reader, [1, 2, 3])

    assert receiver.counts.duplicates == 3


async def test_a_batch_is_one_transaction(reader: Database, client: Redis, url: str):
    """Inbox rows, positions and effects of a hundred events are committed together."""
    await add(client, *(envelope(number) for number in range(1, 51)))
    await add(client, *(envelope(number, key=OTHER_KEY) for number in range(1, 51)), key=OTHER_KEY)
    receiver = consumer(reader, url)

    async with running(receiver):
        await until(lambda: receiver.counts.applied == 100)

    instants = {row["apply_time"] for row in await rows(reader, PLATFORM.inbox)}
    assert len(instants) == 1  # one for each transaction


async def test_confirms_after_the_commit(publisher: Database, reader: Database, client: Any, url: str):
    """Acknowledged, confirmed beside the stream, and so confirmed in the outbox."""
    await publish(publisher, "one", "two")
    sender = relay(publisher, url)

    async with running(sender, consumer(reader, url)):
        await until(lambda: sender.counts.confirmed == 2)

    last, _ = (await entries(client, STREAM))[-1]
    assert await client.hget(confirmed_name("notes", shard_of(KEY, 8)), GROUP) == last
    assert (await client.xpending(STREAM, GROUP))["pending"] == 0


async def test_settles_its_own_first(reader: Database, client: Any, url: str, clock: FakeClock):
    """What a predecessor was given and did not acknowledge comes before what is new: alone, it may have died of it."""
    await add(client, *(envelope(number) for number in range(1, 101)))
    await client.xgroup_create(STREAM, GROUP, "0")
    await client.xreadgroup(GROUP, GROUP, {STREAM: ">"}, count=90)

    # Its clock stands still: however long they take, it is not the turn of what is new, which would be parked too.
    receiver = consumer(reader, url, clock=clock)
    async with running(receiver):
        await until_seen(reader, list(range(1, 101)))

    assert receiver.counts.parked == 90
    assert (await client.xpending(STREAM, GROUP))["pending"] == 0


async def test_entries_that_were_trimmed_are_no_events(reader: Database, client: Any, url: str):
    """An entry of its own that is gone is acknowledged, and nothing else happens."""
    await add(client, envelope(1), envelope(2))
    await client.xgroup_create(STREAM, GROUP, "0")
    await client.xreadgroup(GROUP, GROUP, {STREAM: ">"}, count=1)
    (first, _), _ = await entries(client, STREAM)
    await client.xdel(STREAM, first)
    receiver = consumer(reader, url)

    async with running(receiver):
        await until(lambda: receiver.counts.parked == 1)

    assert (await client.xpending(STREAM, GROUP))["pending"] == 0
    assert receiver.counts.dead == 0


async def test_groups_are_made_again(reader: Database, client: Redis, url: str, event_logs: Logs):
    """After FLUSHALL the group is made anew from the first entry, with one line in the log."""
    receiver = consumer(reader, url)
    await add(client, envelope(1))

    async with running(receiver):
        await until_seen(reader, [1])
        await client.flushall()
        await add(client, envelope(1), envelope(2))
        await until_seen(reader, [1, 2])

    assert receiver.counts.duplicates == 1
    assert [one["event"] for one in event_logs].count("paused until it is back") == 1


async def test_follows_the_publishers_number_of_shards(publisher: Database, reader: Database, url: str):
    """A consumer that started before anybody said how many shards there are finds all of them."""
    receiver = consumer(reader, url)
    async with running(receiver):
        await until(lambda: receiver._looked > 0)
        await publish(publisher, "one")
        for terminal in range(32):
            await publish(publisher, "one", key=f"t/s/{terminal}")
        async with running(relay(publisher, url, shards=16)):
            await until(lambda: receiver.counts.applied == 33)


async def test_handlers_see_tenant_and_request(reader: Database, client: Redis, url: str):
    """Each event is handled for its own tenant; calls to peers and log lines name it."""
    found: list[tuple[str, str]] = []

    def look(transaction: ConsumerTransaction, event: Event) -> None:
        call = current_call()
        assert call is not None
        found.append((call.tenant_id, call.method))
        keep(transaction, event)

    await add(client, envelope(1))
    receiver = consumer(reader, url, {Note: look})
    async with running(receiver):
        await until(lambda: receiver.counts.applied == 1)

    assert found == [("t", "consume/events.bench.Note")]


async def test_handlers_publish_in_the_same_transaction(reader: Database, client: Redis, url: str):
    """What a handler publishes is committed with its effect, and the relay is woken; other services' topics are not."""
    woken = asyncio.Event()

    def refuse(transaction: ConsumerTransaction, event: Event) -> None:
        # The reader is not the notebook: its outbox refuses the notebook's topics.
        with pytest.raises(ValueError, match="published by notebook, not by reader"):
            transaction.publish(Memo(text="m"), key=KEY, subject="memos/m")
        keep(transaction, event)

    def answer(transaction: ConsumerTransaction, event: Event) -> None:
        transaction.publish(Reply(text=event.message.text), key=KEY, subject="replies/1")

    await add(client, envelope(1))
    async with running(consumer(reader, url, {Note: refuse})):
        await until_seen(reader, [1])
    await add(client, envelope(2))
    async with running(consumer(reader, url, {Note: answer}, wake=woken.set)):
        await until(woken.is_set)

    (row,) = await rows(reader, PLATFORM.outbox)
    assert (row["topic"], row["tenant_id"], row["number"]) == ("replies", "t", 1)


async def test_bytes_that_are_no_envelope_are_a_dead_letter(reader: Database, client: Any, url: str):
    """E9: They are kept as they came and acknowledged; what comes after them flows. Read again, they are still one."""
    receiver = consumer(reader, url)
    await add(client, envelope(1), b"\xff\xffnonsense", envelope(2))
    await client.xadd(STREAM, {"other": "field"})

    async with running(receiver):
        await until_seen(reader, [1, 2])
        await until(lambda: receiver.counts.dead == 2)
    await client.xgroup_destroy(STREAM, GROUP)
    async with running(again := consumer(reader, url)):
        await until(lambda: again.counts.dead == 2)

    nonsense, foreign = await rows(reader, PLATFORM.dead_letter)
    assert (nonsense["reason"], nonsense["envelope"], nonsense["number"]) == ("UNDECODABLE", b"\xff\xffnonsense", None)
    assert (foreign["reason"], foreign["attempts"]) == ("UNDECODABLE", 2)
    assert (await client.xpending(STREAM, GROUP))["pending"] == 0


async def test_forged_events_are_dead_letters(reader: Database, client: Any, url: str):
    """D23: events that somebody writes past the publisher, in another's name or under another tenant's key, have no
    effect and are kept; those of the publisher flow, and a number that was used is no new event.
    """
    receiver = consumer(reader, url)
    theirs = envelope_pb2.Envelope.FromString(envelope(2, text="forged"))
    theirs.tenant_id = "rival"
    strangers = envelope_pb2.Envelope.FromString(envelope(2, text="forged"))
    strangers.source = "stranger"
    await add(client, envelope(1), theirs.SerializeToString(), strangers.SerializeToString(), envelope(2), envelope(2))
    async with running(receiver):
        await until_seen(reader, [1, 2])
        await until(lambda: receiver.counts.dead == 2)
    assert await seen(reader) == [(1, "n1"), (2, "n2")]
    assert {row["reason"] for row in await rows(reader, PLATFORM.dead_letter)} == {"UNDECODABLE"}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (envelope(2, type_="pos.event.v9.Unheard"), "UNKNOWN_TYPE"),
        (envelope(2).replace(b"\x0a\x02n2", b"\x0a\xffn2"), "UNDECODABLE"),
    ],
)
async def test_what_no_handler_knows_is_a_dead_letter_at_once(
    reader: Database, client: Redis, url: str, broken: bytes, reason: str
):
    """Its number is a hole, so that its key goes on; it is kept with everything needed to send it again."""
    receiver = consumer(reader, url)
    await add(client, envelope(1), broken, envelope(3))

    async with running(receiver):
        await until_seen(reader, [1, 3])

    (letter,) = await rows(reader, PLATFORM.dead_letter)
    (hole,) = await rows(reader, PLATFORM.hole)
    assert (letter["reason"], letter["key"], letter["number"], letter["envelope"]) == (reason, KEY, 2, broken)
    assert (hole["number"], hole["reason"], hole["closed_time"]) == (2, "DEAD_LETTER", None)


async def test_a_consumer_that_learned_the_type_fills_the_hole(reader: Database, client: Redis, url: str):
    """Sent again to a newer consumer, a dead letter is applied, and hole and letter are closed."""
    unknown = envelope(1, type_="events.bench.Scrap")
    await add(client, unknown, envelope(2))
    async with running(consumer(reader, url)):
        await until_seen(reader, [2])

    await add(client, unknown)
    async with running(newer := consumer(reader, url, {Note: keep, Scrap: keep})):
        await until_seen(reader, [2, 1])

    assert newer.counts.filled == 1
    (letter,) = await rows(reader, PLATFORM.dead_letter)
    (hole,) = await rows(reader, PLATFORM.hole)
    assert letter["closed_time"] is not None
    assert hole["closed_time"] is not None


def test_refuses_topics_that_do_not_declare_it(reader: Database):
    """A group the contract does not name would be waited for by nobody: the relay would not keep its events."""
    leases = Leases(reader, PLATFORM)
    with pytest.raises(TopicError, match="notes does not declare the group stranger"):
        Consumer(reader, PLATFORM, "redis://127.0.0.1:1", group="stranger", handlers={Note: keep}, leases=leases)
