"""PostgreSQL stands still, or is lost, under calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from pos.stock.v1 import stock_service_pb2 as pb
from pos.stock.v1 import stock_service_pb2_grpc as pb_grpc
from pos.stock.v1.stock_pb2 import Movement
from trunkline.errors import ServiceError
from trunkline.storage import postgres
from trunkline.storage.postgres import PostgresDatabase
from trunkline.storage.postgres_engine import CONNECT_S, Patience
from trunkline.testing.local import LocalSystem
from trunkline.testing.postgres import PostgresServer

from services.stock.app import build
from services.stock.settings import StockSettings
from tests.faults.storage.losses import STILL_S, cut, restarted, standing_still
from tests.services.callers import admin, key
from tests.services.stock.conftest import TwoItems
from tests.shop.waiting import until
from tests.trunkline.storage.bench import METADATA, insert, names
from tests.trunkline.storage.kinds import Databases

DEADLINE_S, LATE_S = 0.5, 0.25
"""Deadline of each call, and how much later it may be told."""
CALLERS, EACH = 12, 10
PAUSE_S = 0.25
Loss = Callable[[PostgresServer], Coroutine[Any, Any, None]]
ANSWER_S = 0.5
SOON_S = ANSWER_S + CONNECT_S + 1.0
"""Seconds in which nobody waits any more: for an answer, and for a connection that was to be made."""


class Clerks:
    """They book purchases, each again and again under its key until it is done; and others look at the stock."""

    def __init__(self, stocks: Any) -> None:
        self.booked: list[str] = []
        """Purchases that were answered, by name."""
        self.go_on = False
        """Whether they book more than is asked of them, at their leisure."""
        self.took_s: list[float] = []
        """How long each call took."""
        self.told: set[str] = set()
        """How calls failed."""
        self._stocks = stocks

    async def work(self) -> None:
        """All of them do all of theirs."""
        await asyncio.gather(*map(self._work, range(CALLERS)))

    async def look(self) -> None:
        """Somebody looks at the stock."""
        await self._call(self._stocks.GetStock, pb.GetStockRequest(store_code="0001", item_code="A"))

    async def _work(self, clerk: int) -> None:
        for number in count():
            if number >= EACH and not self.go_on:
                return
            await asyncio.gather(self._book(f"{clerk}/{number}"), asyncio.sleep(PAUSE_S if self.go_on else 0))

    async def _book(self, name: str) -> None:
        request = pb.RecordMovementRequest(
            store_code="0001", item_code="A", kind=Movement.KIND_PURCHASE, quantity=1, comment=name
        )
        await until(lambda: self._call(self._stocks.RecordMovement, request, metadata=key(name)), f"{name} is booked")
        self.booked.append(name)

    async def _call(self, rpc: Any, request: Any, **options: Any) -> bool:
        began = time.monotonic()
        try:
            await rpc(request, timeout=DEADLINE_S, **options)
        except ServiceError as error:
            self.told.add(error.code.name)
        else:
            return True
        finally:
            self.took_s.append(time.monotonic() - began)
        return False


@pytest.fixture
async def stocks(databases: Databases, tmp_path: Path) -> AsyncIterator[Any]:
    """StockService on PostgreSQL, for the back office."""
    url = await asyncio.to_thread(databases.url)
    async with LocalSystem(tmp_path) as system:
        await system.stand_in("item", TwoItems())  # type: ignore[abstract]
        await system.start("stock", build, StockSettings(database_url=url))
        yield pb_grpc.StockServiceStub(admin(system).channel("stock"))


async def test_calls_end_in_time_and_go_on(databases: Databases, stocks: Any):
    """G8: while PostgreSQL stands still every call ends at its deadline; then all pass, each with its effect once."""
    clerks = Clerks(stocks)
    await clerks.look()
    working = asyncio.create_task(clerks.work())
    await until(lambda: len(clerks.booked) > CALLERS, "purchases are booked")
    with standing_still(databases.server):
        before, until_s = len(clerks.booked), time.monotonic() + STILL_S
        while time.monotonic() < until_s:
            await asyncio.gather(*(clerks.look() for _ in range(4)), asyncio.sleep(0.2))
        assert len(clerks.booked) <= before + CALLERS
        assert not working.done()
    await asyncio.wait_for(working, 30)
    assert max(clerks.took_s) <= DEADLINE_S + LATE_S
    assert "DEADLINE_EXCEEDED" in clerks.told
    assert clerks.told <= {"DEADLINE_EXCEEDED", "UNAVAILABLE", "RESOURCE_EXHAUSTED"}
    await require_each_once(stocks, clerks)


@pytest.mark.parametrize("loss", [restarted, cut])
async def test_calls_go_on_when_it_was_lost(databases: Databases, stocks: Any, loss: Loss):
    """G6, G7: while PostgreSQL is restarted without grace, or cuts all connections again and again, calls are told
    UNAVAILABLE at worst; repeated under their keys, each has its effect once.
    """
    clerks = Clerks(stocks)
    clerks.go_on = True
    working = asyncio.create_task(clerks.work())
    await until(lambda: len(clerks.booked) > CALLERS, "purchases are booked")
    await loss(databases.server)
    clerks.go_on = False
    await asyncio.wait_for(working, 30)
    assert clerks.told <= {"DEADLINE_EXCEEDED", "UNAVAILABLE", "RESOURCE_EXHAUSTED"}
    await require_each_once(stocks, clerks)


async def require_each_once(stocks: Any, clerks: Clerks) -> None:
    """Every purchase is there once, and each begins where the one before it ended."""
    request = pb.ListMovementsRequest(store_code="0001", item_code="A", page_size=500)
    moved = (await stocks.ListMovements(request)).movements
    assert sorted(one.comment for one in moved) == sorted(clerks.booked)
    assert [one.movement_no for one in moved] == list(range(len(clerks.booked), 0, -1))
    assert all(newer.before == older.after for newer, older in pairwise(moved))


async def test_a_server_that_says_nothing_is_given_up(databases: Databases):
    """G8: who has waited too long is told, and its thread is free; new connections are there when the server is."""
    url = await asyncio.to_thread(databases.url)
    database = PostgresDatabase(url, METADATA, writers=2, readers=1, patience=Patience(ANSWER_S))
    await database.open()
    await database.write(insert("before"))
    with standing_still(databases.server):
        began = time.monotonic()
        told = await asyncio.gather(*(database.write(insert(f"{n}")) for n in range(2)), return_exceptions=True)
        assert ANSWER_S <= time.monotonic() - began < SOON_S
        assert [one.reason for one in told if isinstance(one, ServiceError)] == ["STORAGE_UNAVAILABLE"] * 2
    await asyncio.gather(*(database.write(insert(f"after {n}")) for n in range(6)))
    assert await database.read(names) == [*(f"after {n}" for n in range(6)), "before"]
    await database.close()


async def test_it_does_not_keep_a_process_from_ending(databases: Databases, monkeypatch: pytest.MonkeyPatch):
    """G8: a database that is closed meanwhile is closed soon: all that is under way or waits is told as lost."""
    monkeypatch.setattr(postgres, "CLOSE_S", ANSWER_S)
    url = await asyncio.to_thread(databases.url)
    database = PostgresDatabase(url, METADATA, writers=2, readers=1)
    await database.open()
    await database.write(insert("before"))
    with standing_still(databases.server):
        writing = [asyncio.create_task(database.write(insert(f"{n}"))) for n in range(6)]
        await asyncio.sleep(0)
        began = time.monotonic()
        await database.close()
        assert time.monotonic() - began < SOON_S
        told = await asyncio.gather(*writing, return_exceptions=True)
    assert [one.reason for one in told if isinstance(one, ServiceError)] == ["STORAGE_UNAVAILABLE"] * 6
