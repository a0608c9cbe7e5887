"""Sales in the demo shop at a steady pace: each a cart that is opened, filled, paid and billed, by five calls."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from trunkline.registry.system import RunningSystem
from trunkline.settings import PlatformSettings

from deploy.local import goods
from deploy.local.calls import Caller
from deploy.local.ledger import Ledger
from deploy.local.sale import Line
from deploy.local.shop import pin_file, staff_id
from deploy.local.system import TERMINALS, credentials_dir
from deploy.local.till import Till

PER_S = 10
"""Sales a second."""
LINES = [Line(good.item_code, 1) for good in goods.GOODS[:5]]
"""What is sold each time."""
STEPS = ("open", "add", "subtotal", "pay", "bill")
"""Calls of a sale."""
WHOLE = "sale"
"""The whole of it, beside its steps."""
T = TypeVar("T")


@dataclass(slots=True)
class Sold:
    """How long sales and their steps took."""

    took_ms: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Step → milliseconds of each. The whole counts from when it was to begin, whatever held it up."""

    async def step(self, name: str, doing: Awaitable[T]) -> T:
        """Does one step."""
        started = time.perf_counter()
        done = await doing
        self.took_ms[name].append((time.perf_counter() - started) * 1000)
        return done


class Selling:
    """All terminals of the demo shop, open."""

    def __init__(self, tills: list[Till]) -> None:
        self._tills = tills

    async def sell(self, over: Callable[[], bool]) -> Sold:
        """Sells until it is over, terminal after terminal; a sale does not wait for the one before it."""
        sold, began, number = Sold(), time.perf_counter(), 0
        async with asyncio.TaskGroup() as group:
            while not over():
                due = began + number / PER_S
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(_sale(self._tills[number % len(self._tills)], due, sold))
                number += 1
        return sold

    async def sell_for(self, seconds: float) -> Sold:
        """Sells for so long."""
        end = time.perf_counter() + seconds
        return await self.sell(lambda: time.perf_counter() >= end)


async def _sale(till: Till, due: float, sold: Sold) -> None:
    first, add, subtotal, pay, bill = STEPS
    sale = await sold.step(first, till.new_sale())
    await sold.step(add, sale.add(LINES))
    balance = await sold.step(subtotal, sale.subtotal())
    await sold.step(pay, sale.pay("cash", balance))
    await sold.step(bill, till.finish(sale))
    sold.took_ms[WHOLE].append((time.perf_counter() - due) * 1000)


@asynccontextmanager
async def selling(system: RunningSystem, settings: PlatformSettings) -> AsyncIterator[Selling]:
    """Opens all terminals of the demo shop for the length of a block; they are not closed."""
    async with AsyncExitStack() as stack:
        tills = []
        for number in range(1, TERMINALS + 1):
            credential = credentials_dir(settings.var_dir) / f"terminal-{number}"
            caller = await stack.enter_async_context(Caller.from_file(system, settings, credential))
            till = Till(caller, goods.STORE_CODE, number, goods.CURRENCY, Ledger())
            staff = staff_id(number)
            await till.sign_in(staff, pin_file(settings.var_dir, staff).read_text().strip())
            await till.open(goods.INITIAL_FLOAT)
            tills.append(till)
        yield Selling(tills)
