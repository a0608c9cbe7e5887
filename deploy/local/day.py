"""Trades a day in the demo shop and compares what was sold with what report, journal and stock made of it."""

from __future__ import annotations

import asyncio
import datetime
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from pos.report.v1 import report_service_pb2
from pos.report.v1.report_service_pb2_grpc import ReportServiceStub
from pos.type.v1.report_kind_pb2 import REPORT_KIND_DAILY
from trunkline.errors import ServiceError
from trunkline.launcher.launch import take
from trunkline.registry.system import RunningSystem
from trunkline.settings import PlatformSettings

from deploy.local import goods
from deploy.local.calls import Caller, surely, together
from deploy.local.comparison import Row, compare
from deploy.local.customers import attend
from deploy.local.evidence import Day, from_journal, from_report, from_stock, issued_report, last_movements
from deploy.local.ledger import Figures, Ledger, figures_of
from deploy.local.plan import Basket, plan_day
from deploy.local.shop import admin, pin_file, staff_id
from deploy.local.system import TERMINALS, credentials_dir
from deploy.local.till import Till

SETTLE_BOUND_S = 120.0
"""Seconds report, journal and stock have to catch up after the last terminal has closed."""
_LOOK_S = 0.25
_ITEMS = [good.item_code for good in goods.GOODS]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayResult:
    """A day that was traded."""

    business_date: datetime.date
    """Which day it was in the shop."""
    rows: Sequence[Row]
    """Every figure, as each knows it."""
    sales: int
    """Sales made, those that were taken back later included."""
    first_sale_s: float
    """Seconds from the beginning of the day to its first sale."""
    trading_s: float
    """Seconds from the first terminal's opening to the last one's close."""
    settling_s: float
    """Seconds from then until everybody agreed, or the bound was over."""

    @property
    def equal(self) -> bool:
        """Whether sold, report, journal and stock are the same to the yen."""
        return all(row.equal for row in self.rows)


async def trade_day(
    system: RunningSystem, settings: PlatformSettings, *, sales: int, seed: int, sold: Callable[[], None]
) -> DayResult:
    """Trades a day, whatever is restarted meanwhile: every call is repeated under its key until it is answered.

    Args:
        system: where.
        settings: of this process.
        sales: how many.
        seed: what customers do follows from it.
        sold: called after each sale.

    Raises:
        LaunchError: a service does not come back, or another day is being traded.
        ServiceError: a call is refused.
    """
    lock = take(settings.var_dir / "run" / "day", "a day is being traded in this shop already")
    async with AsyncExitStack() as stack:
        stack.callback(lock.release)
        tills, ledgers = await _tills(system, settings, stack)
        return await _trade(tills, ledgers, system, settings, deque(plan_day(sales, goods.GOODS, seed)), sold)


async def _trade(
    tills: list[Till],
    ledgers: list[Ledger],
    system: RunningSystem,
    settings: PlatformSettings,
    baskets: deque[Basket],
    sold: Callable[[], None],
) -> DayResult:
    await together(*(_sign_in(till, settings.var_dir) for till in tills))
    async with admin(system, settings) as caller:
        before = await last_movements(caller, goods.STORE_CODE, _ITEMS)
    begin_s = time.monotonic()
    first_s: list[float] = []

    def count() -> None:
        first_s.append(time.monotonic() - begin_s)
        sold()

    await together(*(till.open(goods.INITIAL_FLOAT) for till in tills))
    await together(*(_attend_all(till, baskets, count) for till in tills))
    await together(*(till.close(_drawer(ledger)) for till, ledger in zip(tills, ledgers, strict=True)))
    closed_s = time.monotonic()
    day = _day(tills, ledgers, before)
    ledger = Ledger(
        [transaction for one in ledgers for transaction in one.transactions],
        [movement for one in ledgers for movement in one.cash_movements],
    )
    async with admin(system, settings) as caller:
        rows = await _settle(caller, day, figures_of(ledger))
        rows.append(await _daily_report(caller, _terminal(system, settings, 1), day))
    date = tills[0].opening.business_date
    return DayResult(
        business_date=datetime.date(date.year, date.month, date.day),
        rows=rows,
        sales=len(first_s),
        first_sale_s=first_s[0] if first_s else 0.0,
        trading_s=closed_s - begin_s,
        settling_s=time.monotonic() - closed_s,
    )


async def _tills(
    system: RunningSystem, settings: PlatformSettings, stack: AsyncExitStack
) -> tuple[list[Till], list[Ledger]]:
    ledgers = [Ledger() for _ in range(TERMINALS)]
    tills = []
    for number, ledger in enumerate(ledgers, start=1):
        caller = await stack.enter_async_context(_terminal(system, settings, number))
        note = settings.var_dir / "run" / f"cart-{number}.key"
        tills.append(Till(caller, goods.STORE_CODE, number, goods.CURRENCY, ledger, note))
    return tills, ledgers


def _terminal(system: RunningSystem, settings: PlatformSettings, number: int) -> Caller:
    return Caller.from_file(system, settings, credentials_dir(settings.var_dir) / f"terminal-{number}")


async def _sign_in(till: Till, var_dir: Path) -> None:
    staff = staff_id(till.terminal_no)
    await till.sign_in(staff, pin_file(var_dir, staff).read_text().strip())


async def _attend_all(till: Till, baskets: deque[Basket], sold: Callable[[], None]) -> None:
    while baskets:
        if await attend(till, baskets.popleft()) is not None:
            sold()


def _drawer(ledger: Ledger) -> int:
    return figures_of(ledger).amounts["cash in the drawers"]


def _day(tills: list[Till], ledgers: list[Ledger], last_movements: Mapping[str, int]) -> Day:
    numbers = [[one.transaction_no for one in ledger.transactions] for ledger in ledgers]
    return Day(
        store_code=goods.STORE_CODE,
        openings=[till.opening for till in tills],
        items=_ITEMS,
        first_transactions={till.terminal_no: min(made) for till, made in zip(tills, numbers, strict=True) if made},
        last_movements=last_movements,
    )


async def _settle(caller: Caller, day: Day, sold: Figures) -> list[Row]:
    end = time.monotonic() + SETTLE_BOUND_S
    while True:
        report, journal, stock = await together(
            from_report(caller, day), from_journal(caller, day), from_stock(caller, day)
        )
        rows = compare(sold, {"report": report, "journal": journal, "stock": stock})
        if all(row.equal for row in rows) or time.monotonic() > end:
            return rows
        await asyncio.sleep(_LOOK_S)


async def _daily_report(caller: Caller, terminal: Caller, day: Day) -> Row:
    """Issues the store's daily report, which is only given when everything has arrived; looks for it in the journal."""
    async with terminal:
        stub = ReportServiceStub(terminal.channel("report"))
        request = report_service_pb2.IssueSalesReportRequest(kind=REPORT_KIND_DAILY, whole_store=True)
        end = time.monotonic() + SETTLE_BOUND_S
        key = f"daily-report/{uuid.uuid4()}"
        while True:
            try:
                answer = await surely(stub.IssueSalesReport, request, key=key)
                break
            except ServiceError as error:
                if error.reason != "LOGS_MISSING" or time.monotonic() > end:
                    raise
            await asyncio.sleep(_LOOK_S)
        amount = answer.report.net.amount.minor_units + answer.report.tax.amount.minor_units
        journalled = await issued_report(caller, day, answer.report_no)
        while journalled is None and time.monotonic() < end:
            await asyncio.sleep(_LOOK_S)
            journalled = await issued_report(caller, day, answer.report_no)
        return Row("daily report, the whole date", amount, {"journal": -1 if journalled is None else journalled})
