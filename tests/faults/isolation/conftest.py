"""The stage of the sweep, set once for all its tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.faults.isolation.databases import rows_of
from tests.faults.isolation.stage import Stage, staged
from tests.shop.healed import healed
from tests.shop.logs import log_complaints
from tests.shop.running import RunningShop


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def stage(shop: RunningShop) -> AsyncIterator[Stage]:
    """Six tenants in the shop that runs; afterwards nothing is lost, doubled, held up or said that must not be."""
    found = await staged(shop)
    yield found
    await found.wire.close()
    floods = "service acts for tenant"
    told = [one for one in log_complaints(shop.new_log(), shop.var_dir) if floods not in one]
    assert not told, "\n".join(told)
    await healed(shop)


@pytest_asyncio.fixture(loop_scope="package")
async def unchanged(stage: Stage) -> AsyncIterator[None]:
    """A test after which A has in all databases what it had before, to the byte."""
    var_dir, tenant_id = stage.shop.var_dir, stage.a.tenant_id
    before = await asyncio.to_thread(rows_of, var_dir, tenant_id)
    yield
    await stage.settled()
    assert await asyncio.to_thread(rows_of, var_dir, tenant_id) == before
