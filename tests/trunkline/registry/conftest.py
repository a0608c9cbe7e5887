"""A registry on a real server, and one in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.registry.instance import Instance
from trunkline.registry.redis import RedisRegistry
from trunkline.testing.registry import MemoryRegistry


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """The server that all share; nobody stops it."""
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def url(redis_server: EmbeddedRedis) -> str:
    """Address of the server, emptied."""
    async with Redis.from_url(redis_server.url, protocol=2) as client:
        await client.flushall()
    return redis_server.url


@pytest.fixture(params=["memory", "redis"])
async def registry(request: pytest.FixtureRequest, redis_server: EmbeddedRedis) -> AsyncIterator[Any]:
    """Each of the two."""
    if request.param == "memory":
        yield MemoryRegistry()
        return
    async with Redis.from_url(redis_server.url, protocol=2) as client:
        await client.flushall()
    found = RedisRegistry(redis_server.url)
    yield found
    await found.close()


def heard(monkeypatch: pytest.MonkeyPatch, *modules: Any) -> list[str]:
    """Levels of the lines that modules log from now on."""
    levels: list[str] = []

    class Log:
        def __getattr__(self, level: str) -> Any:
            return lambda *_, **__: levels.append(level)

    for module in modules:
        monkeypatch.setattr(module, "_log", Log())
    return levels


def instance(number: int = 1, service: str = "item", **others: Any) -> Instance:
    """An instance that serves."""
    told: dict[str, Any] = {
        "service": service,
        "instance_id": f"i{number}",
        "address": f"127.0.0.1:{5000 + number}",
        "state": "serving",
        "start_time": float(number),
    }
    return Instance(**(told | others))
