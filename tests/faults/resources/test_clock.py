"""The clock of a machine is set while a shop trades on it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest
from trunkline.registry.redis import RedisRegistry

from deploy.local.settings import ROOT
from deploy.local.system import SERVICES
from tests.faults.resources.conftest import NOON
from tests.faults.resources.shop import ClockedShop
from tests.shop.books import select
from tests.shop.healed import healed
from tests.shop.health import until_serving
from tests.shop.waiting import HEAL_S, until

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
FULL = bool(os.environ.get("TRUNKLINE_FAULTS_FULL"))
SALES = 400 if FULL else 12
"""Of each of the days."""
JUMPS = ((2, "item"), (-2, "cart"), (0, "store"), (-2, "terminal"), (2, "account"))[: None if FULL else 2]
"""How many hours ahead of noon the clock is set, and who is killed then."""
MADE = "SELECT count(*) AS made FROM transaction_record"


def made(shop: ClockedShop) -> int:
    """How many transactions cart has, of all kinds."""
    return int(select(shop.var_dir, "cart", MADE)[0]["made"])


def sold(shop: ClockedShop, count: int) -> bool:
    """Whether cart has so many."""
    return made(shop) >= count


@asynccontextmanager
async def selling(shop: ClockedShop, sales: int, seed: int) -> AsyncIterator[None]:
    """A day that is traded by tills on the machine of the shop; what was sold is what everybody knows of."""
    command = [sys.executable, "-m", "tests.faults.resources.selling", str(sales), str(seed)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=dict(shop.environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield
        out, err = await asyncio.wait_for(process.communicate(), 180.0)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    told = json.loads(out)
    assert (told["sales"], told["wrong"]) == (sales, [])
    assert max(later - earlier for earlier, later in pairwise(told["sold_s"])) < HEAL_S


async def registered(shop: ClockedShop) -> list[str]:
    """Services whose lease runs."""
    registry = RedisRegistry(shop.system.redis_url)
    try:
        found = await registry.read(SERVICES)
    finally:
        await registry.close()
    return [name for name, instances in found.items() if any(one.state == "serving" for one in instances)]


async def all_registered(shop: ClockedShop) -> bool:
    """Whether the leases of all services run."""
    return sorted(await registered(shop)) == sorted(SERVICES)


async def test_the_clock_is_set_while_a_shop_sells(at_noon: ClockedShop):
    """H1: two hours forward, then four back, each in the middle of a day, and a service is killed that then
    remembers no token: calls go on within seconds, breakers are closed and leases run, numbers and ids are single and
    without holes, and all books are equal.
    """
    for number, (hours, name) in enumerate(JUMPS):
        before = made(at_noon)
        async with selling(at_noon, SALES, 100 + number):
            await until(partial(sold, at_noon, before + SALES // 4), "some of it is sold", 90.0)
            seen = at_noon.set_clock(NOON + timedelta(hours=hours))
            pid = at_noon.send(name, signal.SIGKILL)
            await until_serving(at_noon, name, other_than=pid)
        assert time.monotonic() > seen
        await until(lambda: all_registered(at_noon), "all leases run")
        await until(lambda: at_noon.counted("trunkline_breaker_state") == 0, "all breakers are closed")
        await healed(at_noon)
