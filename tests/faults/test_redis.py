"""Redis goes away in the middle of a day: sales go on, and every event arrives when it is back."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal

import pytest
from trunkline.launcher.system import REDIS

from tests.shop.health import statuses
from tests.shop.running import RunningShop
from tests.shop.trading import trading_day
from tests.shop.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
USERS = ("terminal", "cart", "report", "journal", "stock")
"""The services that publish or consume."""


async def told_of_redis(shop: RunningShop) -> list[tuple[bool, bool]]:
    """Of each that uses Redis: whether it serves, and whether it has Redis."""
    found = [await statuses(shop.system.services[name]) for name in USERS]
    return [(told.get("", False), told.get("dep.redis", False)) for told in found]


async def test_redis_is_stopped_for_a_while(shop: RunningShop):
    """F1, B6: after SIGTERM, all stay SERVING and only dep.redis tells of it; a third of the day is sold without."""
    async with trading_day(shop, sales=60, seed=31) as day:
        await day.sold(10)
        await asyncio.to_thread(shop.supervisor.stop, REDIS)
        await day.sold(30)

        async def noticed() -> bool:
            return await told_of_redis(shop) == [(True, False)] * len(USERS)

        await until(noticed, "all serve and say that Redis is away")
        await asyncio.to_thread(shop.supervisor.start, REDIS)


async def test_redis_is_killed(shop: RunningShop):
    """F1: after kill -9, the last second of what Redis knew may be gone; the outbox knows it."""
    async with trading_day(shop, sales=40, seed=32) as day:
        await day.sold(10)
        killed = shop.send(REDIS, signal.SIGKILL)
        await until(lambda: shop.pid(REDIS) not in {0, killed}, "the supervisor has started it again")


async def test_redis_comes_back_empty(shop: RunningShop):
    """F3: all streams, groups and confirmations are gone; groups are made anew, the unconfirmed is sent again."""
    async with trading_day(shop, sales=60, seed=33) as day:
        await day.sold(20)
        await asyncio.to_thread(shop.supervisor.stop, REDIS)
        await day.sold(30)
        await asyncio.to_thread(shutil.rmtree, shop.var_dir / REDIS / "appendonlydir")
        await asyncio.to_thread(shop.supervisor.start, REDIS)
    told = (shop.var_dir / "log" / "cart.log").read_text().splitlines()
    assert all(json.loads(line)["events"] > 0 for line in told if "the stream has lost events" in line)


async def test_redis_is_frozen(shop: RunningShop):
    """F4: Redis answers nothing and refuses nothing; sales do not wait for it, and what was sent twice counts once."""
    async with trading_day(shop, sales=60, seed=34) as day:
        await day.sold(10)
        shop.send(REDIS, signal.SIGSTOP)
        try:
            await day.sold(50)
        finally:
            shop.send(REDIS, signal.SIGCONT)
