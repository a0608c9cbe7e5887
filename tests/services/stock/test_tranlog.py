"""Transactions move stock, all lines together and once."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pos.event.v1.transaction_log_pb2 import TransactionLog
from pos.stock.v1 import stock_service_pb2 as pb
from pos.stock.v1.stock_pb2 import Movement
from pos.type.v1 import transaction_kind_pb2 as kinds
from trunkline.testing.clock import FakeClock

from services.stock.consumers.handlers import HANDLERS
from services.stock.storage import movements as storage
from services.stock.storage.tables import METADATA, PLATFORM
from tests.services.logs import transaction
from tests.services.received import Group, Numbers, fresh

SIGNS = {
    kinds.TRANSACTION_KIND_SALE: -1,
    kinds.TRANSACTION_KIND_VOID_SALE: 1,
    kinds.TRANSACTION_KIND_RETURN: 1,
    kinds.TRANSACTION_KIND_VOID_RETURN: -1,
    kinds.TRANSACTION_KIND_CANCELLED_SALE: 0,
}
LINE = st.tuples(st.sampled_from("ABC"), st.integers(1, 1_000_000), st.booleans())
TRADE = st.lists(st.tuples(st.sampled_from(sorted(SIGNS)), st.lists(LINE, max_size=4)), max_size=6)


async def levels(stocks) -> dict[str, int]:
    """Stock of store 0001 by item."""
    answer = await stocks.ListStock(pb.ListStockRequest(store_code="0001"))
    return {one.item_code: one.quantity for one in answer.stock}


async def movements(stocks, item_code: str = "A") -> list[Movement]:
    """Movements of an item in store 0001, oldest first."""
    answer = await stocks.ListMovements(pb.ListMovementsRequest(store_code="0001", item_code=item_code))
    return list(reversed(answer.movements))


async def test_a_sale_takes_its_lines(stocks, feed, clock):
    """Every line that is not cancelled takes its units; the goods were there, so stock goes below zero."""
    await feed.receive(transaction())
    assert await levels(stocks) == {"A": -2, "B": -3}
    (movement,) = await movements(stocks, "B")
    assert (movement.kind, movement.change, movement.before, movement.after) == (Movement.KIND_SALE, -3, 0, -3)
    assert (movement.terminal_no, movement.transaction_no, movement.movement_no) == (1, 1, 1)
    assert movement.create_time.ToDatetime(clock.now().tzinfo) == clock.now()


@pytest.mark.parametrize(
    ("kind", "moved"),
    [
        (kinds.TRANSACTION_KIND_VOID_SALE, Movement.KIND_VOID_SALE),
        (kinds.TRANSACTION_KIND_RETURN, Movement.KIND_RETURN),
    ],
)
async def test_what_undoes_a_sale_gives_its_units_back(stocks, feed, kind, moved):
    """A void and a return leave the stock as it was before the sale."""
    await feed.receive(transaction(), transaction(2, kind))
    assert await levels(stocks) == {"A": 0, "B": 0}
    assert [(one.kind, one.before, one.after) for one in await movements(stocks)] == [
        (Movement.KIND_SALE, 0, -2),
        (moved, -2, 0),
    ]


async def test_the_void_of_a_return_takes_again(stocks, feed):
    """Sale, return and the void of that return together are the sale."""
    await feed.receive(
        transaction(),
        transaction(2, kinds.TRANSACTION_KIND_RETURN),
        transaction(3, kinds.TRANSACTION_KIND_VOID_RETURN),
    )
    assert await levels(stocks) == {"A": -2, "B": -3}


async def test_a_cancelled_sale_moves_nothing(stocks, feed):
    """Nothing was sold, so nothing is moved, not even by 0."""
    await feed.receive(transaction(1, kinds.TRANSACTION_KIND_CANCELLED_SALE))
    assert await levels(stocks) == {}


async def test_an_event_that_comes_again_moves_nothing(stocks, feed):
    """However often an event arrives, its goods leave once."""
    event = feed.numbers.envelope(transaction())
    await feed.deliver(event)
    assert (await feed.deliver(event, event)).duplicates == 2
    assert await levels(stocks) == {"A": -2, "B": -3}


async def test_tenants_and_stores_have_their_own_stock(stocks, feed):
    """Another tenant's sale, and one in another store, leave this store alone."""
    await feed.receive(transaction(), tenant_id="other")
    elsewhere = transaction()
    elsewhere.store_code = "0002"
    await feed.receive(elsewhere)
    assert await levels(stocks) == {}


@settings(max_examples=50, deadline=None)
@given(trade=TRADE)
def test_any_trade_moves_as_its_lines_say(trade):
    """Stock is the sum of all signed lines; each movement starts where the last one ended, numbered without holes."""
    logs = [_log(number, kind, lines) for number, (kind, lines) in enumerate(trade, 1)]
    expected: Counter[str] = Counter()
    for kind, lines in trade:
        for item_code, quantity, cancelled in lines:
            expected[item_code] += 0 if cancelled else SIGNS[kind] * quantity
    numbers, group = Numbers(), Group(PLATFORM, "stock", HANDLERS, FakeClock())
    with fresh(METADATA) as connection:
        for log in logs:
            group.apply(connection, numbers.envelope(log))
        for item_code in "ABC":
            kept = storage.movements(connection, "acme", "0001", item_code, before=None, limit=1000)
            chain = [one.movement for one in reversed(kept)]
            assert [one.movement_no for one in chain] == list(range(1, len(chain) + 1))
            assert [one.before for one in chain] == [0, *(one.after for one in chain)][: len(chain)]
            assert storage.get(connection, "acme", "0001", item_code).quantity == expected[item_code]
            assert sum(one.change for one in chain) == expected[item_code]


async def test_a_batch_moves_whole_or_not_at_all(stocks, feed):
    """A transaction that cannot be applied leaves none of its lines, and none of its batch."""
    broken = transaction(2)
    broken.kind = kinds.TRANSACTION_KIND_UNSPECIFIED
    with pytest.raises(ValueError):
        await feed.receive(transaction(), broken)
    assert await levels(stocks) == {}


def _log(number: int, kind: kinds.TransactionKind.ValueType, lines: list[tuple[str, int, bool]]) -> TransactionLog:
    log = transaction(number, kind)
    del log.lines[:]
    for line_no, (item_code, quantity, cancelled) in enumerate(lines, 1):
        log.lines.add(line_no=line_no, item_code=item_code, quantity=quantity, cancelled=cancelled)
    return log
