"""A run: a shop opens, a schedule breaks it while it sells, it heals, and its books are looked at throughout."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.shop import admin
from deploy.local.system import SERVICES
from tests.faults.chaos.auditing import kind_of, overstated, undelivered, unsafe, unsettled
from tests.faults.chaos.faulting import Faulting
from tests.faults.chaos.schedule import EVERY_S, Fault, schedule
from tests.faults.chaos.shop import ChaosShop, chaos_shop
from tests.faults.chaos.trading import Trade, trade
from tests.shop.books import published, select
from tests.shop.effects import EFFECTS, SIGN
from tests.shop.health import unwell
from tests.shop.logs import log_complaints

HEAL_S = 30.0
"""Seconds after the last fault is over within which everything must be drained and well."""
LOOK_S = 2.0
"""Seconds between two looks at the books while faults go on."""
SHOWN = 20
"""Complaints that are shown."""
THREADS = 32
"""Of this process: faults that hold databases must not keep the books from being looked at."""
Told = Callable[[str], object]


@dataclass(slots=True)
class Report:
    """What came of a run."""

    seed: int
    seconds: float
    faults: dict[str, int] = field(default_factory=dict)
    """What was done, and how often."""
    sales: int = 0
    """Sales the tills made."""
    transactions: int = 0
    """Transactions that cart has committed."""
    yen: int = 0
    """What they come to."""
    in_journal: int = 0
    """Of them, entries of the journal."""
    yen_in_report: int = 0
    """What they come to in report's sums."""
    movements: int = 0
    """Movements of stock that they made."""
    delivered: int = 0
    """Transactions that GetDelivery says every group has."""
    events: int = 0
    """Events that were published, those of terminals included."""
    looks: int = 0
    """Times the books were looked at while faults went on."""
    drained_s: float = 0.0
    """Seconds from the end of the last fault until everything was drained."""
    well_s: float = 0.0
    """Seconds from then until every service and all it needs was SERVING."""
    wrong: list[str] = field(default_factory=list)
    """What was not as it must be."""


async def run_chaos(
    folder: Path, seed: int, seconds: float, told: Told = lambda _: None, *, every_s: float = EVERY_S
) -> Report:
    """Runs a schedule in a shop of its own."""
    report = Report(seed, seconds)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    async with chaos_shop(folder) as shop, trade(shop, seed) as trading:
        await trading.open()
        told("the shop is open")
        selling = asyncio.create_task(trading.sell(), name="selling")
        async with _watched(shop, trading, report, told):
            report.faults = await _inflict(Faulting(shop), schedule(seed, seconds, every_s), told, report)
        told("        all is whole again")
        try:
            await _settle(shop, trading, selling, report)
        except Exception as error:  # noqa: BLE001 - a run that broke is told of in its table
            report.wrong.append(f"{type(error).__name__}: {error}")
        report.wrong += log_complaints(_logs(shop.var_dir), shop.var_dir)[:SHOWN]
        _sum_up(shop.var_dir, trading, report)
    return report


@asynccontextmanager
async def _watched(shop: ChaosShop, trading: Trade, report: Report, told: Told) -> AsyncIterator[None]:
    watching = asyncio.create_task(_watch(shop, trading, report, told), name="watching")
    try:
        yield
    finally:
        watching.cancel()
    for ended in await asyncio.gather(watching, return_exceptions=True):
        if isinstance(ended, Exception):
            report.wrong.append(f"nobody looked any more: {type(ended).__name__}: {ended}")


async def _watch(shop: ChaosShop, trading: Trade, report: Report, told: Told) -> None:
    """Safety at all times: the books are right while everything breaks."""
    began = time.monotonic()
    async with admin(shop.system, shop.settings) as office:
        while True:
            found = await asyncio.to_thread(unsafe, shop.var_dir, trading.ledgers)
            found += await overstated(office, shop.var_dir)
            report.wrong += [f"after {time.monotonic() - began:.0f} s: {one}" for one in found[:SHOWN]]
            report.looks += 1
            behind = await asyncio.to_thread(_behind, shop.var_dir)
            told(f"{time.monotonic() - began:6.1f} s  {trading.sales} sales, {behind}, {len(report.wrong)} complaints")
            await asyncio.sleep(LOOK_S)


async def _inflict(faulting: Faulting, faults: Sequence[Fault], told: Told, report: Report) -> dict[str, int]:
    began, running = time.monotonic(), list[asyncio.Task[None]]()
    try:
        for fault in faults:
            await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
            told(f"{fault.at_s:6.1f} s  {fault}")
            running.append(asyncio.create_task(faulting.inflict(fault)))
        for ended in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(ended, BaseException):
                report.wrong.append(f"{type(ended).__name__}: {ended}")
    finally:
        # Where the run is broken off, nobody may stand still or hold a database any more.
        for one in running:
            one.cancel()
    return dict(Counter(fault.kind for fault in faults))


async def _settle(shop: ChaosShop, trading: Trade, selling: asyncio.Task[None], report: Report) -> None:
    healed = time.monotonic()
    trading.end()
    await selling
    await trading.close()
    while found := await asyncio.to_thread(unsettled, shop.var_dir, trading.ledgers):
        if time.monotonic() > healed + HEAL_S:
            report.wrong += [f"still after {HEAL_S:.0f} s: {one}" for one in found[:SHOWN]]
            return
        await asyncio.sleep(0.1)
    report.drained_s = round(time.monotonic() - healed, 2)
    if report.drained_s > HEAL_S:
        report.wrong.append(f"drained after {report.drained_s} s")
    while found := await unwell(shop.system):
        if time.monotonic() > healed + HEAL_S:
            report.wrong += found
            break
        await asyncio.sleep(0.1)
    report.well_s = round(time.monotonic() - healed, 2)
    rows = select(shop.var_dir, "cart", "SELECT store_code, terminal_no, transaction_no FROM transaction_record")
    async with admin(shop.system, shop.settings) as office:
        found = await undelivered(office, [tuple(row) for row in rows])
    report.delivered = len(rows) - len(found)
    report.wrong += found[:SHOWN]


def _logs(var_dir: Path) -> str:
    """What the services have said."""
    logs = [path for name in SERVICES for path in var_dir.glob(f"log/*{name}.log")]
    return "\n".join(path.read_text(errors="replace") for path in logs)


def _behind(var_dir: Path) -> str:
    events = len(select(var_dir, "cart", "SELECT 1 FROM outbox"))
    query = "SELECT 1 FROM inbox WHERE topic = 'tranlog'"
    counts = {group: events - len(select(var_dir, group, query)) for group in EFFECTS}
    return f"{events} transactions, behind: " + ", ".join(f"{group} {count}" for group, count in counts.items())


def _sum_up(var_dir: Path, trading: Trade, report: Report) -> None:
    """The same in the words of each book."""
    logs = [one.log for one in published(var_dir, "tranlog")]
    report.sales, report.events = trading.sales, len(published(var_dir))
    report.transactions = len(select(var_dir, "cart", "SELECT 1 FROM transaction_record"))
    report.yen = sum(SIGN[kind_of(log)] * log.total_with_tax_minor_units for log in logs)
    report.in_journal = len(select(var_dir, "journal", "SELECT 1 FROM entry WHERE topic = 'tranlog'"))
    sums = select(var_dir, "report", "SELECT amount FROM figure WHERE name = 'PAYMENT'")
    report.yen_in_report = sum(row["amount"] for row in sums)
    report.movements = len(select(var_dir, "stock", "SELECT 1 FROM movement WHERE transaction_no > 0"))
