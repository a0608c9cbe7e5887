"""Several processes of one service on one database: each is replaced under load, and nobody notices."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pos.cart.v1.transaction_service_pb2 import ListTransactionsRequest
from pos.cart.v1.transaction_service_pb2_grpc import TransactionServiceStub
from pos.report.v1.report_service_pb2 import GetSalesReportRequest
from pos.report.v1.report_service_pb2_grpc import ReportServiceStub
from pos.type.v1.date_pb2 import Date
from pos.type.v1.report_kind_pb2 import REPORT_KIND_FLASH
from trunkline.client import PeerChannel, connect
from trunkline.launcher.ports import free_port

from deploy.local.settings import ROOT
from deploy.local.shop import admin
from tests.faults.calls.load import Outcome, open_loop
from tests.shop.health import statuses, until_serving
from tests.shop.running import RunningShop, like
from tests.shop.trading import trading_day
from tests.shop.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]
PER_S = 50.0
"""Calls a second."""
SECONDS = 90.0 if os.environ.get("TRUNKLINE_FAULTS_FULL") else 25.0
"""How long; with TRUNKLINE_FAULTS_FULL=1 longer."""
DEADLINE_S = 5.0


@asynccontextmanager
async def second(shop: RunningShop, name: str) -> AsyncIterator[tuple[str, subprocess.Popen[bytes]]]:
    """Another process of a service of the shop, on the same database and a port of its own."""
    port = free_port()
    command, variables = like(shop.pid(name))
    variables |= {f"POS_{name.upper()}_PORT": str(port), "TRUNKLINE_METRICS_PORT": ""}
    log = (shop.var_dir.parent / f"second-{name}.log").open("ab")
    with log:
        process = await asyncio.to_thread(
            subprocess.Popen, command, cwd=ROOT, env=variables, stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        await until(lambda: _serves(port), f"the second {name} serves")
        yield f"127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            process.terminate()
        await asyncio.to_thread(process.wait, 40)


async def _serves(port: int) -> bool:
    try:
        return (await statuses(f"127.0.0.1:{port}")).get("", False)
    except Exception:  # noqa: BLE001 - not yet, whatever it is
        return False


Asking = Callable[[PeerChannel], Callable[[], Awaitable[Any]]]


def transactions(channel: PeerChannel) -> Callable[[], Awaitable[Any]]:
    """Asks cart."""
    stub: Any = TransactionServiceStub(channel)
    request = ListTransactionsRequest(store_code="0001", terminal_no=1, page_size=5)
    return lambda: stub.ListTransactions(request, timeout=DEADLINE_S)


def figures(channel: PeerChannel) -> Callable[[], Awaitable[Any]]:
    """Asks report."""
    stub: Any = ReportServiceStub(channel)
    today = Date(year=2026, month=1, day=5)
    request = GetSalesReportRequest(kind=REPORT_KIND_FLASH, store_code="0001", business_date=today)
    return lambda: stub.GetSalesReport(request, timeout=DEADLINE_S)


@pytest.mark.parametrize(("name", "asking"), [("cart", transactions), ("report", figures)])
async def test_instances_are_replaced_under_load(shop: RunningShop, name: str, asking: Asking):
    """B1, E17: two processes share a database; one, then the other is ended and comes back, while 50 calls a second and
    a day's sales go on: no call fails, and report, journal and stock agree with what was sold.
    """
    outcomes: list[Outcome] = []
    async with second(shop, name) as (address, process), admin(shop.system, shop.settings) as office:
        target = f"ipv4:{shop.system.services[name]},{address}"
        async with connect(name, credential=office._credential, target=target, settings=shop.settings) as channel:
            ask = asking(channel)
            await ask()
            load = asyncio.create_task(open_loop(lambda _: ask(), per_s=PER_S, seconds=SECONDS, tell=outcomes.append))
            async with trading_day(shop, sales=30, seed=31) as day:
                await day.sold(5)
                old = shop.send(name, signal.SIGTERM)
                await until_serving(shop, name, other_than=old)
                await day.sold(15)
                process.terminate()
                assert await asyncio.to_thread(process.wait, 40) == 0
            await load
    assert (len(outcomes), Counter(one.reason for one in outcomes if one.reason)) == (int(PER_S * SECONDS), Counter())
