"""What report, journal and stock made of a day, asked of them one by one."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from pos.item.v1 import item_service_pb2
from pos.item.v1.item_service_pb2_grpc import ItemServiceStub
from pos.journal.v1 import entry_pb2, journal_service_pb2, journal_service_pb2_grpc
from pos.report.v1 import report_service_pb2, report_service_pb2_grpc, sales_report_pb2
from pos.stock.v1 import stock_pb2, stock_service_pb2, stock_service_pb2_grpc
from pos.terminal.v1.terminal_pb2 import Terminal
from pos.type.v1.report_kind_pb2 import REPORT_KIND_FLASH
from trunkline.launcher.system import LaunchError

from deploy.local.calls import Caller, surely
from deploy.local.ledger import RETURN, SALE, SIGNS, VOID_RETURN, VOID_SALE, Figures

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Day:
    """Which day is asked about."""

    store_code: str
    """The store."""
    openings: Sequence[Terminal]
    """Its terminals, as they were opened for it."""
    items: Sequence[str]
    """What was sold."""
    first_transactions: Mapping[int, int]
    """Terminal → number of its first transaction of the day; a terminal that made none is missing."""
    last_movements: Mapping[str, int]
    """Item → number of its last movement of stock before the day: clocks may be set, numbers only grow."""


async def from_report(caller: Caller, day: Day) -> Figures:
    """The sums of the openings' sales reports."""
    stub = report_service_pb2_grpc.ReportServiceStub(caller.channel("report"))
    reports = await asyncio.gather(*(_report(stub, day, opening) for opening in day.openings))
    payments: Counter[str] = Counter()
    for report in reports:
        for payment in report.payments:
            payments[payment.payment_method_code] += payment.amount.minor_units
    amounts = {
        "sales with tax": sum(one.gross.amount.minor_units for one in reports),
        "returns with tax": sum(one.returns.amount.minor_units for one in reports),
        "tax": sum(one.tax.amount.minor_units for one in reports),
        "net": sum(one.net.amount.minor_units for one in reports),
        **{f"paid: {code}": amount for code, amount in payments.items()},
        "cash moved by hand": sum(_moved(one.cash_drawer) for one in reports),
        "cash in the drawers": sum(one.cash_drawer.expected.minor_units for one in reports),
    }
    counts = {
        "sales": sum(one.gross.count for one in reports),
        "units sold": sum(one.gross.quantity for one in reports),
        "returns": sum(one.returns.count for one in reports),
        "units returned": sum(one.returns.quantity for one in reports),
        "transactions": sum(one.transaction_count for one in reports),
        "cash movements": sum(one.cash_drawer.cash_in_count + one.cash_drawer.cash_out_count for one in reports),
    }
    return Figures(amounts, counts)


async def _report(
    stub: report_service_pb2_grpc.ReportServiceAsyncStub, day: Day, opening: Terminal
) -> sales_report_pb2.SalesReport:
    request = report_service_pb2.GetSalesReportRequest(
        kind=REPORT_KIND_FLASH,
        store_code=day.store_code,
        business_date=opening.business_date,
        terminal_no=opening.terminal_no,
        open_counter=opening.open_counter,
    )
    answer = await surely(stub.GetSalesReport, request)
    return answer.report


def _moved(drawer: sales_report_pb2.CashDrawer) -> int:
    return drawer.cash_in.minor_units + drawer.cash_out.minor_units


async def from_journal(caller: Caller, day: Day) -> Figures:
    """The sums of the openings' journal entries."""
    amounts: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    async for entry in _entries(journal_service_pb2_grpc.JournalServiceStub(caller.channel("journal")), day):
        kind = entry_pb2.Entry.Kind.Name(entry.kind).removeprefix("KIND_")
        amount = entry.amount_with_tax.minor_units
        if kind in SIGNS:
            counts["transactions"] += 1
        if kind in {SALE, VOID_SALE}:
            _add(amounts, counts, "sales", "units sold", SIGNS[kind], amount, entry.quantity)
        elif kind in {RETURN, VOID_RETURN}:
            _add(amounts, counts, "returns", "units returned", -SIGNS[kind], amount, entry.quantity)
        elif kind in {"CASH_IN", "CASH_OUT"}:
            amounts["cash moved by hand"] += amount
            counts["cash movements"] += 1
    # A counter that saw nothing is a sum of 0, not something the journal does not know.
    names = ("sales with tax", "returns with tax", "cash moved by hand")
    known = ("sales", "units sold", "returns", "units returned", "transactions", "cash movements")
    return Figures({name: amounts[name] for name in names}, {name: counts[name] for name in known})


def _add(
    amounts: Counter[str], counts: Counter[str], what: str, units: str, sign: int, amount: int, quantity: int
) -> None:
    amounts[f"{what} with tax"] += sign * amount
    counts[what] += sign
    counts[units] += sign * quantity


async def _entries(stub: journal_service_pb2_grpc.JournalServiceAsyncStub, day: Day) -> AsyncIterator[entry_pb2.Entry]:
    for opening in day.openings:
        request = journal_service_pb2.ListEntriesRequest(
            store_code=day.store_code,
            terminal_nos=[opening.terminal_no],
            from_business_date=opening.business_date,
            to_business_date=opening.business_date,
            page_size=_PAGE,
        )
        while True:
            page = await surely(stub.ListEntries, request)
            for entry in page.entries:
                if entry.business_counter == opening.business_counter:
                    yield entry
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token


async def issued_report(caller: Caller, day: Day, report_no: int) -> int | None:
    """Net + tax of the daily report that the first terminal issued under a number, as journalled; None if it is not."""
    async for entry in _entries(journal_service_pb2_grpc.JournalServiceStub(caller.channel("journal")), day):
        if entry.kind == entry_pb2.Entry.KIND_DAILY_REPORT and entry.report_no == report_no and entry.terminal_no == 1:
            return entry.amount_with_tax.minor_units
    return None


async def last_movements(caller: Caller, store_code: str, items: Sequence[str]) -> dict[str, int]:
    """Item → number of its newest movement of stock; 0 if it has none."""
    stub = stock_service_pb2_grpc.StockServiceStub(caller.channel("stock"))

    async def newest(item: str) -> int:
        request = stock_service_pb2.ListMovementsRequest(store_code=store_code, item_code=item, page_size=1)
        return max((one.movement_no for one in (await surely(stub.ListMovements, request)).movements), default=0)

    return dict(zip(items, await asyncio.gather(*map(newest, items)), strict=True))


async def from_stock(caller: Caller, day: Day) -> Figures:
    """Units that left the stock by transactions of the day, and what they are worth at their prices."""
    stub = stock_service_pb2_grpc.StockServiceStub(caller.channel("stock"))
    prices = await _prices(caller, day)
    moved = await asyncio.gather(*(_moved_units(stub, day, item) for item in day.items))
    units = dict(zip(day.items, moved, strict=True))
    worth = sum(prices[item] * count for item, count in units.items())
    return Figures({"goods at their prices": worth}, {f"units of {item}": count for item, count in units.items()})


async def _prices(caller: Caller, day: Day) -> dict[str, int]:
    request = item_service_pb2.BatchGetItemsRequest(item_codes=day.items, store_code=day.store_code)
    answer = await surely(ItemServiceStub(caller.channel("item")).BatchGetItems, request)
    return {item.item_code: item.charged_price.minor_units for item in answer.items}


async def _moved_units(stub: stock_service_pb2_grpc.StockServiceAsyncStub, day: Day, item: str) -> int:
    request = stock_service_pb2.ListMovementsRequest(store_code=day.store_code, item_code=item, page_size=_PAGE)
    moved = 0
    while True:
        page = await surely(stub.ListMovements, request)
        _check_chain(page.movements)
        for movement in page.movements:
            if movement.movement_no <= day.last_movements[item]:
                return moved
            first = day.first_transactions.get(movement.terminal_no)
            # What an earlier day left on its way may arrive during this one.
            if first is not None and movement.transaction_no >= first:
                moved -= movement.change
        if not page.next_page_token:
            return moved
        request.page_token = page.next_page_token


def _check_chain(movements: Sequence[stock_pb2.Movement]) -> None:
    for newer, older in itertools.pairwise(movements):
        if newer.before != older.after or newer.movement_no != older.movement_no + 1:
            numbers = f"{newer.movement_no} of {newer.item_code} does not follow {older.movement_no}"
            raise LaunchError(f"the stock has lost or doubled a movement: {numbers}")
