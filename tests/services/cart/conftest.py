"""The cart service and all it calls, in the process of the tests: one system a module, one terminal a test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from trunkline.testing.clock import FakeClock
from trunkline.testing.local import LocalSystem

from services.cart import app as cart_app
from services.cart.settings import CartSettings
from services.item import app as item_app
from services.item.settings import ItemSettings
from services.payment import app as payment_app
from services.payment.settings import PaymentSettings
from services.store import app as store_app
from services.store.settings import StoreSettings
from services.terminal import app as terminal_app
from services.terminal.settings import TerminalSettings
from tests.services.cart.goods import furnish
from tests.services.cart.shop import Lane, Shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """The furnished shop of tenant acme."""
    clock = FakeClock()
    async with LocalSystem(tmp_path_factory.mktemp("shop"), clock) as system:
        await system.start("store", store_app.build, StoreSettings())
        await system.start("item", item_app.build, ItemSettings())
        await system.start("payment", payment_app.build, PaymentSettings())
        await system.start("terminal", terminal_app.build, TerminalSettings())
        cart = await system.start("cart", cart_app.build, CartSettings())
        await furnish(system, "acme")
        yield Shop(system, clock, cart)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shop: Shop) -> Lane:
    """As lane, one for all tests of a module that ask for it: what they count is their own carts only."""
    lane = await shop.lane()
    await lane.open()
    return lane


@pytest_asyncio.fixture(loop_scope="module")
async def lane(shop: Shop) -> Lane:
    """A terminal of store 0001, open, with s1 signed in."""
    lane = await shop.lane()
    await lane.open()
    return lane
