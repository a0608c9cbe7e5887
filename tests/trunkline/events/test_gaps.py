"""Missing numbers: the key waits, goes on after a while, and takes the late ones."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import pytest
from redis.asyncio import Redis
from trunkline.events.consuming.inbox import GAP_PATIENCE
from trunkline.storage import Database
from trunkline.testing.clock import FakeClock

from tests.trunkline.events.notes import (
    KEY,
    OTHER_KEY,
    PLATFORM,
    add,
    consumer,
    entries,
    envelope,
    publish,
    relay,
    rows,
    running,
    seen,
    until,
    until_seen,
)
from tests.trunkline.storage.kinds import BOTH

KINDS = BOTH

Logs = list[MutableMapping[str, Any]]


async def test_a_gap_parks_its_key_and_is_filled(reader: Database, client: Redis, url: str, clock: FakeClock):
    """What comes after a missing number waits; other keys flow; it comes, and order is kept."""
    receiver = consumer(reader, url, clock=clock)
    await add(client, envelope(1), envelope(4), envelope(3), envelope(4))
    await add(client, envelope(1, key=OTHER_KEY), key=OTHER_KEY)

    async with running(receiver):
        await until_seen(reader, [1], OTHER_KEY)
        await until(lambda: receiver.counts.parked == 2)
        assert [number for number, _ in await seen(reader, KEY)] == [1]
        assert [row["number"] for row in await rows(reader, PLATFORM.parked_event)] == [3, 4]

        await add(client, envelope(2))
        await until_seen(reader, [1, 2, 3, 4])
        await until(lambda: receiver.next_due() is None)

    assert await rows(reader, PLATFORM.parked_event) == []
    assert await rows(reader, PLATFORM.hole) == []


async def test_parked_events_outlive_a_restart(reader: Database, client: Redis, url: str, clock: FakeClock):
    """They are acknowledged, and their bytes are in the consumer's own database."""
    await add(client, envelope(2))
    async with running(first := consumer(reader, url, clock=clock)):
        await until(lambda: first.counts.parked == 1)
    await client.flushall()
    await add(client, envelope(1))

    async with running(consumer(reader, url, clock=clock)):
        await until_seen(reader, [1, 2])


async def test_after_30_seconds_the_key_goes_on(
    reader: Database, client: Redis, url: str, clock: FakeClock, event_logs: Logs
):
    """E8: The missing numbers are recorded as holes, and the log says so once."""
    receiver = consumer(reader, url, clock=clock)
    await add(client, envelope(1), envelope(4), envelope(5), envelope(7))

    async with running(receiver):
        await until(lambda: receiver.counts.parked == 3)
        clock.advance(29.9)
        await add(client, envelope(1, key=OTHER_KEY), key=OTHER_KEY)
        await until_seen(reader, [1], OTHER_KEY)
        assert receiver.counts.holes == 0
        clock.advance(0.2)
        await until_seen(reader, [1, 4, 5, 7])

    holes = await rows(reader, PLATFORM.hole)
    assert [(hole["number"], hole["reason"], hole["closed_time"]) for hole in holes] == [
        (2, "MISSING", None),
        (3, "MISSING", None),
        (6, "MISSING", None),
    ]
    assert receiver.counts.holes == 3
    lines = [one["numbers"] for one in event_logs if one["event"] == "numbers are missing; the key goes on"]
    assert lines == ["2 to 3", "6 to 6"]


async def test_a_wide_gap_is_passed_over_in_parts(reader: Database, client: Redis, url: str, clock: FakeClock):
    """A thousand missing numbers are a thousand holes, in transactions of bounded size."""
    receiver = consumer(reader, url, clock=clock)
    await add(client, envelope(1001))

    async with running(receiver):
        await until(lambda: receiver.counts.parked == 1)
        clock.advance(31)
        await until_seen(reader, [1001])

    assert receiver.counts.holes == 1000
    assert len(await rows(reader, PLATFORM.hole)) == 1000


async def test_a_late_event_fills_its_hole(reader: Database, client: Redis, url: str, clock: FakeClock):
    """E8: What was passed over is applied when it comes after all, once."""
    receiver = consumer(reader, url, clock=clock)
    await add(client, envelope(3))

    async with running(receiver):
        await until(lambda: receiver.counts.parked == 1)
        clock.advance(31)
        await until_seen(reader, [3])
        await add(client, envelope(2), envelope(2), envelope(1), envelope(4))
        await until_seen(reader, [3, 2, 1, 4])

    assert (receiver.counts.filled, receiver.counts.duplicates) == (2, 1)
    assert all(hole["closed_time"] is not None for hole in await rows(reader, PLATFORM.hole))


async def test_patience_begins_anew_after_a_restart(reader: Database, client: Redis, url: str, clock: FakeClock):
    """A consumer that was away for a minute gives the missing ones their time before it goes on without them."""
    await add(client, envelope(2))
    async with running(first := consumer(reader, url, clock=clock)):
        await until(lambda: first.counts.parked == 1)
    clock.advance(60)

    async with running(second := consumer(reader, url, clock=clock)):
        await until(lambda: second.next_due() is not None and second.outage.error is None)
        await add(client, envelope(1))
        await until_seen(reader, [1, 2])

    assert second.counts.holes == 0


@pytest.mark.parametrize("hours", [2, -2])
async def test_patience_is_measured(reader: Database, client: Redis, url: str, clock: FakeClock, hours: int):
    """H1: the clock is set while a key waits: it waits for its 30 s, neither for none of them nor for two hours."""
    receiver = consumer(reader, url, clock=clock)
    await add(client, envelope(2))
    async with running(receiver):
        await until(lambda: receiver.counts.parked == 1)
        clock.set_ahead(hours * 3600)
        await until(lambda: receiver.next_due() == clock.now() + GAP_PATIENCE)
        assert receiver.counts.holes == 0
        clock.advance(30)
        await until_seen(reader, [2])
    assert receiver.counts.holes == 1


async def test_what_redis_lost_in_the_middle_is_sent_again(
    publisher: Database, reader: Database, client: Redis, url: str, clock: FakeClock
):
    """Emptied behind the relay's back, Redis gets the lost events after newer ones; the key waits and loses none."""
    sender = relay(publisher, url)
    async with running(sender):
        await publish(publisher, "1", "2")
        await until(lambda: sender.counts.sent == 2)
        await client.flushall()
        await publish(publisher, "3")
        sender.wake()
        async with running(receiver := consumer(reader, url, clock=clock)):
            await until_seen(reader, [1, 2, 3])

    assert receiver.counts.holes == 0
    assert len(await entries(client, "{notes:4}")) >= 3
