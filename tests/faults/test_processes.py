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


@pytest.mark.parametrize("name", ["report", "journal", "stock"])
async def test_kill_a_consumer(shop: RunningShop, name: str):
    """E1, E2: kill -9 of a consumer among events; what it had read and not applied is applied once, in order."""
    async with trading_day(shop, sales=40, seed=21) as day:
        await day.sold(10)
        pid = shop.send(name, signal.SIGKILL)
        await until_serving(shop, name, other_than=pid)


async def test_kill_cart(shop: RunningShop):
    """B4, E4, E5, G3: kill -9 of cart, and of its relay, with calls in flight; every sale and its event are whole."""
    async with trading_day(shop, sales=60, seed=22) as day:
        for count in (10, 25):
            await day.sold(count)
            pid = shop.send("cart", signal.SIGKILL)
            await until_serving(shop, "cart", other_than=pid)


async def test_kill_terminal(shop: RunningShop):
    """B4, E5: kill -9 of the terminal service, which every cart asks, and which publishes cash and closings."""
    async with trading_day(shop, sales=40, seed=23) as day:
        await day.sold(10)
        pid = shop.send("terminal", signal.SIGKILL)
        await until_serving(shop, "terminal", other_than=pid)


async def test_kill_account(shop: RunningShop):
    """B4: kill -9 of account, which makes tokens and lists keys; trade goes on, and newcomers get in when it is back."""
    async with trading_day(shop, sales=40, seed=24) as day:
        await day.sold(10)
        pid = shop.send("account", signal.SIGKILL)
        async with admin(shop.system, shop.settings) as newcomer:
            stub = AccountServiceStub(newcomer.channel("account"))
            assert (await surely(stub.GetTenant, GetTenantRequest())).tenant.tenant_id == "demo"
        await until_serving(shop, "account", other_than=pid)


async def test_freeze_a_consumer(shop: RunningShop):
    """E2, E21: report is stopped for most of a day; sales do not wait for it, and then it catches up."""
    async with trading_day(shop, sales=40, seed=25) as day:
        await day.sold(5)
        shop.send("report", signal.SIGSTOP)
        try:
            await day.sold(40)
        finally:
            shop.send("report", signal.SIGCONT)
