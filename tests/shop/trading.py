"""A day in the demo shop while something happens to the system: who disturbs it knows how many sales there were."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.local.day import DayResult, trade_day
from tests.shop.healed import healed
from tests.shop.running import RunningShop


class TradingDay:
    """A day that is being traded."""

    def __init__(self) -> None:
        self.result: DayResult
        """What came of it, when it is over."""
        self._sold = 0
        self._changed = asyncio.Event()

    async def sold(self, count: int) -> None:
        """Returns when so many sales are made."""
        while self._sold < count:
            self._changed.clear()
            await self._changed.wait()

    def count(self) -> None:
        """Notes a sale."""
        self._sold += 1
        self._changed.set()


@asynccontextmanager
async def trading_day(shop: RunningShop, *, sales: int = 60, seed: int = 1) -> AsyncIterator[TradingDay]:
    """Trades a day during a block; afterwards all figures must agree, and the shop be whole again."""
    day = TradingDay()
    async with asyncio.TaskGroup() as group:
        trading = group.create_task(
            trade_day(shop.system, shop.settings, sales=sales, seed=seed, sold=day.count), name="trading"
        )
        yield day
    day.result = trading.result()
    assert [row for row in day.result.rows if not row.equal] == []
    assert day.result.sales == sales
    await healed(shop)
