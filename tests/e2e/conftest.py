"""What the tests of the whole shop share: at the end of a file, all that its tests did is looked at in the books."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.shop.healed import healed
from tests.shop.running import RunningShop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def books(shop: RunningShop) -> AsyncIterator[None]:
    """After the last test of a file, nothing is lost, doubled, held up or said that must not be."""
    yield
    await healed(shop)
