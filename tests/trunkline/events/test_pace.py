"""How a backlog is sent and applied while calls are served."""

from __future__ import annotations

from collections import Counter

from redis.asyncio import Redis
from trunkline.events.consuming.flow import SERVING_BATCH
from trunkline.events.publishing.hints import channel_of
from trunkline.events.publishing.pace import BACKLOG, PER_CPU_S, SLICE, SLICE_S, Pace
from trunkline.events.publishing.relay import LEASE
from trunkline.events.topics import shard_of, stream_name
from trunkline.foreground import RECENT_S, Foreground
from trunkline.storage import Database

from tests.trunkline.events.notes import (
    KEY,
    PLATFORM,
    SOURCE,
    add,
    consumer,
    envelope,
    numbers,
    publish,
    relay,
    rows,
    running,
    until,
)

STREAM = stream_name("notes", shard_of(KEY, 8))


def test_a_backlog_is_sent_in_slices():
    """While calls are served a few events are sent at a time, at a steady pace; a few that wait are no backlog."""
    assert Pace(processors=2).per_s == 2 * PER_CPU_S
    pace = Pace(processors=1)
    pace.note(newest=100, now=0.0)
    assert pace.slice(first=100 - BACKLOG, waiting=256) == (SLICE, SLICE / pace.per_s)
    assert pace.slice(first=100 - BACKLOG, waiting=3) == (3, 3 / pace.per_s)
    assert pace.slice(first=100 - BACKLOG + 1, waiting=BACKLOG) == (BACKLOG, 0.0)


def test_a_backlog_becomes_shorter():
    """Whatever is published meanwhile, twice as much is sent; and no more than usual when that is over."""
    pace = Pace(processors=1)
    pace.note(newest=1_000, now=10.0)
    pace.note(newest=1_500, now=10.5)
    assert pace.per_s == PER_CPU_S  # too early to tell
    pace.note(newest=2_000, now=12.0)
    assert pace.per_s == 2 * 500
    assert pace.slice(first=1, waiting=256) == (1_000 * SLICE_S, SLICE_S)
    pace.note(newest=2_001, now=13.0)
    assert pace.per_s == PER_CPU_S


async def test_a_relay_yields_to_calls(publisher: Database, client: Redis, url: str):
    """While calls are served it sends a backlog slice by slice; when there are none any more, all at once."""
    now, count = 0.0, 1_000
    foreground = Foreground(lambda: now)
    foreground.note()
    await publish(publisher, *map(str, range(count)))
    sender, steps, before = relay(publisher, url, foreground=foreground), list[int](), 0

    def note() -> int:
        nonlocal before
        if sender.counts.sent > before:
            steps.append(sender.counts.sent - before)
            before = sender.counts.sent
        return before

    async with running(sender):
        await until(lambda: note() > 0 and len(steps) >= 5)
        now = RECENT_S
        await until(lambda: note() == count)
    assert len(set(steps[:5])) == 1
    assert steps[0] < max(steps)
    assert await numbers(client, STREAM) == list(range(1, count + 1))


async def test_a_relay_that_begins_to_listen_yields_to_nobody(publisher: Database, client: Redis, url: str):
    """A hint of another process tells of calls; that hints are heard from now on does not."""
    foreground, told = Foreground(lambda: 0.0), list[bool]()
    sender = relay(publisher, url, foreground=foreground)
    heard = sender._hints._heard

    def note(hint: bool) -> None:
        told.append(hint)
        heard(hint)

    sender._hints._heard = note
    async with running(sender):
        await until(lambda: told == [False] and sender._leases.has(LEASE))
        assert not foreground.is_active()
        await client.publish(channel_of(SOURCE), b"")
        await until(foreground.is_active)
    assert told == [False, True]


async def test_batches_are_short_while_calls_are_served(reader: Database, client: Redis, url: str):
    """What a call writes waits for a few events; without calls, as many as there are share a transaction."""
    foreground = Foreground(lambda: 0.0)
    foreground.note()
    count = 2 * SERVING_BATCH
    await add(client, *(envelope(number) for number in range(1, count + 1)))
    async with running(receiver := consumer(reader, url, foreground=foreground)):
        await until(lambda: receiver.counts.applied == count)
    sizes = Counter(row["apply_time"] for row in await rows(reader, PLATFORM.inbox))
    assert list(sizes.values()) == [SERVING_BATCH] * 2
