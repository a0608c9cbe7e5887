"""The faults of chaos: each begins, lasts, and is over. Those of one kind of victim wait for each other."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections import defaultdict
from contextlib import closing

from trunkline.testing.fault_modes import Blackhole, Half, Latency, Mode
from trunkline.testing.fault_proxy import FaultProxy

from tests.faults.events.breaking_redis import KINDS as OF_REDIS
from tests.faults.events.breaking_redis import BreakingRedis
from tests.faults.events.world import World, small_nodes


class Faulting:
    """Inflicts faults on a world behind a proxy."""

    def __init__(self, scene: World, proxy: FaultProxy) -> None:
        self._scene = scene
        self._proxy = proxy
        self._redis = BreakingRedis(scene.redis, scene.folder / "redis", small_nodes)
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def inflict(self, kind: str, role: str, which: int, for_s: float) -> None:
        """Has a fault begin, and ends it."""
        if kind in ("kill", "stop"):
            await getattr(self, f"_{kind}")(role, which, for_s)
        elif kind == "lock_database":
            async with self._locks[role]:
                # Somebody else holds the database: nobody can write.
                await asyncio.to_thread(hold, str(self._scene.folder / f"{role}.db"), for_s)
        elif kind in OF_REDIS:
            await self._redis.inflict(kind, for_s)
        elif kind == "reset":
            await self._proxy.reset_connections()
        else:
            modes: dict[str, Mode] = {"half": Half(), "blackhole": Blackhole(), "latency": Latency(0.1)}
            async with self._locks["proxy"]:
                await self._proxy.set(modes[kind])
                await asyncio.sleep(for_s)
                await self._proxy.heal()

    async def _kill(self, role: str, which: int, for_s: float) -> None:
        alive = self._scene.alive(role)
        if which < len(alive):
            alive[which].signal(signal.SIGKILL)
            await alive[which].ended(5)
            await asyncio.sleep(for_s)
            self._scene.start(role)

    async def _stop(self, role: str, which: int, for_s: float) -> None:
        alive = self._scene.alive(role)
        if which < len(alive):
            alive[which].signal(signal.SIGSTOP)
            await asyncio.sleep(for_s)
            alive[which].signal(signal.SIGCONT)


def hold(file: str, for_s: float) -> None:
    """Keeps a database to itself."""
    with closing(sqlite3.connect(file, timeout=20, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(for_s)
        connection.execute("ROLLBACK")
