"""Transactions that keep each other from passing on PostgreSQL, all of them real."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import grpc
import pytest
import sqlalchemy as sa
from trunkline.call import InboundCall, serving
from trunkline.clock import SYSTEM_CLOCK
from trunkline.errors import ServiceError
from trunkline.events.figures import Figures
from trunkline.storage.attempts import ATTEMPTS
from trunkline.storage.database import QUEUE_LIMIT
from trunkline.storage.postgres import PostgresDatabase
from trunkline.storage.postgres_engine import LOCK_S, open_engine
from trunkline.telemetry.metrics import Metrics

from tests.trunkline.storage.bench import COUNTER, METADATA, PLATFORM, SOURCE, held, insert, names
from tests.trunkline.storage.kinds import Databases

REFUSED = (grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE")
BOUND_S = 10.0


@pytest.fixture
async def url(databases: Databases) -> str:
    """Address of an empty database."""
    return await asyncio.to_thread(databases.url)


@pytest.fixture
async def database(url: str) -> AsyncIterator[PostgresDatabase]:
    """It, open, with two counters."""
    one = PostgresDatabase(url, METADATA, writers=4, readers=2, statement_s=0.5)
    await one.open()
    await one.write(lambda connection: connection.execute(sa.insert(COUNTER), _rows("a", "b")) and None)
    yield one
    await one.close()


def _rows(*tenants: str) -> list[dict[str, object]]:
    return [{"tenant_id": tenant, "value": 0} for tenant in tenants]


def raised(connection: sa.Connection, tenant: str) -> int:
    """Reads a counter and writes the next number; what it has read decides."""
    value: int = connection.scalar(sa.select(COUNTER.c.value).where(COUNTER.c.tenant_id == tenant)) or 0
    connection.execute(sa.update(COUNTER).where(COUNTER.c.tenant_id == tenant).values(value=value + 1))
    return value + 1


def overtaken(connection: sa.Connection, other: sa.Engine, times: Callable[[], bool]) -> int:
    """As raised, but another transaction changes the counter between the read and the write."""
    value: int = connection.scalar(sa.select(COUNTER.c.value).where(COUNTER.c.tenant_id == "a")) or 0
    if times():
        with other.begin() as faster:
            raised(faster, "a")
    connection.execute(sa.update(COUNTER).where(COUNTER.c.tenant_id == "a").values(value=value + 1))
    return value + 1


def value_of(connection: sa.Connection, tenant: str = "a") -> int:
    """A counter."""
    return connection.scalar(sa.select(COUNTER.c.value).where(COUNTER.c.tenant_id == tenant)) or 0


def left(seconds: float) -> InboundCall:
    """A call that has so long to go."""
    return InboundCall("/test", deadline=SYSTEM_CLOCK.monotonic() + seconds)


async def refused(database: PostgresDatabase, work: Callable[[sa.Connection], object]) -> ServiceError:
    """What a write is refused with."""
    with pytest.raises(ServiceError) as caught:
        await database.write(work)
    assert (caught.value.code, caught.value.reason) == REFUSED
    return caught.value


async def test_one_that_was_overtaken_runs_again(url: str, database: PostgresDatabase):
    """G9: a serialization failure (40001) is run again on what the other has left, and counted."""
    other, first = open_engine(url), iter([True, True])
    value = await database.write(partial(overtaken, other=other, times=lambda: next(first, False)))
    assert (value, database.counts.repeats) == (3, {"serialization": 2})
    assert await database.read(value_of) == 3
    metrics = Metrics()
    Figures(database, PLATFORM, SOURCE, None, [], {}, into=metrics.events)._count()
    assert metrics.value("trunkline_storage_repeats_total", service=SOURCE, cause="serialization") == 2
    other.dispose()


async def test_one_that_is_always_overtaken_is_told(url: str, database: PostgresDatabase):
    """G9: after so many attempts the call is told UNAVAILABLE / STORAGE_UNAVAILABLE, and nothing of it is kept."""
    other = open_engine(url)
    with serving(left(BOUND_S)):
        error = await refused(database, partial(overtaken, other=other, times=lambda: True))
    assert "change the same rows" in error.message
    assert database.counts.repeats == {"serialization": ATTEMPTS - 1}
    assert await database.read(value_of) == ATTEMPTS
    other.dispose()


async def test_nobody_is_tried_beyond_its_deadline(url: str, database: PostgresDatabase):
    """G9: attempts end with what the call has left, not with their number."""
    other, deadline_s, never = open_engine(url), 0.2, threading.Event()
    with serving(left(deadline_s)):
        began = time.monotonic()
        await refused(database, partial(overtaken, other=other, times=lambda: never.wait(0.03) is False))
        assert time.monotonic() - began <= deadline_s + 0.1
    assert 0 < database.counts.repeats["serialization"] < ATTEMPTS - 1
    other.dispose()


async def test_of_two_that_block_each_other_both_pass(database: PostgresDatabase):
    """G9: of a deadlock (40P01) one is ended, and runs again when the other has passed."""
    both, met = threading.Barrier(2), set[str]()

    def crossing(connection: sa.Connection, first: str, second: str) -> int:
        raised(connection, first)
        if first not in met:
            met.add(first)
            both.wait(BOUND_S)  # each has its first row, and wants the other's
        return raised(connection, second)

    # The server looks for deadlocks after a second; a statement must not be ended before.
    patient = sa.text("SET LOCAL statement_timeout = 0")

    def work(connection: sa.Connection, first: str, second: str) -> int:
        connection.execute(patient)
        return crossing(connection, first, second)

    await asyncio.gather(
        database.write(partial(work, first="a", second="b")), database.write(partial(work, first="b", second="a"))
    )
    assert database.counts.repeats["deadlock"] > 0
    assert [await database.read(partial(value_of, tenant=tenant)) for tenant in "ab"] == [2, 2]


async def test_those_that_were_lost_run_one_at_a_time(database: PostgresDatabase):
    """G9: of four that read the same and write, one passes; the others do not go on losing to each other."""
    all_have_read, tried, running, most = threading.Barrier(4), set[int](), threading.Semaphore(1), list[bool]()

    def work(connection: sa.Connection, number: int) -> int:
        if number in tried:
            most.append(running.acquire(blocking=False))
            try:
                value_of(connection)
                connection.execute(sa.text("SELECT pg_sleep(0.03)"))  # time for others to come
                return raised(connection, "a")
            finally:
                running.release()
        tried.add(number)
        value_of(connection)
        all_have_read.wait(BOUND_S)
        return raised(connection, "a")

    values = await asyncio.gather(*(database.write(partial(work, number=number)) for number in range(4)))
    assert (sorted(values), most) == ([1, 2, 3, 4], [True] * 3)
    assert database.counts.repeats == {"serialization": 3}


async def test_a_statement_that_takes_too_long_is_ended(database: PostgresDatabase):
    """G9: a statement timeout is told at once as UNAVAILABLE / STORAGE_UNAVAILABLE: again it would take as long."""

    def work(connection: sa.Connection) -> None:
        raised(connection, "a")
        connection.execute(sa.text("SELECT pg_sleep(20)"))

    began = time.monotonic()
    error = await refused(database, work)
    assert 0.5 <= time.monotonic() - began < 2
    assert "took too long" in error.message
    assert database.counts.repeats == {}
    assert await database.read(value_of) == 0
    with pytest.raises(ServiceError, match="took too long"):
        await database.read(lambda connection: connection.execute(sa.text("SELECT pg_sleep(20)")) and None)
    assert await database.write(partial(raised, tenant="a")) == 1


async def test_a_lock_that_is_not_given_back_is_told(url: str, database: PostgresDatabase):
    """G9: who waits for a row that another keeps is told in time, and passes when it is free."""
    other = open_engine(url)
    with other.connect() as keeper:
        raised(keeper, "a")
        began = time.monotonic()
        await refused(database, partial(raised, tenant="a"))
        assert time.monotonic() - began < LOCK_S
        assert await database.write(partial(raised, tenant="b")) == 1
        keeper.rollback()
    assert await database.write(partial(raised, tenant="a")) == 1
    other.dispose()


def limited(databases: Databases, url: str, connections: int) -> str:
    """Address of a database for somebody who may have so many connections."""
    name = f"limited_{url.rpartition('/')[2]}"
    engine = open_engine(databases.server.url)
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT {connections}"))
    engine.dispose()
    own = open_engine(url)
    with own.begin() as connection:
        METADATA.create_all(connection)
        connection.execute(sa.text(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}"))
    own.dispose()
    return url.replace("trunk@", f"{name}@")


async def test_a_server_without_a_connection_left_is_asked_again(databases: Databases, url: str):
    """G9: where the server has no connection left, one is asked for again within the deadline, and had when it is."""
    own = await asyncio.to_thread(limited, databases, url, 1)
    other, database = open_engine(own), PostgresDatabase(own, METADATA, versions=None, writers=2, readers=1)
    await database.open()
    database._engine.dispose()
    taken = other.connect()
    with serving(left(0.3)):
        began = time.monotonic()
        error = await refused(database, insert("never"))
        assert time.monotonic() - began <= 0.3 + 0.1
    assert "no connection left" in error.message
    assert database.counts.repeats["connections"] > 0
    with serving(left(BOUND_S)):
        waits = asyncio.create_task(database.write(insert("later")))
        taken.close()
        other.dispose()
        await waits
    assert await database.read(names) == ["later"]
    await database.close()


async def test_a_process_with_all_connections_in_use_refuses_what_is_too_much(database: PostgresDatabase):
    """G9: writes wait for a free connection; beyond so many RESOURCE_EXHAUSTED says when to return; then all pass."""
    async with held(database), held(database), held(database), held(database):
        waiting = [asyncio.create_task(database.write(insert(f"{n}"))) for n in range(QUEUE_LIMIT - 4)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceError) as caught:
            await database.write(insert("too many"))
        refusal = caught.value.code, caught.value.reason
        assert refusal == (grpc.StatusCode.RESOURCE_EXHAUSTED, "STORAGE_UNAVAILABLE")
        assert caught.value.retry_after_s
        for one in waiting[10:]:
            one.cancel()
    assert await asyncio.gather(*waiting[:10]) == [f"{n}" for n in range(10)]
    assert await database.read(names) == sorted(f"{n}" for n in range(10))
