"""A whole shop in the process of the test, with a Redis of the test's choice for what cart keeps there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pos.cart.v1 import cart_service_pb2 as pb
from pos.cart.v1.cart_pb2 import Cart
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
from tests.services.cart.shop import Lane, Shop, line


@asynccontextmanager
async def opened_lane(folder: Path, redis_url: str, **settings: Any) -> AsyncIterator[Lane]:
    """A terminal of a furnished shop, open. Only cart has a Redis; settings are those of its platform."""
    clock = FakeClock()
    async with LocalSystem(folder, clock) as system:
        await system.start("store", store_app.build, StoreSettings())
        await system.start("item", item_app.build, ItemSettings())
        await system.start("payment", payment_app.build, PaymentSettings())
        await system.start("terminal", terminal_app.build, TerminalSettings())
        system.settings = system.settings.model_copy(update={"redis_url": redis_url, **settings})
        cart = await system.start("cart", cart_app.build, CartSettings())
        await furnish(system, "acme")
        lane = await Shop(system, clock, cart).lane()
        await lane.open()
        yield lane


async def new_cart(lane: Lane) -> str:
    """A cart with two of A, which come to 220."""
    made = await lane.carts.CreateCart(pb.CreateCartRequest())
    await add(lane, made.cart_id)
    return made.cart_id


async def add(lane: Lane, cart_id: str) -> None:
    """Two more of A."""
    await lane.carts.AddLines(pb.AddLinesRequest(cart_id=cart_id, lines=[line("A", 2)]))


async def seen(lane: Lane, cart_id: str) -> Cart:
    """What GetCart tells."""
    return (await lane.carts.GetCart(pb.GetCartRequest(cart_id=cart_id))).cart


async def total(lane: Lane, cart_id: str) -> int:
    """What it comes to, as GetCart tells it."""
    return (await seen(lane, cart_id)).totals.total_with_tax.minor_units
