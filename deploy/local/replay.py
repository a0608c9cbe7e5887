"""Sells the supermarket baskets of a real week in a fresh tenant, and compares the reports with the source."""

from __future__ import annotations

import asyncio
import datetime
import json
import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from pos.report.v1 import report_service_pb2
from pos.report.v1.report_service_pb2_grpc import ReportServiceStub
from pos.type.v1.date_pb2 import Date
from pos.type.v1.report_kind_pb2 import REPORT_KIND_DAILY
from trunkline.errors import ServiceError
from trunkline.registry.system import RunningSystem
from trunkline.settings import PlatformSettings

from deploy.local.baskets import TradingDay, Week, read_week
from deploy.local.calls import Caller, surely, together
from deploy.local.chain import CURRENCY, TENDER, TERMINAL_NO, Chain, open_chain
from deploy.local.ledger import Ledger
from deploy.local.sale import Line
from deploy.local.screen import Screen
from deploy.local.settings import LocalSettings
from deploy.local.start import found_or_started
from deploy.local.till import Till

AT_ONCE = 16
"""Stores that trade at the same time."""
SETTLE_BOUND_S = 300.0
"""Seconds the reports have to catch up."""
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayResult:
    """A week that was sold."""

    tenant_id: str
    """Tenant it was sold in."""
    trading_s: float
    """Seconds it took to open, sell and close all days."""
    differences: list[str]
    """Store, date, and what report and source say; empty if all are equal."""


async def replay_week(settings: PlatformSettings, local: LocalSettings, *, week: int, as_json: bool) -> int:
    """Replays a week on the system that runs, or on one of its own; gives 0 if all totals are equal."""
    screen = Screen(quiet=as_json)
    screen.say(f"reading week {week}")
    source = await asyncio.to_thread(read_week, week)
    async with found_or_started(settings, local) as system:
        result = await _replay(system, settings, source, week, screen)
    if as_json:
        print(json.dumps(_as_json(source, result)))
    _show(screen, source, result)
    return 1 if result.differences else 0


async def _replay(
    system: RunningSystem, settings: PlatformSettings, source: Week, week: int, screen: Screen
) -> ReplayResult:
    tenant_id = f"replay-w{week}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    screen.say(f"making tenant {tenant_id}: {len(source.products):,} items")
    chain = await open_chain(system, settings, source, tenant_id)
    async with Caller.of(system, settings, chain.admin) as admin:
        stores: dict[str, list[TradingDay]] = defaultdict(list)
        for day in source.days:
            stores[day.store_code].append(day)
        begin_s = time.monotonic()
        with screen.progress("selling", source.sold_baskets) as progress:
            await _trade(system, settings, chain, stores, lambda: progress.advance(progress.task_ids[0]))
        trading_s = time.monotonic() - begin_s
        with screen.progress("comparing", len(source.days)) as progress:
            differences = await _compare(admin, source, lambda: progress.advance(progress.task_ids[0]))
    return ReplayResult(tenant_id=tenant_id, trading_s=trading_s, differences=differences)


async def _trade(
    system: RunningSystem,
    settings: PlatformSettings,
    chain: Chain,
    stores: dict[str, list[TradingDay]],
    sold: Callable[[], None],
) -> None:
    # The longest first, so that the last ones end together.
    waiting = sorted(stores, key=lambda store: sum(len(day.baskets) for day in stores[store]))

    async def work() -> None:
        while waiting:
            store = waiting.pop()
            async with Caller.of(system, settings, chain.terminals[store]) as caller:
                till = Till(caller, store, TERMINAL_NO, CURRENCY, Ledger())
                await till.sign_in(chain.staff_id, chain.pin)
                for day in stores[store]:
                    await _trade_day(till, day, sold)

    await together(*(work() for _ in range(AT_ONCE)))


async def _trade_day(till: Till, day: TradingDay, sold: Callable[[], None]) -> None:
    await till.open(business_date=day.date)
    for lines in day.baskets:
        await _sell(till, lines)
        sold()
    await till.close(0)


async def _sell(till: Till, lines: list[Line]) -> None:
    sale = await till.new_sale()
    await sale.add(lines)
    await sale.pay(TENDER, await sale.subtotal())
    await till.finish(sale)


async def _compare(admin: Caller, source: Week, compared: Callable[[], None]) -> list[str]:
    waiting = list(source.sums)
    differences: list[str] = []
    end_s = time.monotonic() + SETTLE_BOUND_S

    async def work() -> None:
        while waiting:
            store, date = waiting.pop()
            wanted = source.sums[store, date]
            found = await _daily(admin, store, date, end_s)
            if found != wanted:
                differences.append(f"store {store} on {date}: report {found}, source {wanted}")
            compared()

    await together(*(work() for _ in range(AT_ONCE)))
    return sorted(differences)


async def _daily(admin: Caller, store: str, date: datetime.date, end_s: float) -> tuple[int, int]:
    """Gross amount in cents and number of sales of a daily report, once everything has arrived for it."""
    stub = ReportServiceStub(admin.channel("report"))
    day = Date(year=date.year, month=date.month, day=date.day)
    request = report_service_pb2.GetSalesReportRequest(kind=REPORT_KIND_DAILY, store_code=store, business_date=day)
    while True:
        try:
            gross = (await surely(stub.GetSalesReport, request)).report.gross
        except ServiceError as error:
            if error.reason != "LOGS_MISSING" or time.monotonic() > end_s:
                raise
        else:
            return gross.amount.minor_units, gross.count
        await asyncio.sleep(_LOOK_S)


def _show(screen: Screen, source: Week, result: ReplayResult) -> None:
    cents = sum(amount for amount, _ in source.sums.values())
    rate = source.sold_baskets / result.trading_s
    nothing = source.baskets - source.sold_baskets
    screen.say(f"baskets  {source.baskets:,}: {source.sold_baskets:,} sold, {nothing:,} with nothing to sell")
    sold_lines = source.lines - source.skipped_lines
    skipped = f"{source.skipped_lines:,} skipped (no quantity or no amount)"
    screen.say(f"lines    {source.lines:,}: {sold_lines:,} sold, {skipped}")
    screen.say(f"days     {len(source.days):,} in {len({day.store_code for day in source.days}):,} stores")
    screen.say(f"time     {result.trading_s:.1f} s, {rate:.0f} sales a second")
    for difference in result.differences[:20]:
        screen.say(f"[red]{difference}[/red]")
    if not result.differences:
        equal = f"all {len(source.sums):,} daily reports equal the sums over the source, {cents / 100:,.2f} USD in all"
        screen.say(f"[green]{equal}[/green]")


def _as_json(source: Week, result: ReplayResult) -> dict[str, object]:
    return {
        "tenant_id": result.tenant_id,
        "baskets": source.baskets,
        "sold_baskets": source.sold_baskets,
        "lines": source.lines,
        "skipped_lines": source.skipped_lines,
        "trading_s": result.trading_s,
        "sales_per_s": source.sold_baskets / result.trading_s,
        "equal": not result.differences,
        "differences": result.differences,
    }
