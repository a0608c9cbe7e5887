"""A trading day from the first sale to the daily report, as a person at a prompt sees it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import Any

import pytest
from pos.cart.v1.transaction_service_pb2 import ListTransactionsRequest
from pos.cart.v1.transaction_service_pb2_grpc import TransactionServiceStub
from pos.terminal.v1.terminal_pb2 import Terminal
from pos.terminal.v1.terminal_service_pb2 import ListTerminalsRequest
from pos.terminal.v1.terminal_service_pb2_grpc import TerminalServiceStub

from deploy.local import goods
from deploy.local.settings import ROOT
from deploy.local.shop import admin
from deploy.local.system import SERVICES, TERMINALS, credentials_dir
from tests.shop.healed import healed
from tests.shop.health import unwell
from tests.shop.running import RunningShop, command

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]


async def day(shop: RunningShop, sales: int) -> dict[str, Any]:
    """What `day --json` on the running shop says."""
    process = await asyncio.create_subprocess_exec(
        *command("day", "--sales", sales, "--json"),
        cwd=ROOT,
        env=shop.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(90):
        said, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    found: dict[str, Any] = json.loads(said)
    return found


async def terminals(shop: RunningShop) -> list[Terminal]:
    """The terminals of the demo shop."""
    async with admin(shop.system, shop.settings) as office:
        stub = TerminalServiceStub(office.channel("terminal"))
        answer = await stub.ListTerminals(ListTerminalsRequest(store_code=goods.STORE_CODE))
    return list(answer.terminals)


async def last_transactions(shop: RunningShop) -> list[int]:
    """The number of the last transaction of each terminal of the demo shop."""
    async with admin(shop.system, shop.settings) as office:
        stub = TransactionServiceStub(office.channel("cart"))
        pages = [
            await stub.ListTransactions(
                ListTransactionsRequest(store_code=goods.STORE_CODE, terminal_no=number, page_size=1)
            )
            for number in range(1, TERMINALS + 1)
        ]
    return [page.transactions[0].transaction_no if page.transactions else 0 for page in pages]


async def test_a_day_is_equal_to_the_yen(shop: RunningShop):
    """`day --json` ends with 0, and every figure it shows is the same in all who know it."""
    result = await day(shop, sales=30)
    assert result["equal"]
    assert result["sales"] == 30
    assert result["services"] == shop.system.services
    told = {row["name"]: (row["sold"], set(row["told"].values()), set(row["told"])) for row in result["rows"]}
    assert all(values == {sold} for sold, values, _ in told.values())
    assert told["sales with tax"][2] == {"report", "journal"}
    assert told["goods at their prices"][2] == {"stock"}
    assert told["daily report, the whole date"][2] == {"journal"}
    await healed(shop)


async def test_a_second_day_follows_the_first(shop: RunningShop):
    """Another day in the same shop counts on: openings, business counters and transaction numbers."""
    before, numbers = await terminals(shop), await last_transactions(shop)
    result = await day(shop, sales=12)
    after = await terminals(shop)
    assert [one.business_counter for one in after] == [one.business_counter + 1 for one in before]
    for old, new in zip(before, after, strict=True):
        same_date = old.business_date == new.business_date
        assert new.open_counter == (old.open_counter + 1 if same_date else 1)
        date = new.business_date
        assert f"{date.year}-{date.month:02}-{date.day:02}" == result["business_date"]
        assert new.state == Terminal.STATE_CLOSED
    made = next(row["sold"] for row in result["rows"] if row["name"] == "transactions")
    assert sum(await last_transactions(shop)) == sum(numbers) + made
    await healed(shop)


async def test_a_stopped_shop_leaves_nothing_and_is_found_again(shop: RunningShop):
    """`run` ends with 0 and no process stays; run again, it finds the same shop, and trades another day in it."""
    before, credentials = await terminals(shop), _credentials(shop)
    assert await asyncio.to_thread(shop.stop) == 0
    assert shop.left_over() == set()
    assert not (shop.var_dir / "run" / "system.json").exists()
    await asyncio.to_thread(shop.start)
    assert _credentials(shop) == credentials
    assert [one.business_counter for one in await terminals(shop)] == [one.business_counter + 1 for one in before]
    await healed(shop)


async def test_everything_is_serving(shop: RunningShop):
    """Nine services run, each its own process, and each says that it and all it needs is well."""
    assert set(shop.system.services) == set(SERVICES)
    states = await asyncio.to_thread(shop.supervisor.states)
    assert {one.name for one in states} == {*SERVICES, "redis"}
    assert len({one.pid for one in states}) == len(states)
    assert await unwell(shop.system) == []


def _credentials(shop: RunningShop) -> dict[str, bytes]:
    folder = credentials_dir(shop.var_dir)
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
