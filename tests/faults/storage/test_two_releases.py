"""Today's release and the next one on one database, while the one takes the other's place."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pos.event.v1.transaction_log_pb2 import TransactionLog
from pos.stock.v1 import stock_service_pb2 as pb
from pos.stock.v1 import stock_service_pb2_grpc as pb_grpc
from pos.stock.v1.stock_pb2 import Movement
from trunkline.events import Relay, topic_of
from trunkline.launcher.embedded import EmbeddedRedis, embedded_redis
from trunkline.process import Build
from trunkline.storage import Database, DatabaseRefused, SqliteDatabase, UnitOfWork
from trunkline.storage.leases import Leases
from trunkline.storage.migrate import _bring, upgrade, upgrade_postgres
from trunkline.storage.opening import database_at
from trunkline.storage.postgres import PostgresDatabase
from trunkline.storage.postgres_engine import LOCK_S, open_engine, setting_up
from trunkline.testing.local import LocalSystem

from services.cart.storage.tables import METADATA as CART
from services.cart.storage.tables import PLATFORM as CART_PLATFORM
from services.stock.app import build
from services.stock.settings import StockSettings
from services.stock.storage.tables import METADATA, MOVEMENT, PLATFORM, STOCK, VERSIONS
from tests.faults.storage.releases import AFTER, HEAD, NEWER, NEXT, next_build, next_versions
from tests.faults.storage.test_oversold import ITEM, TENANT, sell
from tests.services.callers import admin, key
from tests.services.stock.conftest import TwoItems
from tests.shop.waiting import until
from tests.trunkline.events.notes import running
from tests.trunkline.storage.kinds import BOTH

TILLS = 16


class Trade:
    """Sales that cart publishes, and purchases that clerks book by calls."""

    def __init__(self, unit: UnitOfWork) -> None:
        self.sold = self.booked = 0
        """Of each, so far."""
        self._unit = unit

    async def go_on(self, *stocks: Any) -> None:
        """One sale at each till, and as many purchases, booked at each of the services in turn."""
        self.sold += 1
        sales = [self._unit.run(partial(sell, till=till, number=self.sold)) for till in range(1, TILLS + 1)]
        await asyncio.gather(*sales, *(self._book(stocks[n % len(stocks)], self.booked + n) for n in range(TILLS)))
        self.booked += TILLS

    async def _book(self, stock: Any, number: int) -> None:
        request = pb.RecordMovementRequest(
            store_code="0001", item_code=ITEM, kind=Movement.KIND_PURCHASE, quantity=1, comment=f"{number}"
        )
        once = await stock.RecordMovement(request, metadata=key(f"{number}"))
        again = await stock.RecordMovement(request, metadata=key(f"{number}"))
        assert once == again


@asynccontextmanager
async def trading(folder: Path, redis: EmbeddedRedis) -> AsyncIterator[Trade]:
    """Cart, as far as it publishes."""
    cart = SqliteDatabase(folder / "cart.db", CART)
    await cart.open()
    leases, topics = Leases(cart, CART_PLATFORM), [topic_of(TransactionLog)]
    relay = Relay(cart, CART_PLATFORM, redis.url, source="cart", topics=topics, leases=leases)
    async with running(relay):
        yield Trade(UnitOfWork(cart, CART_PLATFORM, source="cart", secret_file=folder / "secret", wake=relay.wake))
    await cart.close()


@asynccontextmanager
async def release(made: Build[StockSettings], folder: Path, redis: EmbeddedRedis, url: str) -> AsyncIterator[Any]:
    """A release of stock that serves and consumes, as one of the processes of the service."""
    async with LocalSystem(folder / "var", redis_url=redis.url) as system:
        await system.stand_in("item", TwoItems())  # type: ignore[abstract]
        await system.start("stock", made, StockSettings(database_url=url))
        yield pb_grpc.StockServiceStub(admin(system, TENANT).channel("stock"))


async def test_both_work_while_one_takes_the_others_place(url: str, tmp_path: Path):
    """G11: the database is migrated under today's release, which goes on, beside the next one, and after a restart; all
    calls pass, and each sale and each purchase has its effect once.
    """
    look = PostgresDatabase(url, METADATA)
    newer = next_versions(tmp_path / "newer")
    async with embedded_redis(tmp_path / "redis") as redis, trading(tmp_path, redis) as trade:
        async with release(build, tmp_path, redis, url) as old:
            await look.open()
            for _ in range(6):  # statements are prepared by then
                await trade.go_on(old)
            migrating = asyncio.create_task(asyncio.to_thread(upgrade_postgres, url, METADATA, newer))
            while not migrating.done():
                await trade.go_on(old)
            assert await migrating == NEXT
            await trade.go_on(old)
            async with release(next_build(newer), tmp_path, redis, url) as new:
                await until(lambda: _shared(look), "both releases own shards")
                for _ in range(4):
                    await trade.go_on(old, new)
        async with release(build, tmp_path, redis, url) as old:
            await trade.go_on(old)
            expected = trade.booked + trade.sold * TILLS
            await until(lambda: _is_moved(look, expected), "all has had its effect")
    rows = await look.read(lambda connection: connection.execute(sa.select(MOVEMENT).order_by("movement_no")).all())
    (level,) = await look.read(lambda connection: connection.execute(sa.select(STOCK)).all())
    noted = await look.read(lambda connection: connection.scalar(sa.text("SELECT release FROM stock")))
    await look.close()
    assert (len(rows), level.movement_no, level.quantity, noted) == (expected, expected, 0, NEWER)
    assert all(older.after == newer._mapping["before"] for older, newer in pairwise(rows))
    assert sorted(int(row.comment) for row in rows if not row.terminal_no) == list(range(trade.booked))
    sales = [(row.terminal_no, row.transaction_no) for row in rows if row.terminal_no]
    assert sorted(sales) == [(till, number) for till in range(1, TILLS + 1) for number in range(1, trade.sold + 1)]


@pytest.fixture
async def url(request: pytest.FixtureRequest) -> str:
    """Address of an empty database."""
    made: str = await asyncio.to_thread(request.getfixturevalue("databases").url)
    return made


@pytest.mark.parametrize("kind", BOTH)
async def test_who_may_start(kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    """G11: today's release starts on a database of the next one where that says so, and on no other; the next one
    starts after its migration only.
    """
    place: Path | str = tmp_path / "stock.db"
    if kind == "postgresql":
        place = await asyncio.to_thread(request.getfixturevalue("databases").url)
    newer = next_versions(tmp_path / "newer")
    latest = next_versions(tmp_path / "latest", suits_older=False)
    await _migrate(place, VERSIONS)
    assert await _starts(place, VERSIONS) == ""
    assert f"is at migration {HEAD}, and this release needs {NEXT}: run `trunkline migrate`" in await _starts(
        place, newer
    )
    assert await _migrate(place, newer) == NEXT
    assert [await _starts(place, VERSIONS), await _starts(place, newer)] == ["", ""]
    assert await _migrate(place, VERSIONS) == NEXT
    assert await _migrate(place, latest) == AFTER
    for versions, knows in ((VERSIONS, HEAD), (newer, NEXT)):
        told = await _starts(place, versions)
        assert f"is at migration {AFTER}, and this release knows {knows}: run the newer release" in told
    assert await _starts(place, latest) == ""


async def test_a_migration_does_not_keep_others_waiting(url: str, tmp_path: Path):
    """G11: a table that a transaction holds is waited for a second; then nothing is changed, and all go on."""
    await _migrate(url, VERSIONS)
    newer, holder = next_versions(tmp_path / "newer"), open_engine(url)
    with holder.connect() as connection:
        connection.execute(sa.select(STOCK)).all()
        with pytest.raises(DatabaseRefused, match=r"cannot be migrated: .*lock timeout"):
            await _migrate(url, newer)
    holder.dispose()
    assert await _starts(url, VERSIONS) == ""
    assert await _migrate(url, newer) == NEXT


async def test_a_release_starts_while_a_migration_runs(url: str, tmp_path: Path):
    """G11: today's release does not wait for it; the next one does, and starts when it is done."""
    await _migrate(url, VERSIONS)
    newer, other = next_versions(tmp_path / "newer"), open_engine(url, connections=2)
    with setting_up(other) as connection:  # as a migration does
        began = time.monotonic()
        assert await _starts(url, VERSIONS) == ""
        assert time.monotonic() - began < LOCK_S
        waits = asyncio.create_task(_starts(url, newer))
        await until(lambda: _waits_for_a_lock(other), "the next release waits")
        await asyncio.to_thread(_bring, connection, METADATA, newer, url)
    assert await waits == ""
    other.dispose()


def _waits_for_a_lock(engine: sa.Engine) -> bool:
    query = sa.text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with engine.connect() as connection:
        return bool(connection.scalar(query))


async def test_a_file_is_migrated_when_nobody_uses_it(tmp_path: Path):
    """G11: under a release that has the file open nothing is changed, and the migration says who has it."""
    file, newer = tmp_path / "stock.db", next_versions(tmp_path / "newer")
    await _migrate(file, VERSIONS)
    database = SqliteDatabase(file, METADATA, versions=VERSIONS)
    await database.open()
    with pytest.raises(DatabaseRefused, match=rf"in use by process {os.getpid()}"):
        await _migrate(file, newer)
    await database.check()
    await database.close()
    assert await _migrate(file, newer) == NEXT


async def _migrate(place: Path | str, versions: Path) -> str:
    if isinstance(place, str):
        return await asyncio.to_thread(upgrade_postgres, place, METADATA, versions)
    return await asyncio.to_thread(upgrade, place, METADATA, versions)


async def _starts(place: Path | str, versions: Path) -> str:
    """Why a release does not start on a database; nothing if it does."""
    database = database_at(place, METADATA, versions)
    try:
        await database.open()
    except DatabaseRefused as error:
        return str(error)
    finally:
        await database.close()
    return ""


async def _shared(look: Database) -> bool:
    lease = PLATFORM.lease.c
    query = sa.select(sa.func.count(lease.worker_id.distinct())).where(lease.name.like("consumer/stock/%"))
    return await look.read(lambda connection: connection.scalar(query)) == 2


async def _is_moved(look: Database, expected: int) -> bool:
    query = sa.select(sa.func.count()).select_from(MOVEMENT)
    return (await look.read(lambda connection: connection.scalar(query)) or 0) >= expected
