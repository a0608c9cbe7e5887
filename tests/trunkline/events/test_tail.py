"""Watching a topic."""

from __future__ import annotations

import asyncio
import contextlib

from redis.asyncio import Redis
from trunkline.events import tail
from trunkline.launcher.embedded import EmbeddedRedis

from tests.trunkline.events.notes import BOUND_S, envelope, until


async def _watched(client: Redis, channel: str) -> bool:
    found = await client.pubsub_numsub(channel)
    return bool(found[0][1])


async def test_shows_what_is_published(client: Redis, url: str):
    """Every event from now on, of all topics that are watched; what is no envelope is passed over."""
    async with contextlib.aclosing(tail(url, "notes", "memos")) as events, asyncio.timeout(BOUND_S):
        first = asyncio.ensure_future(anext(events))
        await until(lambda: _watched(client, "notes"))
        await client.publish("notes", b"\xff\xff")
        await client.publish("memos", envelope(1))
        await client.publish("notes", envelope(2))

        assert [(await first).number, (await anext(events)).number] == [1, 2]


async def test_goes_on_after_an_outage(own_server: EmbeddedRedis):
    """When Redis is back, so is the watcher; what was published meanwhile is missed, and it is told of both."""
    told = list[str]()
    watching = tail(
        own_server.url, "notes", listening=lambda: told.append("listening"), away=lambda _: told.append("away")
    )
    async with contextlib.aclosing(watching) as events, asyncio.timeout(BOUND_S):
        for number in (1, 2):
            event = asyncio.ensure_future(anext(events))
            async with Redis.from_url(own_server.url, protocol=2) as client:
                await until(lambda client=client: _watched(client, "notes"))  # type: ignore[misc]
                await client.publish("notes", envelope(number))
            assert (await event).number == number
            await own_server.stop()
            await own_server.start()
    assert told[:2] == ["listening", "away"]
    assert told[-1] == "listening"
