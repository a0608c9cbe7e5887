"""Sealing an opening: nothing is added to it afterwards, and its numbers hold for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pos.cart.v1 import cart_service_pb2 as cart_pb
from pos.cart.v1 import transaction_service_pb2 as pb
from trunkline.errors import ServiceError

from tests.services.callers import key, refusal, send
from tests.services.cart.shop import NEXT_DAY, TWO_A, tender

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATE = "FAILED_PRECONDITION"


@pytest.mark.parametrize("state", ["idle", "entering", "paying", "paid"])
async def test_unfinished_carts_keep_it_open(lane, state):
    """While carts may still become transactions nothing is sealed; once they are finished the same call seals."""
    carts = [await lane.new_cart(state), await lane.new_cart("idle")]
    await lane.new_cart("completed")
    before = await lane.shop.stored()
    refused = await refusal(lane.seal(metadata=key(lane.key)))
    named = {"terminal": lane.key, "carts": "2", "cart_ids": ",".join(sorted(carts))}
    assert refused == (STATE, "pos.cart/CARTS_UNFINISHED", named)
    assert await lane.shop.stored() == before
    for cart_id in carts:
        await lane.cancel(cart_id)
    sealed = await lane.seal(metadata=key(lane.key))
    count = 1 if state == "idle" else 2
    assert sealed == pb.SealOpeningResponse(transaction_count=count, last_transaction_no=count)


async def test_an_opening_without_transactions(lane):
    """An opening in which nothing became a transaction has none, and no last number."""
    await lane.cancel(await lane.new_cart())
    assert await lane.seal() == pb.SealOpeningResponse()


async def test_counts_all_kinds_of_its_own_opening(shop, lane):
    """Sales, cancelled sales, voids and returns count, in the opening of the terminal that made them."""
    beside = await shop.lane()
    await beside.open()
    await lane.void(await lane.sell())
    await lane.take_back(await lane.sell())
    await lane.new_cart("cancelled")
    await lane.sell()
    await beside.take_back(6, seller=lane.terminal_no)
    first = await lane.close()
    assert (first.transaction_count, first.last_transaction_no) == (6, 6)
    await lane.reopen(NEXT_DAY)
    await lane.sell()
    second, other = await lane.close(), await beside.close()
    assert (second.transaction_count, second.last_transaction_no) == (1, 7)
    assert (other.transaction_count, other.last_transaction_no) == (1, 1)


async def test_sealing_again_gives_the_first_answer(lane):
    """Under whatever key an opening is sealed again, the answer is the first one, and nothing changes."""
    await lane.sell()
    first = await lane.seal(metadata=key(f"{lane.key}-a"))
    await lane.close()
    await lane.reopen(NEXT_DAY)
    await lane.sell()
    before = await lane.shop.stored()
    assert await lane.seal(metadata=key(f"{lane.key}-a")) == first
    assert await lane.shop.stored() == before
    assert await lane.seal(metadata=key(f"{lane.key}-b")) == first
    after = await lane.shop.stored()
    assert {name for name, rows in after.items() if rows != before[name]} == {"idempotency_answer"}
    assert first == pb.SealOpeningResponse(transaction_count=1, last_transaction_no=1)


async def test_nothing_is_added_to_a_sealed_opening(shop, lane):
    """While the terminal is still OPENED no cart is made, and none of its transactions is voided or returned on it."""
    finished = [await lane.new_cart("completed"), await lane.new_cart("cancelled")]
    await lane.seal()
    before = await shop.stored()
    cash = [tender("cash", 220)]
    requests = [
        cart_pb.CreateCartRequest(),
        *(cart_pb.AddLinesRequest(cart_id=one, lines=TWO_A) for one in finished),
        *(cart_pb.FinalizeCartRequest(cart_id=one) for one in finished),
        *(cart_pb.CancelCartRequest(cart_id=one) for one in finished),
        pb.VoidTransactionRequest(transaction_no=1, payments=cash),
        pb.ReturnTransactionRequest(terminal_no=lane.terminal_no, transaction_no=1, payments=cash),
    ]
    refused = (STATE, "pos.cart/OPENING_SEALED", {"terminal": lane.key, "business_counter": "1"})
    for request in requests:
        stub = lane.carts if hasattr(lane.carts, type(request).__name__.removesuffix("Request")) else lane.transactions
        assert await refusal(send(stub, request)) == refused
    assert await shop.stored() == before


async def test_others_go_on(shop, lane):
    """A seal holds for one opening of one terminal: another terminal takes its sale back, and so does the next day."""
    await lane.sell()
    await lane.sell()
    beside = await shop.lane()
    await beside.open()
    await lane.seal()
    assert (await beside.take_back(1, seller=lane.terminal_no)).transaction_no == 1
    assert (await beside.void(1)).transaction_no == 2
    closing = await lane.close()
    assert (closing.transaction_count, closing.last_transaction_no) == (2, 2)
    await lane.reopen(NEXT_DAY)
    assert (await lane.take_back(2)).transaction_no == 3


async def test_a_close_waits_for_carts(lane):
    """The terminal closes once its carts are finished, with the numbers of the seal."""
    cart_id = await lane.new_cart("paid")
    refused = await refusal(lane.close())
    assert refused == (
        STATE,
        "pos.terminal/CARTS_UNFINISHED",
        {"terminal": lane.key, "carts": "1", "cart_ids": cart_id},
    )
    await lane.finalise(cart_id)
    closing = await lane.close()
    assert (closing.transaction_count, closing.last_transaction_no) == (1, 1)


@pytest.mark.parametrize("change", ["create", "finalise", "cancel", "void", "return"])
async def test_a_seal_and_a_change_at_once(lane, change):
    """Whichever comes first, what is published of the opening is what its seal says, and no cart is left in it."""
    await lane.sell()
    cart_id = await lane.new_cart("paid") if change in ("finalise", "cancel") else ""
    changes: dict[str, Callable[[], Awaitable[Any]]] = {
        "create": lambda: lane.new_cart("idle"),
        "finalise": lambda: lane.finalise(cart_id),
        "cancel": lambda: lane.cancel(cart_id),
        "void": lambda: lane.void(1),
        "return": lambda: lane.take_back(1),
    }
    outcomes = await asyncio.gather(lane.seal(), changes[change](), return_exceptions=True)
    sealed: Any = outcomes[0]
    changed: Any = outcomes[1]
    reasons = [one.reason for one in (sealed, changed) if isinstance(one, ServiceError)]
    assert reasons in ([], ["CARTS_UNFINISHED"], ["OPENING_SEALED"])
    if reasons == ["CARTS_UNFINISHED"] and change == "create":
        await lane.cancel(changed)
    final = await lane.seal()
    assert final.transaction_count == final.last_transaction_no == len(await lane.published())
    assert final == sealed or "CARTS_UNFINISHED" in reasons
