"""A backlog that gathered in cart's outbox while Redis was away drains beside sales."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from trunkline.launcher.system import REDIS

from bench.eventing.feed import TENANT, TOPIC, fill_outbox, opened
from services.cart.storage.tables import METADATA
from tests.shop.books import complaints, select
from tests.shop.company import company
from tests.shop.running import RunningShop
from tests.shop.waiting import HEAL_S, until, until_none

FULL = bool(os.environ.get("TRUNKLINE_FAULTS_FULL"))
COUNT, DRAIN_S = (100_000, 3_600.0) if FULL else (1_000, 120.0)
"""Events of the backlog, and seconds it may take; with TRUNKLINE_FAULTS_FULL=1 a hundred thousand."""
pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.timeout(DRAIN_S + 300)]
TERMINALS = 20
GREW_MB = 32.0
"""Megabytes by which no process may grow: the whole backlog takes twice as much, in its shortest form."""


@pytest.fixture
def own_shop(tmp_path: Path) -> Iterator[RunningShop]:
    """A shop of its own: nobody who recounts the books knows of these events."""
    with RunningShop(tmp_path / "var") as running:
        yield running


def _memory_mb(shop: RunningShop) -> dict[str, float]:
    """What publisher and consumers have of the machine's memory."""
    found = {}
    for name in (TOPIC.publisher, *sorted(TOPIC.groups)):
        status = Path(f"/proc/{shop.pid(name)}/status").read_text(encoding="ascii")
        found[name] = int(status.split("VmRSS:")[1].split()[0]) / 1024
    return found


def _waiting(shop: RunningShop) -> bool:
    """Whether an event of the backlog is not confirmed by everybody yet."""
    query = f"SELECT 1 FROM outbox WHERE NOT confirmed AND tenant_id = '{TENANT}' LIMIT 1"
    return bool(select(shop.var_dir, TOPIC.publisher, query))


async def test_a_backlog_drains_beside_sales(own_shop: RunningShop):
    """E21: what gathered while Redis was away reaches everybody once and in order while sales go on, which do not wait
    for it; no process takes it into memory.
    """
    async with company(own_shop, "acme") as acme:
        counter = await acme.counter("0001")
        await counter.open()
        own_shop.supervisor.stop(REDIS)
        async with opened(own_shop.var_dir / TOPIC.publisher / f"{TOPIC.publisher}.db", METADATA) as database:
            await fill_outbox(database, COUNT, TERMINALS)
        before, sold = _memory_mb(own_shop), 0
        most = dict(before)
        own_shop.supervisor.start(REDIS)

        async def drained() -> bool:
            nonlocal sold
            await counter.sell()
            sold += 1
            for name, mb in _memory_mb(own_shop).items():
                most[name] = max(most[name], mb)
            return not _waiting(own_shop)

        await until(drained, "the backlog is confirmed", DRAIN_S)
    await until_none(lambda: complaints(own_shop.var_dir), HEAL_S)
    assert sold > 1
    assert {name: mb for name, mb in most.items() if mb - before[name] > GREW_MB} == {}
