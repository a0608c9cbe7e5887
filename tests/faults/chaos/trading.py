"""Tills that sell, take back and void until they are told to stop, whatever is restarted meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from deploy.local import goods
from deploy.local.calls import Caller
from deploy.local.customers import attend
from deploy.local.ledger import Ledger, figures_of
from deploy.local.plan import plan_day
from deploy.local.shop import pin_file, staff_id
from deploy.local.system import TERMINALS, credentials_dir
from deploy.local.till import Till
from tests.faults.chaos.shop import ChaosShop

PAUSE_S = 0.4
"""Seconds between two customers of a till: some eight sales a second where nothing is broken."""
MOST = 20_000
"""Customers that a till plans for."""


class Trade:
    """What is sold at all tills of a shop."""

    def __init__(self, tills: list[Till], ledgers: list[Ledger], seed: int) -> None:
        self.tills = tills
        """The tills."""
        self.ledgers = ledgers
        """What each was answered."""
        self.sales = 0
        """Sales made."""
        self._seed = seed
        self._over = False

    async def open(self) -> None:
        """Opens all tills."""
        await asyncio.gather(*(till.open(goods.INITIAL_FLOAT) for till in self.tills))

    async def sell(self) -> None:
        """Serves customers until it is over: each call is repeated under its key until it is answered."""
        async with asyncio.TaskGroup() as group:
            for till in self.tills:
                group.create_task(self._serve(till))

    def end(self) -> None:
        """No more customers come in; who is there is served."""
        self._over = True

    async def close(self) -> None:
        """Closes all tills."""
        drawers = [figures_of(ledger).amounts["cash in the drawers"] for ledger in self.ledgers]
        await asyncio.gather(*(till.close(drawer) for till, drawer in zip(self.tills, drawers, strict=True)))

    async def _serve(self, till: Till) -> None:
        chance = random.Random(self._seed * TERMINALS + till.terminal_no)
        for basket in plan_day(MOST, goods.GOODS, chance.randrange(2**31)):
            if self._over:
                return
            if await attend(till, basket) is not None:
                self.sales += 1
            await asyncio.sleep(PAUSE_S * chance.uniform(0.5, 1.5))


@asynccontextmanager
async def trade(shop: ChaosShop, seed: int) -> AsyncIterator[Trade]:
    """The tills of the demo shop, signed in, for the length of a block."""
    async with AsyncExitStack() as stack:
        ledgers = [Ledger() for _ in range(TERMINALS)]
        tills = []
        for number, ledger in enumerate(ledgers, start=1):
            credential = credentials_dir(shop.var_dir) / f"terminal-{number}"
            caller = await stack.enter_async_context(Caller.from_file(shop.system, shop.settings, credential))
            till = Till(caller, goods.STORE_CODE, number, goods.CURRENCY, ledger)
            await till.sign_in(staff_id(number), pin_file(shop.var_dir, staff_id(number)).read_text().strip())
            tills.append(till)
        yield Trade(tills, ledgers, seed)
