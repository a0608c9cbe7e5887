"""Answers about long carts that are kept in Redis: whatever Redis does, GetCart tells what the database holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from pos.cart.v1 import cart_service_pb2 as pb
from pos.cart.v1 import cart_service_pb2_grpc as cart_grpc
from pos.cart.v1.cart_pb2 import Cart
from redis.asyncio import Redis
from trunkline.errors import ServiceError
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.state.addresses import database_url
from trunkline.testing.resp_faults import OOM, drop_reply, misreport, refuse
from trunkline.testing.resp_proxy import RespProxy

from services.cart.handlers.cart_service import CartServicer
from services.cart.peers.items import ItemPeer
from services.cart.peers.payment_methods import PaymentMethodPeer
from services.cart.peers.receipt_ranges import ReceiptRangePeer
from services.cart.peers.terminals import TerminalPeer
from services.cart.storage import carts, views
from services.cart.storage.tables import CART
from services.cart.storage.views import CartViews
from services.kernel.failure import Conflict
from services.kernel.ids import TerminalId
from tests.services.cart.shop import Lane
from tests.services.cart.whole import add, new_cart, opened_lane, seen, total
from tests.shop.waiting import until

KEY = b"trunkline:view:cart:acme/"
"""What the keys begin with."""


@pytest.fixture(autouse=True)
def _every_cart_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lines are enough, and a crowded machine is no outage."""
    monkeypatch.setattr(views, "LONG", 0)
    monkeypatch.setattr("trunkline.state.redis_store.ANSWER_S", 1.0)


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedRedis]:
    """A Redis that the test may stop."""
    async with embedded_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def proxy(own_server: EmbeddedRedis) -> AsyncIterator[RespProxy]:
    """Before it; the cart service's way there."""
    async with RespProxy("127.0.0.1", own_server.port) as proxy:
        yield proxy


@pytest.fixture
async def redis(own_server: EmbeddedRedis) -> AsyncIterator[Any]:
    """What is kept, past the proxy."""
    async with Redis.from_url(database_url(own_server.url, 2)) as client:
        yield client


@pytest_asyncio.fixture
async def lane(tmp_path: Path, proxy: RespProxy) -> AsyncIterator[Lane]:
    """A terminal of a shop with that Redis, open."""
    async with opened_lane(tmp_path / "shop", f"redis://{proxy.target}/0") as lane:
        yield lane


async def kept(lane: Lane, redis: Any, cart_id: str) -> None:
    """Asks for a cart until its answer is kept."""

    async def is_kept() -> bool:
        await seen(lane, cart_id)
        return bool(await redis.exists(KEY + cart_id.encode()))

    await until(is_kept, "the answer is kept")


async def test_an_answer_is_kept_and_given(lane: Lane, redis: Any, proxy: RespProxy):
    """Byte by byte what was computed; for ten hours, in database 2, under a prefix."""
    cart_id = await new_cart(lane)
    computed = await seen(lane, cart_id)
    await kept(lane, redis, cart_id)
    sets = proxy.plan.commands["SET"]
    assert await seen(lane, cart_id) == computed
    assert proxy.plan.commands["SET"] == sets
    assert await redis.keys("*") == [KEY + cart_id.encode()]
    assert 35_900_000 < await redis.pttl(KEY + cart_id.encode()) <= 36_000_000


async def test_a_change_is_seen_at_once(lane: Lane, redis: Any):
    """What is kept of the cart before is not given any more, through all its states."""
    cart_id = await new_cart(lane)
    await kept(lane, redis, cart_id)
    await add(lane, cart_id)
    assert await total(lane, cart_id) == 440
    await kept(lane, redis, cart_id)
    await lane.carts.SubtotalCart(pb.SubtotalCartRequest(cart_id=cart_id))
    assert (await seen(lane, cart_id)).totals.state == Cart.STATE_PAYING
    await kept(lane, redis, cart_id)
    await lane.carts.CancelCart(pb.CancelCartRequest(cart_id=cart_id))
    assert (await seen(lane, cart_id)).totals.state == Cart.STATE_CANCELLED


async def test_an_old_answer_comes_back(lane: Lane, redis: Any):
    """An entry of an older version, whoever puts it there, is computed anew; changes never look at it."""
    cart_id = await new_cart(lane)
    await kept(lane, redis, cart_id)
    old = await redis.get(KEY + cart_id.encode())
    await add(lane, cart_id)
    await redis.set(KEY + cart_id.encode(), old)
    assert await total(lane, cart_id) == 440
    await redis.set(KEY + cart_id.encode(), old)
    await add(lane, cart_id)
    assert await total(lane, cart_id) == 660


async def test_an_answer_of_another_cart(lane: Lane, redis: Any):
    """Versions are drawn: another cart's answer, under this one's key, is not taken for it."""
    one, other = await new_cart(lane), await new_cart(lane)
    await add(lane, other)
    await kept(lane, redis, other)
    await redis.set(KEY + one.encode(), await redis.get(KEY + other.encode()))
    assert await total(lane, one) == 220


@pytest.mark.parametrize("value", [b"", b"x", b"\0" * 12, b"\0" * 40])
async def test_somebody_writes_something_else(lane: Lane, redis: Any, value: bytes):
    """It is no answer."""
    cart_id = await new_cart(lane)
    await redis.set(KEY + cart_id.encode(), value)
    assert await total(lane, cart_id) == 220


async def test_another_terminal(lane: Lane, redis: Any):
    """A cart that is kept is still its terminal's alone."""
    cart_id = await new_cart(lane)
    await kept(lane, redis, cart_id)
    other = await lane.shop.lane()
    with pytest.raises(ServiceError, match="CART_NOT_FOUND"):
        await seen(other, cart_id)
    with pytest.raises(ServiceError, match="CART_NOT_FOUND"):
        await seen(lane, "nothing")


Act = Callable[[EmbeddedRedis, Any], Awaitable[None]]


async def _flush(server: EmbeddedRedis, redis: Any) -> None:
    await redis.flushall()


async def _stop(server: EmbeddedRedis, redis: Any) -> None:
    await server.stop()


async def _kill(server: EmbeddedRedis, redis: Any) -> None:
    server.kill()


async def _restart_empty(server: EmbeddedRedis, redis: Any) -> None:
    await server.stop()
    await server.start()


@pytest.mark.parametrize("act", [_flush, _stop, _kill, _restart_empty], ids=lambda act: act.__name__)
async def test_redis_loses_everything(lane: Lane, own_server: EmbeddedRedis, redis: Any, act: Act):
    """In the middle of a cart, which goes on as it was: nothing is missing, nothing is doubled, one cart is sold."""
    cart_id = await new_cart(lane)
    await kept(lane, redis, cart_id)
    await act(own_server, redis)
    assert await total(lane, cart_id) == 220
    await add(lane, cart_id)
    await act(own_server, redis) if act is _flush else None
    assert await total(lane, cart_id) == 440
    await lane.carts.SubtotalCart(pb.SubtotalCartRequest(cart_id=cart_id))
    cancelled = await lane.carts.CancelCart(pb.CancelCartRequest(cart_id=cart_id))
    assert (cancelled.transaction_no, await total(lane, cart_id)) == (1, 440)


@pytest.mark.parametrize("fault", [drop_reply(), refuse(OOM), misreport(OOM)], ids=lambda fault: fault.name)
async def test_redis_answers_wrongly(lane: Lane, proxy: RespProxy, fault: Any):
    """Whether it reads or writes, kept or not: the total is right every time."""
    cart_id = await new_cart(lane)
    for number in range(1, 5):
        proxy.plan.on("GET" if number % 2 else "SET", fault)
        assert await total(lane, cart_id) == 220 * number
        await add(lane, cart_id)
    assert proxy.plan.met.total() > 0


async def test_two_readers_and_a_writer(lane: Lane):
    """While a cart is filled, whoever looks sees a cart that was, each one no older than the last it saw."""
    cart_id = await new_cart(lane)
    filled = asyncio.Event()

    async def look() -> list[int]:
        found = []
        while not filled.is_set():
            found.append(await total(lane, cart_id))
        return found

    async def fill() -> None:
        for _ in range(10):
            await add(lane, cart_id)
        filled.set()

    *looks, _ = await asyncio.gather(look(), look(), fill())
    for found in looks:
        assert found == sorted(found)
        assert set(found) <= {220 * number for number in range(1, 12)}
    assert await total(lane, cart_id) == 2420


@pytest_asyncio.fixture
async def twin(lane: Lane, proxy: RespProxy) -> AsyncIterator[Lane]:
    """The same terminal at a second instance of cart: the same database, and a way to Redis of its own."""
    node = lane.shop.cart
    assert node.storage is not None
    kept_there = CartViews(node.state("view", node.platform.redis_cache_database))
    servicer = CartServicer(
        node.storage.database,
        node.storage.unit,
        TerminalPeer(node.connect("terminal")),
        ItemPeer(node.connect("item")),
        PaymentMethodPeer(node.connect("payment")),
        ReceiptRangePeer(node.connect("store")),
        kept_there,
    )
    await node.system.stand_in("twin", servicer, answers=node.storage.unit.answers)
    twin = Lane(lane.shop, lane.caller)
    twin.carts = cart_grpc.CartServiceStub(lane.caller.channel("twin"))
    yield twin
    await kept_there.close()


async def test_two_instances_fill_one_cart(lane: Lane, twin: Lane, redis: Any):
    """Whichever changes it, both tell at once what it comes to; no line is lost, and it is sold once."""
    cart_id = await new_cart(lane)
    for number in range(2, 8):
        changing, looking = (lane, twin) if number % 2 else (twin, lane)
        await kept(looking, redis, cart_id)
        await add(changing, cart_id)
        assert [await total(one, cart_id) for one in (looking, changing)] == [220 * number] * 2
    await asyncio.gather(*(add(one, cart_id) for one in (lane, twin) for _ in range(5)))
    assert {await total(one, cart_id) for one in (lane, twin)} == {220 * 17}
    await twin.carts.SubtotalCart(pb.SubtotalCartRequest(cart_id=cart_id))
    ends = await asyncio.gather(
        *(one.carts.CancelCart(pb.CancelCartRequest(cart_id=cart_id)) for one in (lane, twin)), return_exceptions=True
    )
    assert sorted(isinstance(one, ServiceError) for one in ends) == [False, True]
    assert len((await lane.shop.stored())["transaction_record"]) == 1


async def test_two_decide_on_one_version(lane: Lane):
    """The second of two that have read the same version changes nothing: CART_CHANGED."""
    cart_id = await new_cart(lane)
    terminal_id = TerminalId.parse(lane.key)
    assert lane.shop.cart.storage is not None
    database = lane.shop.cart.storage.database
    read = await database.read(lambda connection: carts.get(connection, terminal_id, cart_id))
    await add(lane, cart_id)
    with pytest.raises(Conflict, match="CART_CHANGED"):
        await database.write(lambda connection: carts.replace(connection, read.cart, read.version))
    assert await total(lane, cart_id) == 440


async def test_a_cart_of_an_older_release(lane: Lane, redis: Any):
    """Carts that had no version have 0 until they are changed; then as all others."""
    cart_id = await new_cart(lane)
    await lane.shop.write(sa.update(CART).values(version=0))
    await kept(lane, redis, cart_id)
    await add(lane, cart_id)
    assert await total(lane, cart_id) == 440
    (row,) = (await lane.shop.stored())["cart"]
    assert row.version != 0


async def test_a_short_cart_comes_with_its_version(lane: Lane):
    """One read of the database is all that it takes; the document of a long one is not read for nothing."""
    cart_id = await new_cart(lane)
    terminal_id = TerminalId.parse(lane.key)
    assert lane.shop.cart.storage is not None
    read = lane.shop.cart.storage.database.read
    stored = await read(lambda connection: carts.get(connection, terminal_id, cart_id))
    short = await read(lambda connection: carts.look(connection, terminal_id, cart_id, 100_000))
    long = await read(lambda connection: carts.look(connection, terminal_id, cart_id, 10))
    assert (short, long) == ((stored.version, stored.cart), (stored.version, None))
