"""What may happen to a Redis that keeps its data: it is restarted, crashes, hangs, forgets its last words or all."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from redis import Redis
from trunkline.launcher.embedded import EmbeddedRedis

KINDS = ("restart_redis", "crash_redis", "shorten_redis", "empty_redis", "stop_redis")
"""All of it."""
SHORTENED_BYTES_PER_S = 16_384
"""What is cut off the end of its log for each second that it is to be away."""


class BreakingRedis:
    """Inflicts it. One thing at a time happens to a server: the next one waits."""

    def __init__(
        self, redis: EmbeddedRedis, data_dir: Path, started: Callable[[EmbeddedRedis], object] = lambda _: None
    ) -> None:
        """Args:
        redis: The server.
        data_dir: Its folder.
        started: Called in a thread after each of its starts.
        """
        self._redis = redis
        self._data_dir = data_dir
        self._started = started
        self._turn = asyncio.Lock()

    async def inflict(self, kind: str, for_s: float) -> None:
        """Has a fault of KINDS begin, and ends it."""
        async with self._turn:
            await getattr(self, f"_{kind}")(for_s)

    async def _restart_redis(self, for_s: float) -> None:
        await self._redis.stop()
        await self._start(for_s)

    async def _crash_redis(self, for_s: float) -> None:
        self._redis.kill()
        await self._start(for_s)

    async def _shorten_redis(self, for_s: float) -> None:
        """After a power failure, or at a replica that was promoted, the last writes were never there."""
        self._redis.kill()
        await asyncio.to_thread(self._shorten, int(for_s * SHORTENED_BYTES_PER_S))
        await self._start(for_s)

    async def _empty_redis(self, _for_s: float) -> None:
        await asyncio.to_thread(self._forget)

    async def _stop_redis(self, for_s: float) -> None:
        pid = self._redis.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def _start(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._redis.start()
        await asyncio.to_thread(self._started, self._redis)

    def _shorten(self, by: int) -> None:
        # One file before Redis 7; since then a folder of them, the base aside.
        logs = [path for path in self._data_dir.rglob("*.aof") if ".base." not in path.name]
        log = max(logs, key=lambda path: path.stat().st_mtime_ns)
        os.truncate(log, max(0, log.stat().st_size - by))

    def _forget(self) -> None:
        with Redis.from_url(self._redis.url) as client:
            client.flushall()
