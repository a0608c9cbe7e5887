"""More is sold of an item than there is, at many tills at once, and two processes of stock take it away."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunk.event.v1.envelope_pb2 import Envelope
from trunkline.clock import SYSTEM_CLOCK
from trunkline.errors import ServiceError
from trunkline.events import Relay, topic_of
from trunkline.events.topics import shard_of
from trunkline.launcher.embedded import embedded_redis
from trunkline.storage import Database, SqliteDatabase, Transaction, UnitOfWork
from trunkline.storage.leases import Leases
from trunkline.storage.migrate import upgrade, upgrade_postgres
from trunkline.storage.opening import database_at
from trunkline.testing.postgres import PostgresServer

from services.cart.storage.tables import METADATA as CART
from services.cart.storage.tables import PLATFORM as CART_PLATFORM
from services.stock.domain.movement import MovementKind, StockChange
from services.stock.storage import movements
from services.stock.storage.movements import Cause
from services.stock.storage.tables import METADATA, MOVEMENT, PLATFORM, STOCK, VERSIONS
from tests.faults.storage.instances import instances
from tests.faults.storage.losses import STILL_S, cut, restarted, standing_still
from tests.services.logs import transaction
from tests.shop.waiting import until
from tests.trunkline.events.notes import running
from tests.trunkline.storage.kinds import BOTH, Databases

TENANT, STORE, ITEM = "acme", "0001", "A"
IN_STOCK, TILLS, EACH = 100, 40, 5
SHARDS = 8
Loss = Callable[[PostgresServer], Coroutine[Any, Any, None]]


@pytest.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where stock's database is, migrated: a file, or a PostgreSQL."""
    if request.param == "sqlite":
        await asyncio.to_thread(upgrade, tmp_path / "stock.db", METADATA, VERSIONS)
        return tmp_path / "stock.db"
    url: str = await asyncio.to_thread(request.getfixturevalue("databases").url)
    await asyncio.to_thread(upgrade_postgres, url, METADATA, VERSIONS)
    return url


def arrive(connection: sa.Connection) -> None:
    """Puts the goods into the store."""
    changes = [StockChange(ITEM, MovementKind.INITIAL, IN_STOCK)]
    movements.move(connection, TENANT, STORE, changes, Cause(create_time=SYSTEM_CLOCK.now()))


def sell(tx: Transaction, till: int, number: int) -> Envelope:
    """One piece, as cart publishes it."""
    log = transaction(number, terminal_no=till)
    del log.lines[:]
    log.lines.add(line_no=1, item_code=ITEM, quantity=1)
    tx.publish(log, key=key_of(till), subject=f"{till}/{number}", tenant_id=TENANT)
    return Envelope()


def key_of(till: int) -> str:
    """What keeps a till's events in order."""
    return f"{TENANT}/{STORE}/{till}"


def owners(connection: sa.Connection) -> list[str]:
    """Who owns each shard of stock's topic, as far as it has an owner."""
    lease = PLATFORM.lease.c
    query = sa.select(lease.worker_id).where(lease.name.like("consumer/stock/tranlog/%"), lease.worker_id.is_not(None))
    return list(connection.scalars(query))


def moved(connection: sa.Connection) -> int:
    """How many movements there are."""
    return connection.scalar(sa.select(sa.func.count()).select_from(MOVEMENT)) or 0


async def shared(stock: Database) -> bool:
    """Whether two processes own four shards each."""
    try:
        return sorted(Counter(await stock.read(owners)).values()) == [SHARDS // 2] * 2
    except ServiceError:
        return False


async def oversell(
    place: Path | str, folder: Path, meanwhile: Callable[[Database], Coroutine[Any, Any, None]] | None = None
) -> None:
    """Sells twice what there is, and looks at what two processes of stock have made of it.

    Args:
        place: Stock's database.
        folder: For everything else.
        meanwhile: What happens to the database while it is sold.
    """
    stock, cart = database_at(place, METADATA, VERSIONS), SqliteDatabase(folder / "cart.db", CART)
    await stock.open()
    await cart.open()
    await stock.write(arrive)
    async with embedded_redis(folder / "redis") as redis, instances("stock", folder, redis.url, place):
        leases = Leases(cart, CART_PLATFORM)
        topics = [topic_of(TransactionLog)]
        relay = Relay(cart, CART_PLATFORM, redis.url, source="cart", topics=topics, leases=leases, shards=SHARDS)
        unit = UnitOfWork(cart, CART_PLATFORM, source="cart", secret_file=folder / "secret", wake=relay.wake)
        await until(lambda: shared(stock), "both processes own shards")
        async with running(relay):
            happening = asyncio.create_task(meanwhile(stock)) if meanwhile else None
            await asyncio.gather(*(_trade(unit, till, happening) for till in range(1, TILLS + 1)))
            await until(lambda: _all_moved(stock), "all sales have moved the stock")
            await until(lambda: shared(stock), "both processes own shards")
    rows = await stock.read(lambda connection: connection.execute(sa.select(MOVEMENT).order_by("movement_no")).all())
    (level,) = await stock.read(lambda connection: connection.execute(sa.select(STOCK)).all())
    await cart.close()
    await stock.close()
    assert {shard_of(key_of(till), SHARDS) for till in range(1, TILLS + 1)} == set(range(SHARDS))
    assert (level.quantity, level.movement_no) == (IN_STOCK - TILLS * EACH, 1 + TILLS * EACH)
    expected = [(1, 0, IN_STOCK), *((n, IN_STOCK + 2 - n, IN_STOCK + 1 - n) for n in range(2, TILLS * EACH + 2))]
    assert [(row.movement_no, row._mapping["before"], row.after) for row in rows] == expected
    sold = [(row.terminal_no, row.transaction_no) for row in rows[1:]]
    assert sorted(sold) == [(till, number) for till in range(1, TILLS + 1) for number in range(1, EACH + 1)]
    assert all(list(_of(sold, till)) == list(range(1, EACH + 1)) for till in range(1, TILLS + 1))


@pytest.mark.parametrize("place", BOTH, indirect=True)
async def test_stock_is_what_came_less_what_was_sold(place: Path | str, tmp_path: Path):
    """G10: of 100 pieces 200 are sold, by 40 tills at once, through Redis to two processes: stock is -100, and each of
    the 200 movements begins where the one before it ended.
    """
    await oversell(place, tmp_path)


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_it_stands_still_while_stock_is_taken_away(place: str, tmp_path: Path, databases: Databases):
    """G8: PostgreSQL stands still while two processes apply sales: none is lost, none has an effect twice, and each
    till keeps its order.
    """

    async def stand_still(stock: Database) -> None:
        await until(lambda: _has_moved(stock, TILLS), "sales move the stock")
        with standing_still(databases.server):
            await asyncio.sleep(STILL_S)

    await oversell(place, tmp_path, stand_still)


@pytest.mark.parametrize("loss", [restarted, cut])
@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_it_is_lost_while_stock_is_taken_away(place: str, tmp_path: Path, databases: Databases, loss: Loss):
    """G6, G7: PostgreSQL is restarted without grace, or cuts all connections again and again, while two processes apply
    sales: none is lost, none has an effect twice, and each till keeps its order.
    """

    async def lose(stock: Database) -> None:
        await until(lambda: _has_moved(stock, TILLS), "sales move the stock")
        await loss(databases.server)

    await oversell(place, tmp_path, lose)


async def _trade(unit: UnitOfWork, till: int, happening: asyncio.Task[None] | None) -> None:
    """A till sells; with its last piece it waits until what happens is over."""
    for number in range(1, EACH + 1):
        if number == EACH and happening is not None:
            await happening
        await unit.run(partial(sell, till=till, number=number))


async def _all_moved(stock: Database) -> bool:
    return await _has_moved(stock, TILLS * EACH)


async def _has_moved(stock: Database, sales: int) -> bool:
    try:
        return await stock.read(moved) > sales
    except ServiceError:
        return False  # it is away just now


def _of(sold: list[tuple[int, int]], till: int) -> list[int]:
    return [number for at, number in sold if at == till]
