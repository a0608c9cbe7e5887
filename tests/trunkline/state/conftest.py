"""A Redis of the test's own, with a proxy before it, and what its rates log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.state import redis_rates, redis_store
from trunkline.testing.fault_proxy import FaultProxy
from trunkline.testing.resp_proxy import RespProxy


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A server that nobody stops."""
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def clean(shared_server: EmbeddedRedis) -> None:
    """It is empty."""
    async with Redis.from_url(shared_server.url) as client:
        await client.flushall()


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server that the test may stop; it forgets everything when it does."""
    async with embedded_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def proxy(own_server: EmbeddedRedis) -> AsyncIterator[FaultProxy]:
    """Before that server."""
    async with FaultProxy("127.0.0.1", own_server.port) as proxy:
        yield proxy


@pytest.fixture
async def resp_proxy(own_server: EmbeddedRedis) -> AsyncIterator[RespProxy]:
    """Before that server, command by command."""
    async with RespProxy("127.0.0.1", own_server.port) as proxy:
        yield proxy


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """What is logged."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.BoundLogger)
    for module in (redis_rates, redis_store):
        monkeypatch.setattr(module, "_log", logger)
    return capture.entries
