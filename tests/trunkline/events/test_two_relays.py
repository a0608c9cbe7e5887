"""Two processes of one publisher: one relays, the other tells it of its commits, and takes over when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from trunkline.events import Relay
from trunkline.events.publishing.relay import LEASE
from trunkline.events.topics import shard_of, stream_name
from trunkline.storage import Database
from trunkline.storage.leases import Leases

from tests.trunkline.events.notes import KEY, PLATFORM, SOURCE, TOPICS, numbers, publish, until

STREAM = stream_name("notes", shard_of(KEY, 8))
SELDOM_S = 60.0
"""Polls are no help within the bound of a test."""


@asynccontextmanager
async def member(database: Database, url: str) -> AsyncIterator[tuple[Relay, Leases]]:
    """A process of the publisher, as far as it matters here."""
    leases = Leases(database, PLATFORM, beat_s=0.05)
    one = Relay(database, PLATFORM, url, source=SOURCE, topics=TOPICS, leases=leases, poll_s=SELDOM_S)
    stop = asyncio.Event()
    tasks = [asyncio.create_task(work(stop)) for work in (leases.run, one.run)]
    try:
        yield one, leases
    finally:
        stop.set()
        await asyncio.gather(*tasks)
        await leases.end()


async def test_who_stands_by_tells_of_its_commits(publisher: Database, client: Any, url: str):
    """A commit there is sent at once by the one who relays, long before it would look by itself."""
    async with member(publisher, url) as (first, leases):
        await until(lambda: leases.has(LEASE))
        async with member(publisher, url) as (second, others):
            await until(lambda: others.holders.leases.get(LEASE) == leases.worker_id)
            await until(_heard(client))
            await publish(publisher, "one", "two")
            second.wake()
            await until(lambda: first.counts.sent == 2)
            assert second.counts.sent == 0
    assert await numbers(client, STREAM) == [1, 2]


async def test_the_other_takes_over(publisher: Database, client: Any, url: str):
    """Who ends gives the lease back: nothing waits for a poll, and nothing is sent twice."""
    async with member(publisher, url) as (second, _):
        async with member(publisher, url) as (first, _):
            await until(lambda: first._leases.has(LEASE) or second._leases.has(LEASE))
            await publish(publisher, "one")
            first.wake()
            second.wake()
            await until(lambda: first.counts.sent + second.counts.sent == 1)
        await until(lambda: second._leases.has(LEASE))
        await publish(publisher, "two")
        second.wake()
        await until(lambda: first.counts.sent + second.counts.sent == 2)
    assert await numbers(client, STREAM) == [1, 2]


def _heard(client: Any) -> Any:
    async def both_listen() -> bool:
        (_, listeners), *_rest = await client.pubsub_numsub(f"{SOURCE}:wake")
        return bool(listeners == 2)

    return both_listen
