"""The faults of a shop: each begins, lasts, and is over. Those of one kind of victim wait for each other."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import defaultdict

from trunkline.testing.fault_modes import Blackhole, Half, Latency, Mode, Refuse

from tests.faults.chaos.schedule import Fault
from tests.faults.chaos.shop import ChaosShop
from tests.faults.events.breaking_redis import KINDS as OF_REDIS
from tests.faults.events.breaking_redis import BreakingRedis
from tests.faults.events.faulting import hold
from tests.shop.waiting import until

MODES: dict[str, Mode] = {"half": Half(), "blackhole": Blackhole(), "latency": Latency(0.1), "refuse": Refuse()}
"""Ways to Redis that do not work, or not well."""
BACK_S = 30.0
"""Seconds the supervisor has to start what was killed."""
END_S = 30.0
"""Seconds a process has to end when it is asked to."""


class Faulting:
    """Inflicts faults on a shop."""

    def __init__(self, shop: ChaosShop) -> None:
        self._shop = shop
        self._redis = BreakingRedis(shop.redis, shop.redis_dir)
        self._locks = defaultdict[str, asyncio.Lock](asyncio.Lock)

    async def inflict(self, fault: Fault) -> None:
        """Has a fault begin, and ends it."""
        name, for_s = fault.service, fault.for_s
        if fault.kind in OF_REDIS:
            await self._redis.inflict(fault.kind, for_s)
        elif fault.kind == "reset":
            await self._shop.ways[name].reset_connections()
        elif fault.kind == "lock_database":
            async with self._locks[f"database of {name}"]:
                await asyncio.to_thread(hold, str(self._shop.database(name)), for_s)
        elif fault.kind in MODES:
            async with self._locks[f"way of {name}"]:
                await self._shop.ways[name].set(MODES[fault.kind])
                await asyncio.sleep(for_s)
                await self._shop.ways[name].heal()
        else:
            async with self._locks[name]:
                await getattr(self, f"_{fault.kind}")(name, for_s)

    async def _kill(self, name: str, _for_s: float) -> None:
        """The supervisor starts it again."""
        self._shop.send(await self._running(name), signal.SIGKILL)

    async def _stop(self, name: str, for_s: float) -> None:
        pid = await self._running(name)
        self._shop.send(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            self._shop.send(pid, signal.SIGCONT)

    async def _restart(self, name: str, for_s: float) -> None:
        supervisor = self._shop.launched.supervisor
        await asyncio.to_thread(supervisor.stop, name)
        await asyncio.sleep(for_s)
        await asyncio.to_thread(supervisor.start, name)

    async def _join(self, name: str, for_s: float) -> None:
        """Another process of it comes, and leaves: half of them by kill -9."""
        await self._running(name)
        second = await asyncio.to_thread(self._shop.join, name)
        try:
            await asyncio.sleep(for_s)
            second.send_signal(signal.SIGTERM if int(for_s * 100) % 2 else signal.SIGKILL)
            status = await asyncio.to_thread(second.wait, END_S)
            assert status in (0, -signal.SIGKILL, -signal.SIGTERM), f"a second {name} has ended with {status}"
        except subprocess.TimeoutExpired:
            raise AssertionError(f"a second {name} does not end within {END_S:.0f} s") from None
        finally:
            second.kill()

    async def _running(self, name: str) -> int:
        await until(lambda: asyncio.to_thread(self._shop.pid, name), f"{name} runs", BACK_S)
        return await asyncio.to_thread(self._shop.pid, name)
