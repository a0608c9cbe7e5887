"""The relay, beside the same bytes sent by hand."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from trunkline.events import Relay
from trunkline.events.publishing.relay import BATCH
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.storage.leases import Leases

from bench.eventing.feed import PLATFORM, TOPIC, client_of, envelopes, fill_outbox, opened, pipelined, unsend


class Relaying:
    """An outbox with some events, and a Redis that is emptied before each of them is sent."""

    def __init__(self, folder: Path, redis: EmbeddedRedis, *, count: int, terminals: int, shards: int) -> None:
        self.count = count
        """Events that are sent each time."""
        self._folder, self._redis = folder, redis
        self._terminals, self._shards = terminals, shards
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        name = f"publisher-{self.count}-{self._terminals}-{self._shards}.db"
        self._database = await self._stack.enter_async_context(opened(self._folder / name))
        await fill_outbox(self._database, self.count, self._terminals)
        self._raw = envelopes(self.count, self._terminals, self._shards)
        self._client: Any = await self._stack.enter_async_context(client_of(self._redis.url))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def by_hand(self) -> float:
        """Events a second, sent from memory in pipelines as long as the relay's."""
        await self._client.flushall()
        started = time.perf_counter()
        await pipelined(self._client, self._raw, BATCH, publish=True)
        return self.count / (time.perf_counter() - started)

    async def relayed(self) -> float:
        """Events a second, from the outbox to the streams, each marked as sent."""
        await self._client.flushall()
        await unsend(self._database)
        leases = Leases(self._database, PLATFORM)
        await leases.beat()
        relay = Relay(
            self._database, PLATFORM, self._redis.url, source=TOPIC.publisher, topics=[TOPIC], shards=self._shards,
            leases=leases,
        )  # fmt: skip
        stop = asyncio.Event()
        started = time.perf_counter()
        running = asyncio.create_task(relay.run(stop))
        try:
            while relay.counts.sent < self.count:
                await asyncio.sleep(0.001)
                if running.done():
                    await running
            return self.count / (time.perf_counter() - started)
        finally:
            stop.set()
            await running
            await leases.end()
