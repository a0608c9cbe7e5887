"""What a service needs goes away and comes back: a real one, with a database, events and three peers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from trunkline.health import LIVENESS
from trunkline.launcher.embedded import EmbeddedRedis
from trunkline.launcher.ports import free_range
from trunkline.storage.migrate import upgrade
from trunkline.testing.fault_proxy import LOOPBACK

from services.terminal.storage.tables import METADATA, VERSIONS
from tests.faults.lifecycle.running import Running
from tests.shop.waiting import until

pytestmark = pytest.mark.xdist_group("fault-dependencies")
PEERS = ("account", "store", "cart")
TERMINAL = "pos.terminal.v1.TerminalService"
BACK_S = 5.0
"""Seconds within which a change is told."""
CROWDED_S = 3.0
"""What is allowed on top: two cores are shared with other tests."""
AWAY_S = 6.0
"""Seconds for which everything is away."""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Running]:
    """The terminal service, not started; nobody is where its peers and Redis should be."""
    redis, *peers = range(first := free_range(1 + len(PEERS)), first + 1 + len(PEERS))
    variables: dict[str, object] = {"REDIS_URL": f"redis://{LOOPBACK}:{redis}/0"}
    for name, port in zip(PEERS, peers, strict=True):
        variables |= {f"{name.upper()}_SERVICE_HOST": LOOPBACK, f"{name.upper()}_SERVICE_PORT": port}
    database = tmp_path / "var" / "terminal" / "terminal.db"
    database.parent.mkdir(parents=True)
    upgrade(database, METADATA, VERSIONS)
    found = Running(tmp_path, module="services.terminal", **variables)  # type: ignore[arg-type]
    found.environment["POS_TERMINAL_PORT"] = str(found.port)
    yield found
    if found.pid:
        found.end()


def redis_of(terminal: Running, tmp_path: Path) -> EmbeddedRedis:
    """The Redis of a service, not started."""
    return EmbeddedRedis(tmp_path / "redis", port=int(terminal.environment["REDIS_URL"].split(":")[-1][:-2]))


class Watched:
    """What a service says of some names, as it changes."""

    def __init__(self, stub: Any, *names: str) -> None:
        self.now: dict[str, bool] = {}
        self.told: Counter[tuple[str, bool]] = Counter()
        self._tasks = [asyncio.create_task(self._watch(stub, name)) for name in names]

    async def close(self) -> None:
        """Stops watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def becomes(self, **expected: bool) -> None:
        """Waits until all is so; names are written with `_` for `.`, and `all` for the empty one."""
        began = time.monotonic()
        wanted = {"" if name == "all" else name.replace("_", "."): value for name, value in expected.items()}
        await until(lambda: {name: self.now.get(name) for name in wanted} == wanted, f"{wanted}", BACK_S + CROWDED_S)
        assert time.monotonic() - began < BACK_S + CROWDED_S

    async def _watch(self, stub: Any, name: str) -> None:
        async for answer in stub.Watch(health_pb2.HealthCheckRequest(service=name)):
            serving = answer.status == health_pb2.HealthCheckResponse.SERVING
            self.now[name] = serving
            self.told[name, serving] += 1


@asynccontextmanager
async def watching(terminal: Running) -> AsyncIterator[tuple[Any, Watched]]:
    """A stub of its health, and a watch of all that it tells."""
    async with grpc.aio.insecure_channel(terminal.target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watched = Watched(stub, "", TERMINAL, LIVENESS, "dep.db", "dep.redis", "dep.store")
        try:
            yield stub, watched
        finally:
            await watched.close()


async def test_everything_is_away_at_the_start(terminal: Running, tmp_path: Path):
    """B9: Redis and all peers are down: the service starts, serves what needs none of them, tells of each, neither ends
    nor fills its log, and finds Redis within 5 s when it is there.
    """
    await asyncio.to_thread(terminal.start)
    pid = terminal.pid
    async with watching(terminal) as (_, watched):
        await watched.becomes(all=True, liveness=True, dep_db=True, dep_redis=False, dep_store=False)
        await asyncio.sleep(AWAY_S)  # how much it says meanwhile is the subject
        lines = Counter(str(line["event"]) for line in terminal.lines())
        assert max(lines.values()) <= AWAY_S, lines
        redis = redis_of(terminal, tmp_path)
        await redis.start()
        try:
            await watched.becomes(all=True, dep_redis=True)
        finally:
            await redis.stop()
        assert watched.told["", False] == 0
    assert terminal.pid == pid


async def test_redis_and_the_database_go_and_come_back(terminal: Running, tmp_path: Path):
    """B6, G4: without Redis only dep.redis tells of it; without its database the service is ready for nothing and alive
    all the same; both are back within 5 s, watchers see every change, and an unknown name is NOT_FOUND.
    """
    redis = redis_of(terminal, tmp_path)
    await redis.start()
    try:
        await asyncio.to_thread(terminal.start)
        async with watching(terminal) as (stub, watched):
            await watched.becomes(all=True, liveness=True, dep_db=True, dep_redis=True)
            await redis.stop()
            await watched.becomes(all=True, liveness=True, dep_db=True, dep_redis=False)
            await redis.start()
            await watched.becomes(all=True, dep_redis=True)
            database = tmp_path / "var" / "terminal" / "terminal.db"
            away = database.rename(database.with_name("away.db"))
            await watched.becomes(all=False, liveness=True, dep_db=False, dep_redis=True)
            assert watched.now[TERMINAL] is False
            away.rename(database)
            await watched.becomes(all=True, liveness=True, dep_db=True, dep_redis=True)
            await until(lambda: watched.now[TERMINAL], "the service's own name is SERVING too", BACK_S)
            flips = {name: watched.told[name, False] for name in ("", TERMINAL, LIVENESS, "dep.db", "dep.redis")}
            assert flips == {"": 1, TERMINAL: 1, LIVENESS: 0, "dep.db": 1, "dep.redis": 1}
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    finally:
        await redis.stop()
