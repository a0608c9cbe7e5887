"""The faults of chaos: each begins, lasts, and is over. Those of one kind of victim wait for each other."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections import defaultdict
from contextlib import closing

from redis import Redis
from trunkline.testing.fault_modes import Blackhole, Half, Latency, Mode
from trunkline.testing.fault_proxy import FaultProxy

from tests.faults.events.world import World, small_nodes


class Faulting:
    """Inflicts faults on a world behind a proxy."""

    def __init__(self, scene: World, proxy: FaultProxy) -> None:
        self._scene = scene
        self._proxy = proxy
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def inflict(self, kind: str, role: str, which: int, for_s: float) -> None:
        """Has a fault begin, and ends it."""
        if kind in ("kill", "stop"):
            await getattr(self, f"_{kind}")(role, which, for_s)
        elif kind == "lock_database":
            async with self._locks[role]:
                await self._lock_database(role, for_s)
        elif kind.endswith("_redis"):
            async with self._locks["redis"]:
                await getattr(self, f"_{kind}")(for_s)
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

    async def _lock_database(self, role: str, for_s: float) -> None:
        """Somebody else holds the database: nobody can write."""
        await asyncio.to_thread(_hold, str(self._scene.folder / f"{role}.db"), for_s)

    async def _restart_redis(self, for_s: float) -> None:
        await self._scene.redis.stop()
        await self._start_redis(for_s)

    async def _crash_redis(self, for_s: float) -> None:
        self._scene.redis.kill()
        await self._start_redis(for_s)

    async def _start_redis(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._scene.redis.start()
        await asyncio.to_thread(small_nodes, self._scene.redis)

    async def _empty_redis(self, _for_s: float) -> None:
        await asyncio.to_thread(_forget, self._scene.redis.url)

    async def _stop_redis(self, for_s: float) -> None:
        pid = self._scene.redis.pid
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(for_s)
        os.kill(pid, signal.SIGCONT)


def _forget(url: str) -> None:
    with Redis.from_url(url) as client:
        client.flushall()


def _hold(file: str, for_s: float) -> None:
    with closing(sqlite3.connect(file, timeout=20, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        time.sleep(for_s)
        connection.execute("ROLLBACK")
