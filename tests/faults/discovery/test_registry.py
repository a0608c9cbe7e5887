"""Instances that come, drain and die behind the registry, and a registry that is away: open channels follow."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from redis.asyncio import Redis
from trunk.testing.v1 import ping_service_pb2 as pb
from trunk.testing.v1 import ping_service_pb2_grpc as pb_grpc
from trunkline.client import connect
from trunkline.errors import ServiceError
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.registry.redis import PREFIX
from trunkline.server import Server
from trunkline.service import Service
from trunkline.settings import PlatformSettings
from trunkline.testing.ping import BENCH_SETTINGS, PingServicer, Reached

from tests.shop.waiting import until

NOTICED_S = 5.0
"""Seconds within which a new instance must be called."""


@dataclass
class Room:
    """Servers of one service that register, and a caller that finds them there."""

    settings: PlatformSettings
    """Of all."""
    stub: Any = None
    """Of the caller, on one channel that stays open."""
    servers: list[tuple[Server, Reached]] = field(default_factory=list)
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def serve(self) -> Reached:
        """One more instance; gives what reaches it."""
        reached = Reached()
        server = Server([Service(name="ping", servicers=[PingServicer(reached)])], self.settings)
        await self.stack.enter_async_context(server)
        self.servers.append((server, reached))
        return reached

    async def all_called(self) -> None:
        """Calls until every instance has been reached."""

        async def reached() -> bool:
            await self.call()
            return all(one.calls["Ping"] for _, one in self.servers)

        await until(reached, "all instances are called", 2 * NOTICED_S)

    async def call(self, times: int = 1) -> None:
        """Calls; none may fail."""
        for _ in range(times):
            await self.stub.Ping(pb.PingRequest(value="v"))


@asynccontextmanager
async def room(url: str, var_dir: Path, servers: int, **settings: Any) -> AsyncIterator[Room]:
    """So many servers, and a caller."""
    told = {"registry_url": url, "registry_lease_s": 3.0, "var_dir": var_dir, "drain_wait_s": 0.1} | settings
    found = Room(BENCH_SETTINGS.model_copy(update=told))
    async with found.stack:
        for _ in range(servers):
            await found.serve()
        target = "registry:///ping"
        channel: Any = await found.stack.enter_async_context(connect("ping", target=target, settings=found.settings))
        found.stub = pb_grpc.PingServiceStub(channel)
        yield found


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server that may be stopped."""
    server = EmbeddedRedis(tmp_path / "redis")
    await server.start()
    yield server
    await server.stop()


async def test_an_instance_is_added(redis: EmbeddedRedis, tmp_path: Path):
    """B7: a second instance gets its share of the calls of a channel that is open within five seconds of its start."""
    async with room(redis.url, tmp_path, 1) as on:
        await on.call()
        added = await on.serve()
        began = time.monotonic()

        async def called() -> bool:
            await on.call()
            return added.calls["Ping"] > 0

        await until(called, "the new instance is called", NOTICED_S)
        assert time.monotonic() - began < NOTICED_S
        before = Counter({name: one[1].calls["Ping"] for name, one in enumerate(on.servers)})
        await on.call(20)
        shares = [one[1].calls["Ping"] - before[name] for name, one in enumerate(on.servers)]
        assert shares == [10, 10]


async def test_a_caller_is_there_first(redis: EmbeddedRedis, tmp_path: Path):
    """A call before the first instance waits for it inside its deadline, and fails with a reason when that ends."""
    async with room(redis.url, tmp_path, 0) as on:
        with pytest.raises(ServiceError, match="PEER_UNREACHABLE: no instance of the target is registered"):
            await on.stub.Ping(pb.PingRequest(), timeout=0.3)
        call = on.stub.Ping(pb.PingRequest(value="v"), timeout=10.0)
        await on.serve()
        assert (await call).value == "v"


async def test_an_instance_drains(redis: EmbeddedRedis, tmp_path: Path):
    """B1: of two instances under calls one drains and leaves: no call fails, the registry forgets it, the other goes
    on.
    """
    async with room(redis.url, tmp_path, 2) as on:
        await on.all_called()
        leaving, reached = on.servers[0]
        drain = asyncio.create_task(leaving.drain())
        while not drain.done():
            await on.call()
        await on.call(20)
        before = reached.calls["Ping"]
        await on.call(20)
        assert reached.calls["Ping"] == before
        async with Redis.from_url(redis.url, protocol=2) as client:
            assert await client.hlen(f"{PREFIX}{{ping}}") == 1


async def test_the_registry_dies(redis: EmbeddedRedis, tmp_path: Path):
    """B7: with the registry gone calls go on to those that were known; once it is back, empty, an instance that was
    added meanwhile is called too.
    """
    async with room(redis.url, tmp_path / "var", 2) as on:
        await on.all_called()
        await redis.stop()
        await on.call(20)
        added = await on.serve()
        await on.call(20)
        assert added.calls["Ping"] == 0
        await redis.start()
        async with Redis.from_url(redis.url, protocol=2) as client:
            await client.flushall()
        await on.all_called()
        assert all(reached.calls["Ping"] > 10 for _, reached in on.servers[:2])


async def test_the_registry_names_somebody_dead(redis: EmbeddedRedis, tmp_path: Path):
    """B7: an address where nobody listens is skipped: no call fails."""
    async with room(redis.url, tmp_path, 1) as on:
        dead = await on.serve()
        await on.all_called()
        server, _ = on.servers[1]
        await server._server.stop(None)  # as a process that is killed: its lease stays
        before = dead.calls["Ping"]
        await on.call(20)
        assert dead.calls["Ping"] == before


async def test_a_stream_outlives_a_change(redis: EmbeddedRedis, tmp_path: Path):
    """B7: a stream that is open when the addresses change goes on to its end on the channel it began on."""
    async with room(redis.url, tmp_path, 1) as on:
        chat = on.stub.PingChat(timeout=20.0)
        await chat.write(pb.PingChatRequest(value="before"))
        assert (await chat.read()).value == "before"
        await on.serve()
        await on.all_called()
        await chat.write(pb.PingChatRequest(value="after"))
        assert (await chat.read()).value == "after"
        await chat.done_writing()
        assert await chat.read() is grpc.aio.EOF
