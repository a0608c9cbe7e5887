"""StockService behind its full chain."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from pos.stock.v1 import stock_service_pb2 as pb
from pos.stock.v1 import stock_service_pb2_grpc as pb_grpc
from pos.stock.v1.stock_pb2 import Movement

from tests.services.callers import admin, assert_replayed, refusal, till
from tests.services.logs import transaction

FOREIGN = ("PERMISSION_DENIED", "pos.type/STORE_FOREIGN", {"store_code": "0002"})


def by_hand(
    kind: Movement.Kind.ValueType = Movement.KIND_PURCHASE, quantity: int = 10, item_code: str = "A", comment: str = ""
) -> pb.RecordMovementRequest:
    """A movement in store 0001."""
    return pb.RecordMovementRequest(
        store_code="0001", item_code=item_code, kind=kind, quantity=quantity, comment=comment
    )


@pytest.mark.parametrize(
    ("kind", "quantity", "change"),
    [
        (Movement.KIND_PURCHASE, 10, 10),
        (Movement.KIND_INITIAL, 10, 10),
        (Movement.KIND_TRANSFER_IN, 10, 10),
        (Movement.KIND_DAMAGE, 10, -10),
        (Movement.KIND_TRANSFER_OUT, 10, -10),
        (Movement.KIND_ADJUSTMENT, 10, 10),
        (Movement.KIND_ADJUSTMENT, -10, -10),
    ],
)
async def test_records_movements_by_hand(stocks, kind, quantity, change):
    """The kind says which way units move; the answer has the stock before and after."""
    first = (await stocks.RecordMovement(by_hand(Movement.KIND_INITIAL, 3))).movement
    movement = (await stocks.RecordMovement(by_hand(kind, quantity, comment="count"))).movement
    assert (first.before, first.after) == (0, 3)
    assert (movement.change, movement.before, movement.after) == (change, 3, 3 + change)
    assert (movement.movement_no, movement.comment, movement.transaction_no) == (2, "count", 0)


@pytest.mark.parametrize(
    "request_",
    [
        by_hand(quantity=0),
        by_hand(quantity=-1),
        by_hand(Movement.KIND_ADJUSTMENT, 0),
        by_hand(Movement.KIND_DAMAGE, -1),
        by_hand(Movement.KIND_SALE),
        by_hand(Movement.KIND_UNSPECIFIED),
        by_hand(quantity=1_000_001),
    ],
)
async def test_refuses_what_no_movement_is(stocks, request_):
    """No units, fewer than none but for an adjustment, and the kinds of transactions are refused."""
    status, reason, _ = await refusal(stocks.RecordMovement(request_))
    assert (status, reason) == ("INVALID_ARGUMENT", "trunk/REQUEST_INVALID")


async def test_an_item_must_exist_to_be_moved(stocks):
    """An item that nobody knows has no stock to change; a deleted one may still be there."""
    missing = await refusal(stocks.RecordMovement(by_hand(item_code="Z")))
    assert missing == ("NOT_FOUND", "pos.stock/ITEM_NOT_FOUND", {"item_code": "Z"})
    assert (await stocks.RecordMovement(by_hand(item_code="B"))).movement.after == 10


async def test_a_repeat_moves_nothing(stocks):
    """A repeat with the same key gets the first answer, and stock has moved once."""
    await assert_replayed(stocks, by_hand(), by_hand(quantity=11))
    assert (await stocks.GetStock(pb.GetStockRequest(store_code="0001", item_code="A"))).stock.quantity == 10


async def test_no_movement_is_lost_beside_others(stocks, feed):
    """Movements by hand and a sale at the same time are all applied, one after the other."""
    hands = [stocks.RecordMovement(by_hand(quantity=number)) for number in range(1, 21)]
    await asyncio.gather(*hands, feed.receive(transaction()))
    listed = await stocks.ListMovements(pb.ListMovementsRequest(store_code="0001", item_code="A"))
    assert [one.movement_no for one in listed.movements] == list(range(21, 0, -1))
    assert listed.movements[0].after == 210 - 2
    assert all(newer.before == older.after for newer, older in pairwise(listed.movements))


async def test_an_item_that_was_never_moved_has_none(stocks):
    """No row is no stock: 0, and never moved."""
    stock = (await stocks.GetStock(pb.GetStockRequest(store_code="0001", item_code="A"))).stock
    assert (stock.quantity, stock.HasField("update_time")) == (0, False)


async def test_lists_stock_in_pages(stocks, feed):
    """Pages follow the item code, and a token is bound to its store."""
    await feed.receive(transaction())
    first = await stocks.ListStock(pb.ListStockRequest(store_code="0001", page_size=1))
    assert [one.item_code for one in first.stock] == ["A"]
    request = pb.ListStockRequest(store_code="0001", page_size=1, page_token=first.next_page_token)
    second = await stocks.ListStock(request)
    assert ([one.item_code for one in second.stock], second.next_page_token) == (["B"], "")
    elsewhere = pb.ListStockRequest(store_code="0002", page_token=first.next_page_token)
    assert (await refusal(stocks.ListStock(elsewhere)))[1] == "pos.type/PAGE_TOKEN_INVALID"


async def test_lists_movements_in_pages(stocks):
    """Pages go from the newest movement to the oldest."""
    for quantity in (1, 2, 3):
        await stocks.RecordMovement(by_hand(quantity=quantity))
    request = pb.ListMovementsRequest(store_code="0001", item_code="A", page_size=2)
    first = await stocks.ListMovements(request)
    assert [one.change for one in first.movements] == [3, 2]
    request.page_token = first.next_page_token
    second = await stocks.ListMovements(request)
    assert ([one.change for one in second.movements], second.next_page_token) == ([1], "")


async def test_a_terminal_sees_its_own_store(system, stocks, feed):
    """A terminal gets the stock of its store, no other's, and moves nothing by hand."""
    await feed.receive(transaction())
    terminal = pb_grpc.StockServiceStub(till(system).channel("stock"))
    assert (await terminal.GetStock(pb.GetStockRequest(store_code="0001", item_code="A"))).stock.quantity == -2
    assert await refusal(terminal.GetStock(pb.GetStockRequest(store_code="0002", item_code="A"))) == FOREIGN
    for call in (terminal.RecordMovement(by_hand()), terminal.ListStock(pb.ListStockRequest(store_code="0001"))):
        assert (await refusal(call))[0] == "PERMISSION_DENIED"


async def test_tenants_see_their_own_stock(system, stocks):
    """What one tenant moves is not there for another."""
    await stocks.RecordMovement(by_hand())
    other = pb_grpc.StockServiceStub(admin(system, "other").channel("stock"))
    assert (await other.GetStock(pb.GetStockRequest(store_code="0001", item_code="A"))).stock.quantity == 0
    assert not (await other.ListStock(pb.ListStockRequest(store_code="0001"))).stock
    assert not (await other.ListMovements(pb.ListMovementsRequest(store_code="0001", item_code="A"))).movements
