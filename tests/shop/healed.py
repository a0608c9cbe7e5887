"""The end of every story: all is well again, nothing was lost or done twice, and nothing was said that must not be."""

from __future__ import annotations

import asyncio

from tests.shop.books import complaints
from tests.shop.effects import wrong_effects
from tests.shop.health import until_well
from tests.shop.logs import log_complaints
from tests.shop.running import RunningShop
from tests.shop.streams import unread
from tests.shop.waiting import until_none


async def healed(shop: RunningShop) -> None:
    """Waits, with a bound, until the shop is whole, and looks at everything in its databases, streams and logs."""
    await until_well(shop)
    await until_none(lambda: asyncio.to_thread(_unsettled, shop))
    complaints_of_logs = log_complaints(shop.new_log(), shop.var_dir)
    assert not complaints_of_logs, "\n".join(complaints_of_logs)


def _unsettled(shop: RunningShop) -> list[str]:
    return [*complaints(shop.var_dir), *wrong_effects(shop.var_dir), *unread(shop.system.redis_url)]
