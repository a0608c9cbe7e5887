"""What undoes a sale reaches consumers before it, late, and more than once: all books are what they would be."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from pos.report.v1 import report_service_pb2 as report_pb
from pos.report.v1 import report_service_pb2_grpc as report_grpc
from pos.stock.v1 import stock_service_pb2 as stock_pb
from pos.stock.v1 import stock_service_pb2_grpc as stock_grpc
from pos.type.v1.report_kind_pb2 import REPORT_KIND_FLASH
from redis.asyncio import Redis
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.errors import ServiceError
from trunkline.events.topics import DEFAULT_SHARDS, shard_of, stream_name

from services.journal import app as journal_app
from services.journal.settings import JournalSettings
from services.journal.storage.tables import ENTRY
from services.report import app as report_app
from services.report.settings import ReportSettings
from services.report.storage.tables import FIGURE
from services.stock import app as stock_app
from services.stock.settings import StockSettings
from services.stock.storage.tables import STOCK
from tests.faults.events.receiving import BOUND_S, Receiving, receiving, stock_is_right
from tests.golden.recorded import known, releases
from tests.services.cart.shop import DAY, Lane
from tests.services.cart.whole import opened_lane
from tests.services.logs import Kind, transaction
from tests.services.published import envelopes
from tests.services.received import Numbers
from tests.trunkline.events.notes import until

RELEASE = releases()[-1]
SALE, VOID = Kind.TRANSACTION_KIND_SALE, Kind.TRANSACTION_KIND_VOID_SALE
BACK, VOID_BACK = Kind.TRANSACTION_KIND_RETURN, Kind.TRANSACTION_KIND_VOID_RETURN


def mixed(events: Sequence[Envelope], dice: random.Random) -> list[list[Envelope]]:
    """All events in any order, every second one twice or more often, in some portions."""
    order = [*events, *dice.choices(events, k=len(events) // 2)]
    dice.shuffle(order)
    cuts = sorted(dice.sample(range(1, len(order)), 5))
    return [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]


@pytest.mark.parametrize("seed", range(3))
async def test_a_day_comes_in_any_order(client: Redis, url: str, tmp_path: Path, seed: int):
    """E25: a day of sales, voids, returns and their voids, shuffled and doubled, some later than patience lasts."""
    events, dice = RELEASE.envelopes(), random.Random(seed)
    async with receiving(tmp_path, url, client) as shop:
        for portion in mixed(events, dice):
            await shop.bring(*portion)
            await shop.lose_patience()
        for service, receiver in shop.receivers.items():
            wanted = RELEASE.effects(service)
            assert known(await receiver.effects(), wanted) == wanted
            due = [one for one in events if one.topic in receiver.topics]
            assert len(await receiver.rows(receiver.platform.inbox)) == len(due)
            assert await receiver.rows(receiver.platform.dead_letter) == []
            holes = await receiver.rows(receiver.platform.hole)
            assert [one for one in holes if one["closed_time"] is None] == []
            assert holes, "nothing was late"
        await stock_is_right(shop.receivers["stock"])


def story(*steps: tuple[Any, int]) -> list[Envelope]:
    """Transactions of terminals, each the next of its own."""
    numbers, made = Numbers(), Counter[int]()
    found = []
    for kind, terminal_no in steps:
        made[terminal_no] += 1
        found.append(numbers.envelope(transaction(made[terminal_no], kind, terminal_no=terminal_no)))
    return found


class Story(NamedTuple):
    """Events as they happened, which together leave nothing sold."""

    events: list[Envelope]
    """All of them, each the next of its terminal."""
    order: tuple[int, ...]
    """The order they come in."""
    first: tuple[int, int]
    """Gross sales and returns when the first of them has come."""
    last: tuple[int, int]
    """The same in the end."""


STORIES = {
    # Within a key: the number before it is missing for longer than patience lasts.
    "void": Story(story((SALE, 1), (VOID, 1)), (1, 0), (-816, 0), (0, 0)),
    # Each terminal is a key of its own, and keys do not wait for each other.
    "return": Story(story((SALE, 1), (BACK, 2)), (1, 0), (0, 646), (816, 646)),
    "second return": Story(story((SALE, 1), (BACK, 2), (VOID_BACK, 2), (BACK, 2)), (3, 2, 1, 0), (0, 646), (816, 646)),
    "void of a return": Story(story((BACK, 2), (VOID_BACK, 2)), (1, 0), (0, -646), (0, 0)),
}


async def shown(shop: Receiving) -> tuple[int, int]:
    """Gross sales and returns, all places together."""
    query = sa.select(FIGURE.c.name, sa.func.sum(FIGURE.c.amount)).group_by(FIGURE.c.name)
    rows = await shop.receivers["report"].database.read(lambda connection: connection.execute(query).all())
    told = Counter({name: int(amount) for name, amount in rows})
    due = told["GROSS"] - told["LINE_DISCOUNTS"] - told["SUBTOTAL_DISCOUNTS"] - told["RETURNS"]
    assert due == told["PAYMENT"], "net and tax are not what was paid"
    return told["GROSS"], told["RETURNS"]


async def levels(shop: Receiving) -> dict[str, int]:
    """Stock by item."""
    return {row["item_code"]: row["quantity"] for row in await shop.receivers["stock"].rows(STOCK)}


@pytest.mark.parametrize("name", STORIES)
async def test_what_undoes_a_sale_comes_before_it(client: Redis, url: str, tmp_path: Path, name: str):
    """E25: it has its effect when it comes, and none when it comes again; in the end the goods are back, to the yen."""
    events, order, first, last = STORIES[name]
    async with receiving(tmp_path, url, client) as shop:
        for done, number in enumerate(order, 1):
            await shop.bring(events[number], events[order[0]], events[number])
            await shop.lose_patience()
            if done == 1:
                assert await shown(shop) == first
                assert await levels(shop) == ({"A": -2, "B": -3} if first[1] < 0 else {"A": 2, "B": 3})
        assert await shown(shop) == last
        assert await levels(shop) == {"A": 0, "B": 0}
        assert len(await shop.receivers["journal"].rows(ENTRY)) == len(events)
        await stock_is_right(shop.receivers["stock"])


async def _void(lane: Lane, number: int) -> str:
    try:
        return f"done: {(await lane.void(number)).transaction_no}"
    except ServiceError as error:
        return error.reason


async def test_a_sale_is_voided_ten_times_at_once(client: Redis, url: str, tmp_path: Path):
    """E25: one void is made, nine are told that it is; its event comes four times, and nothing is left of the sale."""
    async with opened_lane(tmp_path, url) as lane:
        system = lane.shop.system
        await system.start("report", report_app.build, ReportSettings())
        await system.start("stock", stock_app.build, StockSettings())
        journal = await system.start("journal", journal_app.build, JournalSettings())
        sale = await lane.sell()
        answers = await asyncio.gather(*(_void(lane, sale) for _ in range(10)))
        assert Counter(answers) == {f"done: {sale + 1}": 1, "ALREADY_VOIDED": 9}

        sold, voided = await envelopes(lane.shop.cart)
        stream = stream_name("tranlog", shard_of(voided.key, DEFAULT_SHARDS))
        for _ in range(3):
            await client.xadd(stream, {"e": voided.SerializeToString()})

        async def all_read() -> bool:
            last = (await client.xinfo_stream(stream))["last-generated-id"]
            groups = await client.xinfo_groups(stream)
            return len(groups) == 3 and all((one["last-delivered-id"], one["pending"]) == (last, 0) for one in groups)

        await until(all_read, BOUND_S)
        stocks = stock_grpc.StockServiceStub(lane.shop.office("stock"))
        found = await stocks.ListMovements(stock_pb.ListMovementsRequest(store_code="0001", item_code="A"))
        assert [(one.change, one.before, one.after) for one in reversed(found.movements)] == [(-2, 0, -2), (2, -2, 0)]
        request = report_pb.GetSalesReportRequest(kind=REPORT_KIND_FLASH, store_code="0001", business_date=DAY)
        reports = report_grpc.ReportServiceStub(lane.shop.office("report"))
        report = (await reports.GetSalesReport(request)).report
        told = [report.gross, report.returns, report.tax, report.net]
        assert [(one.amount.minor_units, one.quantity, one.count) for one in told] == [(0, 0, 0)] * 4
        assert journal.storage is not None
        kept = await journal.storage.database.read(
            lambda connection: connection.scalars(sa.select(ENTRY.c.entry_id).where(ENTRY.c.topic == "tranlog")).all()
        )
        assert sorted(kept) == sorted([sold.id, voided.id])
