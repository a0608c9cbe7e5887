"""What is particular to PostgreSQL: many writers at once, late commits, servers that go away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from trunkline.errors import ServiceError
from trunkline.events.publishing.outbox import OutboxRows, Sent
from trunkline.events.stream_id import StreamId
from trunkline.storage import Database, DatabaseRefused, Outbox
from trunkline.storage.migrate import upgrade_postgres
from trunkline.storage.postgres import PostgresDatabase
from trunkline.testing.clock import START

from tests.trunkline.storage.bench import COUNTER, METADATA, PLATFORM, SOURCE, Added
from tests.trunkline.storage.kinds import Databases

KINDS = ("postgresql",)
_INSERT: Any = sa.insert(COUNTER).values(tenant_id="t", value=1)


def _publish(connection: sa.Connection, key: str) -> int:
    outbox = Outbox(PLATFORM, SOURCE)
    number, _ = outbox.append(connection, Added(text=key), key=key, subject="s", tenant_id="t", now=START)
    return number


def _write(connection: sa.Connection) -> int:
    return connection.execute(_INSERT).rowcount


def _insert(number: int, connection: sa.Connection) -> int:
    return connection.execute(sa.insert(COUNTER), {"tenant_id": f"t{number}", "value": number}).rowcount


async def test_a_late_commit_hides_no_row(database: PostgresDatabase):
    """A row with a lower id that commits after another was sent is sent next: rows are chosen by state, not place."""
    rows = OutboxRows(PLATFORM, ["addlog"])
    with database._engine.connect().execution_options(isolation_level="READ COMMITTED") as late:
        _publish(late, "t/late")
        await database.write(lambda connection: _publish(connection, "t/quick"))
        first = await database.read(lambda connection: rows.unsent(connection, 10))
        assert [row.key for row in first] == ["t/quick"]
        sent = [Sent(first[0].id, 0, StreamId(1, 1), confirmed=False)]
        await database.write(lambda connection: rows.mark_sent(connection, sent))
        late.commit()
    (row,) = await database.read(lambda connection: rows.unsent(connection, 10))
    assert (row.key, row.id < first[0].id) == ("t/late", True)


async def test_numbers_of_a_key_have_no_holes_with_many_writers(database: Database):
    """Forty at once on one key, the first of which makes its row: 1 to 40, and ids in the order of numbers."""
    numbers = await asyncio.gather(
        *(database.write(lambda connection: _publish(connection, "t/one")) for _ in range(40))
    )
    assert sorted(numbers) == list(range(1, 41))
    outbox = PLATFORM.outbox.c
    ordered = await database.read(
        lambda connection: list(connection.scalars(sa.select(outbox.number).order_by(outbox.id)))
    )
    assert ordered == list(range(1, 41))


async def test_what_a_unit_decided_by_still_holds_when_it_commits(database: Database):
    """Fifty read a number and write the next, ten at once: none is lost, as with one writer."""
    await database.write(_write)

    def raise_by_one(connection: sa.Connection) -> None:
        value = connection.scalar(sa.select(COUNTER.c.value)) or 0
        connection.execute(sa.update(COUNTER).values(value=value + 1))

    async def one() -> None:
        try:
            await database.write(raise_by_one)
        except ServiceError:
            await one()  # too many at once: told, and nothing done

    for _ in range(5):
        await asyncio.gather(*(one() for _ in range(10)))
    assert await database.read(lambda connection: connection.scalar(sa.select(COUNTER.c.value))) == 51


async def test_a_server_that_ends_is_told_and_found_again(database: Database, databases: Databases):
    """G6: after an immediate restart calls fail as UNAVAILABLE until it is back, and then pass with new connections."""
    await database.check()
    await asyncio.to_thread(databases.server.restart)
    failures, told = 0, set[tuple[grpc.StatusCode, str]]()
    while failures < 20:
        try:
            await database.write(_write)
            break
        except ServiceError as error:
            told.add((error.code, error.reason))
            failures += 1
    await database.check()
    assert told <= {(grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")}
    assert await database.read(lambda connection: connection.scalar(sa.select(COUNTER.c.value))) == 1


async def test_connections_that_are_cut_lose_nothing(database: Database):
    """G7: while backends are terminated again and again every write is done once, or told as not done."""
    kill = sa.text("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    done, told = 0, set[str]()

    async def killing() -> None:
        for _ in range(10):
            try:
                await database.read(lambda connection: connection.scalar(kill))
            except ServiceError:
                continue

    task = asyncio.create_task(killing())
    for number in range(60):
        try:
            await database.write(partial(_insert, number))
            done += 1
        except ServiceError as error:
            told.add(error.reason)
        except sa.exc.IntegrityError:
            done += 1  # it was done, though its answer was lost
    await task
    counted = sa.select(sa.func.count()).select_from(COUNTER)
    count = await database.read(lambda connection: connection.scalar(counted)) or 0
    assert told <= {"STORAGE_UNAVAILABLE"}
    assert done <= count <= 60
    assert done > 0


async def test_a_server_that_is_not_there_is_told_in_one_line():
    """Its address without its password."""
    database = PostgresDatabase("postgresql://trunk:secret@127.0.0.1:1/none", METADATA)
    with pytest.raises(DatabaseRefused, match=r"127\.0\.0\.1") as refused:
        await database.open()
    assert "secret" not in str(refused.value)
    await database.close()


async def test_a_read_cannot_write(database: Database):
    """A query that writes is a mistake of the program."""
    with pytest.raises(Exception, match=r"read-only|does not answer"):
        await database.read(
            lambda connection: connection.execute(sa.insert(COUNTER).values(tenant_id="t", value=1)).rowcount
        )


SERVICES = ("account", "cart", "item", "journal", "payment", "report", "stock", "store", "terminal")


@pytest.mark.parametrize("service", SERVICES)
async def test_services_migrate_there(databases: Databases, service: str):
    """The migrations of a service bring an empty database to its head, once, also two at a time; and it opens."""
    tables = import_module(f"services.{service}.storage.tables")
    url = await asyncio.to_thread(databases.url)
    with_none = PostgresDatabase(url, tables.METADATA, versions=tables.VERSIONS)
    with pytest.raises(DatabaseRefused, match="trunkline migrate"):
        await with_none.open()
    await with_none.close()
    upgrade = partial(upgrade_postgres, url, tables.METADATA, tables.VERSIONS)
    heads = await asyncio.gather(*(asyncio.to_thread(upgrade) for _ in range(2)))
    assert heads[0] == heads[1]
    database = PostgresDatabase(url, tables.METADATA, versions=tables.VERSIONS)
    await database.open()
    await database.check()
    await database.close()


async def test_work_that_goes_on_after_a_failure_is_not_told_as_committed(database: PostgresDatabase):
    """The server takes its commit for a rollback without a word: its caller hears of it; a savepoint keeps the rest."""

    def careless(connection: sa.Connection) -> None:
        _insert(1, connection)
        with suppress(sa.exc.IntegrityError):
            _insert(1, connection)

    def careful(connection: sa.Connection) -> None:
        _insert(1, connection)
        with suppress(sa.exc.IntegrityError), connection.begin_nested():
            _insert(1, connection)

    count = sa.select(sa.func.count()).select_from(COUNTER)
    with pytest.raises(sa.exc.InternalError, match="InFailedSqlTransaction"):
        await database.write(careless)
    assert await database.read(lambda connection: connection.scalar(count)) == 0
    await database.write(careful)
    assert await database.read(lambda connection: connection.scalar(count)) == 1
