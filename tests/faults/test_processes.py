"""Processes that die or freeze in the middle of a day: nothing is lost, nothing is done twice, and all come back."""

from __future__ import annotations

import signal

import pytest
from pos.account.v1.account_service_pb2 import GetTenantRequest
from pos.account.v1.account_service_pb2_grpc import AccountServiceStub

from deploy.local.calls import surely
from deploy.local.shop import admin
from tests.shop.health import until_serving
from tests.shop.running import RunningShop
from tests.shop.trading import trading_day

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop")]


async def test_kill_consumers(shop: RunningShop):
    """E1, E2: kill -9 of each consumer among events; what it had read and not applied is applied once, in order."""
    async with trading_day(shop, sales=50, seed=21) as day:
        killed: dict[str, int] = {}
        for count, name in ((10, "report"), (20, "journal"), (30, "stock"), (40, "report")):
            await day.sold(count)
            if name in killed:
                await until_serving(shop, name, other_than=killed[name])
            killed[name] = shop.send(name, signal.SIGKILL)
        for name, pid in killed.items():
            await until_serving(shop, name, other_than=pid)


async def test_kill_cart(shop: RunningShop):
    """B4, E4, E5, G3: kill -9 of cart, and of its relay, with calls in flight; every sale and its event are whole."""
    async with trading_day(shop, sales=40, seed=22) as day:
        await day.sold(10)
        pid = shop.send("cart", signal.SIGKILL)
        await until_serving(shop, "cart", other_than=pid)


async def test_kill_account_and_terminal(shop: RunningShop):
    """B4, E5: kill -9 of who makes tokens and of whom every cart asks; a newcomer gets in when account is back."""
    async with trading_day(shop, sales=40, seed=23) as day:
        await day.sold(10)
        account = shop.send("account", signal.SIGKILL)
        async with admin(shop.system, shop.settings) as newcomer:
            stub = AccountServiceStub(newcomer.channel("account"))
            assert (await surely(stub.GetTenant, GetTenantRequest())).tenant.tenant_id == "demo"
        terminal = shop.send("terminal", signal.SIGKILL)
        await until_serving(shop, "account", other_than=account)
        await until_serving(shop, "terminal", other_than=terminal)


async def test_freeze_a_consumer(shop: RunningShop):
    """E2, E21: report is stopped for most of a day; sales do not wait for it, and then it catches up."""
    async with trading_day(shop, sales=40, seed=25) as day:
        await day.sold(5)
        shop.send("report", signal.SIGSTOP)
        try:
            await day.sold(40)
        finally:
            shop.send("report", signal.SIGCONT)
