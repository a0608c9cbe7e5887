"""One embedded server for all tests of events, emptied before each, and a database of either side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis
from trunkline.events.consuming import settling
from trunkline.events.publishing import reconciling, relay
from trunkline.events.streams import outage
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.storage import Database
from trunkline.testing.clock import FakeClock

from tests.trunkline.events.notes import METADATA
from tests.trunkline.storage.kinds import Databases, made, opened


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """The server that all share; nobody stops it."""
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def client(redis_server: EmbeddedRedis) -> AsyncIterator[Redis]:
    """A connection of the test's own, to an empty server."""
    async with Redis.from_url(redis_server.url, protocol=2) as client:
        await client.flushall()
        yield client


@pytest.fixture
def url(client: Redis, redis_server: EmbeddedRedis) -> str:
    """Address of the empty server."""
    return redis_server.url


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server that the test may stop; it forgets everything when it does."""
    async with embedded_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def lasting_server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A server that the test may stop; it keeps its data."""
    async with embedded_redis(tmp_path / "redis", persistent=True) as server:
        yield server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of a module run on the kinds of databases that it names."""
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", getattr(metafunc.module, "KINDS", ("sqlite",)), scope="function")


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """One PostgreSQL server for all tests of a process."""
    yield from made()


@pytest.fixture
async def publisher(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Database of the notebook."""
    database = await opened(kind, METADATA, tmp_path / "publisher.db", request)
    yield database
    await database.close()


@pytest.fixture
async def reader(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """Database of the reader."""
    database = await opened(kind, METADATA, tmp_path / "reader.db", request)
    yield database
    await database.close()


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()


@pytest.fixture
def event_logs(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """What relay and consumers log, of every level, whatever the process is set to."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(None, processors=[capture], wrapper_class=structlog.BoundLogger)
    for module in (outage, reconciling, relay, settling):
        monkeypatch.setattr(module, "_log", logger)
    return capture.entries
