"""Repeats: every change has one effect and one answer, however often it is asked for under its key."""

from __future__ import annotations

from typing import Any

import pytest
from pos.cart.v1 import cart_service_pb2 as pb
from pos.cart.v1 import transaction_service_pb2 as tx_pb
from pos.cart.v1.transaction_service_pb2_grpc import TransactionServiceStub
from trunkline.call import acting_for

from tests.services.callers import assert_replayed, key, send, service
from tests.services.cart.goods import yen
from tests.services.cart.shop import TWO_A, line, look, tender

pytestmark = pytest.mark.asyncio(loop_scope="module")


def pay(deposit: int) -> pb.AddPaymentRequest:
    """A payment in cash."""
    return pb.AddPaymentRequest(payment_method_code="cash", deposit=yen(deposit))


@pytest.mark.parametrize(
    ("state", "request_", "other"),
    [
        ("idle", pb.AddLinesRequest(lines=TWO_A), pb.AddLinesRequest(lines=[line("A", 3)])),
        (
            "entering",
            pb.ChangeLineQuantityRequest(line_no=1, quantity=3),
            pb.ChangeLineQuantityRequest(line_no=1, quantity=4),
        ),
        ("entering", pb.CancelLineRequest(line_no=1), pb.CancelLineRequest(line_no=2)),
        ("entering", pb.SubtotalCartRequest(), None),
        ("paying", pay(100), pay(101)),
        ("paid", pb.ResumeCartRequest(), None),
        ("paid", pb.FinalizeCartRequest(), None),
        ("paid", pb.CancelCartRequest(), None),
    ],
)
async def test_changes_a_cart_once(shared, state, request_, other):
    """A repeat gets the first answer byte for byte and changes nothing; the key fits no other request, nor cart."""
    cart_id = await shared.new_cart(state)
    request, another = type(request_)(cart_id=cart_id), type(request_)(cart_id=cart_id if other else "another")
    request.MergeFrom(request_)
    another.MergeFrom(other or request_)
    await assert_replayed(shared.carts, request, another)
    await changes_nothing(shared, shared.carts, request)


async def changes_nothing(lane, stub: Any, request: Any) -> None:
    """Another repeat leaves the database as it is."""
    before = await lane.shop.stored()
    await send(stub, request, metadata=key("once"))
    assert await lane.shop.stored() == before


async def test_makes_one_cart(lane):
    """A repeated creation gives the same cart, and leaves one."""
    answers = [await lane.carts.CreateCart(pb.CreateCartRequest(), metadata=key(lane.key)) for _ in range(2)]
    assert answers[0].SerializeToString() == answers[1].SerializeToString()
    await lane.cancel(answers[0].cart_id)
    assert (await lane.seal()).transaction_count == 0


@pytest.mark.parametrize(
    ("request_", "other"),
    [
        (tx_pb.VoidTransactionRequest(transaction_no=1), tx_pb.VoidTransactionRequest(transaction_no=2)),
        (
            tx_pb.ReturnTransactionRequest(terminal_no=1, transaction_no=1),
            tx_pb.ReturnTransactionRequest(terminal_no=1, transaction_no=2),
        ),
    ],
)
async def test_undoes_once(lane, request_, other):
    """A repeated void or return gives the numbers of the first, where a new call would be refused."""
    await lane.sell()
    requests = []
    for one in (request_, other):
        request = type(one)(payments=[tender("cash", 220)])
        request.MergeFrom(one)
        if isinstance(request, tx_pb.ReturnTransactionRequest):
            request.terminal_no = lane.terminal_no
        requests.append(request)
    await assert_replayed(lane.transactions, *requests)
    await changes_nothing(lane, lane.transactions, requests[0])
    assert len(await lane.published()) == 2


async def test_seals_once(shop, lane):
    """A repeated seal gives the first answer; its key seals no other opening."""
    await lane.sell()
    stub = TransactionServiceStub(service(shop.system, "terminal").channel("cart"))
    place = {"store_code": "0001", "terminal_no": lane.terminal_no}
    with acting_for("acme"):
        request = tx_pb.SealOpeningRequest(**place, business_counter=1)
        await assert_replayed(stub, request, tx_pb.SealOpeningRequest(**place, business_counter=2))
        await changes_nothing(lane, stub, request)


async def test_an_old_answer_outlives_its_state(lane):
    """A repeat that comes late, when the cart is long finished, still gets what was answered then."""
    cart_id = await lane.new_cart()
    request = pb.AddLinesRequest(cart_id=cart_id, lines=TWO_A)
    first = await lane.carts.AddLines(request, metadata=key(lane.key))
    await lane.subtotal(cart_id)
    await lane.pay(cart_id, "cash", 220)
    await lane.finalise(cart_id)
    await lane.close()
    assert await lane.carts.AddLines(request, metadata=key(lane.key)) == first
    assert len((await look(lane, cart_id)).lines) == 1


async def test_a_refused_call_may_be_tried_again(lane):
    """A refusal is not an answer: the same call under the same key works once nothing stands in its way."""
    cart_id = await lane.new_cart("paying")
    request = pb.FinalizeCartRequest(cart_id=cart_id)
    with pytest.raises(Exception, match="BALANCE_DUE"):
        await lane.carts.FinalizeCart(request, metadata=key(lane.key))
    await lane.pay(cart_id, "card", 220)
    assert (await lane.carts.FinalizeCart(request, metadata=key(lane.key))).transaction_no == 1
