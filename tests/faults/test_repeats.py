"""Calls that are repeated: by an impatient till, by many at once, or because nobody knows what became of the first."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from pos.cart.v1 import cart_service_pb2 as cart_pb
from pos.cart.v1.cart_pb2 import Cart
from trunkline import headers

from deploy.local.calls import surely
from deploy.local.sale import Sale
from tests.services.callers import key, refusal
from tests.shop.books import select
from tests.shop.company import TEA, Counter, company, yen
from tests.shop.healed import healed
from tests.shop.health import until_serving
from tests.shop.running import RunningShop

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
BOUND_S = 30.0


@pytest.fixture
async def counter(shop: RunningShop, request: pytest.FixtureRequest) -> AsyncIterator[Counter]:
    """An open terminal, in a store of the test's own."""
    async with company(shop, "acme") as acme:
        found = await acme.counter(request.node.name.removeprefix("test_")[:32])
        await found.open()
        yield found


def finish(sale: Sale) -> cart_pb.FinalizeCartRequest:
    """The request that makes a sale of a cart."""
    return cart_pb.FinalizeCartRequest(cart_id=sale.cart_id)


def made(shop: RunningShop, counter: Counter) -> list[int]:
    """Numbers of all transactions of a counter, as cart's database has them."""
    query = f"SELECT transaction_no FROM transaction_record WHERE store_code = '{counter.store_code}' ORDER BY 1"
    return [row["transaction_no"] for row in select(shop.var_dir, "cart", query)]


async def test_fifty_at_once(shop: RunningShop, counter: Counter):
    """I1: fifty calls with one key make one sale, and all get the same bytes."""
    request = finish(await counter.paying())
    async with asyncio.timeout(BOUND_S):
        calls = [surely(counter.carts.FinalizeCart, request, key="once") for _ in range(50)]
        answers = await asyncio.gather(*calls)
    assert {answer.SerializeToString() for answer in answers} == {answers[0].SerializeToString()}
    assert answers[0].transaction_no == 1
    assert made(shop, counter) == [1]
    await counter.till.close(0)
    await healed(shop)


async def test_another_payload(shop: RunningShop, counter: Counter):
    """I2: a key that made one sale makes no other, and does nothing to the other cart."""
    sold, other = await counter.paying(), await counter.paying()
    first = await counter.carts.FinalizeCart(finish(sold), metadata=key("taken"))
    code, reason, _ = await refusal(counter.carts.FinalizeCart(finish(other), metadata=key("taken")))
    assert (code, reason) == ("INVALID_ARGUMENT", "trunk/IDEMPOTENCY_KEY_REUSED")
    left = (await counter.carts.GetCart(cart_pb.GetCartRequest(cart_id=other.cart_id))).cart
    assert left.totals.state == Cart.STATE_PAYING
    again = await counter.carts.FinalizeCart(finish(sold), metadata=key("taken"))
    assert again == first
    await counter.till.give_up(other)
    await counter.till.close(0)
    await healed(shop)


async def test_killed_after_the_answer(shop: RunningShop, counter: Counter):
    """I3: repeated after kill -9, a call gets its first answer, byte for byte, and is marked as a replay."""
    request = finish(await counter.paying())
    first = await counter.carts.FinalizeCart(request, metadata=key("stored"))
    pid = shop.send("cart", signal.SIGKILL)
    await until_serving(shop, "cart", other_than=pid)
    async with asyncio.timeout(BOUND_S):
        await counter.caller.channel("cart").channel_ready()
    repeat = counter.carts.FinalizeCart(request, metadata=key("stored"))
    assert (await repeat).SerializeToString() == first.SerializeToString()
    assert headers.REPLAYED in dict(await repeat.trailing_metadata())
    assert made(shop, counter) == [1]
    await counter.till.close(0)
    await healed(shop)


async def test_killed_before_the_answer(shop: RunningShop, counter: Counter):
    """I3, B4: of many finalised while cart is killed nobody knows which were; repeated, each is made exactly once."""
    carts = [await counter.paying(number) for number in range(1, 21)]
    calls = [
        asyncio.create_task(surely(counter.carts.FinalizeCart, finish(cart), key=f"flight-{number}"))
        for number, cart in enumerate(carts)
    ]
    async with asyncio.timeout(BOUND_S * 2):
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        shop.send("cart", signal.SIGKILL)
        answers = await asyncio.gather(*calls)
        repeats = [
            await surely(counter.carts.FinalizeCart, finish(cart), key=f"flight-{number}")
            for number, cart in enumerate(carts)
        ]
    assert repeats == answers
    assert sorted(answer.transaction_no for answer in answers) == list(range(1, 21))
    assert made(shop, counter) == list(range(1, 21))
    await counter.till.close(0)
    await healed(shop)


async def test_refused_and_corrected(shop: RunningShop, counter: Counter):
    """I4: a key of a call that was refused, by the contract or by a rule, is free for the corrected one."""
    sale = await counter.till.new_sale()

    def add(quantity: int) -> cart_pb.AddLinesRequest:
        line = cart_pb.AddLinesRequest.NewLine(item_code=TEA, quantity=quantity)
        return cart_pb.AddLinesRequest(cart_id=sale.cart_id, lines=[line])

    def pay(deposit: int) -> cart_pb.AddPaymentRequest:
        return cart_pb.AddPaymentRequest(cart_id=sale.cart_id, payment_method_code="card", deposit=yen(deposit))

    code, reason, _ = await refusal(counter.carts.AddLines(add(0), metadata=key("lines")))
    assert (code, reason) == ("INVALID_ARGUMENT", "trunk/REQUEST_INVALID")
    assert (await counter.carts.AddLines(add(3), metadata=key("lines"))).totals.quantity == 3
    await sale.subtotal()
    code, reason, _ = await refusal(counter.carts.AddPayment(pay(301), metadata=key("payment")))
    assert (code, reason) == ("FAILED_PRECONDITION", "pos.cart/DEPOSIT_OVER_BALANCE")
    assert (await counter.carts.AddPayment(pay(300), metadata=key("payment"))).totals.balance.minor_units == 0
    await counter.till.finish(sale)
    await counter.till.close(0)
    await healed(shop)
