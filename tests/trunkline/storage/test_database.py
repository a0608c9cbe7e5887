"""The database: one writer that commits many units at once, readers beside it."""

from __future__ import annotations

import asyncio
import contextvars
import sqlite3
import threading

import grpc
import pytest
import sqlalchemy as sa
from trunkline.errors import ServiceError
from trunkline.storage import SqliteDatabase
from trunkline.storage.database import QUEUE_LIMIT
from trunkline.storage.sqlite_database import BATCH_LIMIT

from tests.trunkline.storage.bench import EFFECT, METADATA, held, insert, names


def refuse(_given: object) -> str:
    """Work that raises."""
    raise LookupError("as asked")


async def test_file_is_kept_as_money_needs_it(database: SqliteDatabase):
    """Write-ahead log, a flush at every commit, foreign keys enforced; the file is the owner's alone."""

    def pragmas(connection: sa.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert await database.write(pragmas) == ["wal", 2, 1]
    assert await database.read(pragmas) == ["wal", 2, 1]
    assert database.path.stat().st_mode & 0o077 == 0


async def test_waiting_units_share_a_commit(database: SqliteDatabase):
    """Forty units that wait are committed by one transaction, and each has its own answer."""
    async with held(database):
        tasks = [asyncio.create_task(database.write(insert(f"{n:02}"))) for n in range(40)]
    assert await asyncio.gather(*tasks) == [f"{n:02}" for n in range(40)]
    assert (database.counts.units, database.counts.commits) == (41, 2)
    assert len(await database.read(names)) == 40


async def test_batch_has_a_bound(database: SqliteDatabase):
    """More waiting units than a batch takes are committed by several."""
    async with held(database):
        tasks = [asyncio.create_task(database.write(insert(str(n)))) for n in range(BATCH_LIMIT + 1)]
    await asyncio.gather(*tasks)
    assert database.counts.commits == 3


async def test_failing_unit_leaves_the_others(database: SqliteDatabase):
    """A unit that raises undoes only itself; the others of its batch are committed once."""

    def insert_then_fail(connection: sa.Connection) -> str:
        insert("undone")(connection)
        return refuse(connection)

    async with held(database):
        tasks = [
            asyncio.create_task(database.write(work))
            for work in (insert("before"), insert_then_fail, insert("before"), insert("after"))
        ]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [str, LookupError, sa.exc.IntegrityError, str]
    assert await database.read(names) == ["after", "before"]
    assert database.counts.commits == 2


async def test_cancelled_unit_that_waits_does_not_run(database: SqliteDatabase):
    """A caller that gives up before its unit starts leaves no effect."""
    async with held(database):
        gives_up = asyncio.create_task(database.write(insert("cancelled")))
        stays = asyncio.create_task(database.write(insert("kept")))
        await asyncio.sleep(0)
        gives_up.cancel()
    await stays
    assert gives_up.cancelled()
    assert await database.read(names) == ["kept"]


async def test_cancelled_unit_that_runs_is_committed_once(database: SqliteDatabase):
    """A caller that gives up while its unit runs: the unit is committed, and `committed` hears of it."""
    started, free = threading.Event(), threading.Event()
    heard: list[str] = []

    def work(connection: sa.Connection) -> str:
        started.set()
        assert free.wait(10)
        return insert("kept")(connection)

    task = asyncio.create_task(database.write(work, committed=heard.append))
    assert await asyncio.to_thread(started.wait, 10)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    free.set()
    await database.write(insert("next"))
    assert task.cancelled()
    assert heard == ["kept"]
    assert await database.read(names) == ["kept", "next"]


@pytest.mark.parametrize("end", ["commit", "rollback"])
async def test_work_cannot_end_the_transaction_of_others(database: SqliteDatabase, end: str):
    """Work that commits or rolls back by itself fails; the units beside it are committed once."""

    def work(connection: sa.Connection) -> None:
        insert("ended")(connection)
        getattr(connection, end)()

    async with held(database):
        beside = [asyncio.create_task(database.write(insert("one")))]
        ended = asyncio.create_task(database.write(work))
        beside.append(asyncio.create_task(database.write(insert("two"))))
    await asyncio.gather(*beside)
    with pytest.raises(RuntimeError, match="may not commit or roll back"):
        await ended
    assert await database.read(names) == ["one", "two"]
    assert await database.write(insert("three")) == "three"


async def test_savepoints_of_work_are_its_own(database: SqliteDatabase):
    """Work may undo a part of itself with begin_nested()."""

    def work(connection: sa.Connection) -> None:
        insert("one")(connection)
        part = connection.begin_nested()
        insert("two")(connection)
        part.rollback()

    await database.write(work)
    assert await database.read(names) == ["one"]


async def test_work_sees_the_callers_context(database: SqliteDatabase):
    """The current call, the request id of a log line: what the caller has in context, work has."""
    variable = contextvars.ContextVar("variable", default="")
    variable.set("mine")
    assert await database.write(lambda _: variable.get()) == "mine"
    assert await database.read(lambda _: variable.get()) == "mine"


async def test_stop_iteration_reaches_the_caller(database: SqliteDatabase):
    """An exception that a future cannot carry does not leave the caller waiting."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        await database.write(lambda _: next(iter([])))


async def test_failing_listener_does_not_stop_answers(database: SqliteDatabase):
    """Where a `committed` raises, the loop hears of it, and all callers of the batch are answered."""
    raised = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context["exception"]))
    async with held(database):
        tasks = [
            asyncio.create_task(database.write(insert("one"), committed=refuse)),
            asyncio.create_task(database.write(insert("two"))),
        ]
    assert await asyncio.gather(*tasks) == ["one", "two"]
    assert [type(error) for error in raised] == [LookupError]


async def test_read_sees_one_snapshot(database: SqliteDatabase):
    """What is committed while a query runs is not seen by its later statements."""
    counting, free = threading.Event(), threading.Event()

    def count_twice(connection: sa.Connection) -> tuple[int, int]:
        first = len(names(connection))
        counting.set()
        assert free.wait(10)
        return first, len(names(connection))

    reading = asyncio.create_task(database.read(count_twice))
    assert await asyncio.to_thread(counting.wait, 10)
    await database.write(insert("one"))
    free.set()
    assert await reading == (0, 0)
    assert await database.read(names) == ["one"]


async def test_read_may_not_write(database: SqliteDatabase):
    """A write in a query is a mistake in the program: it is refused, and not as a failure of the storage."""
    with pytest.raises(sa.exc.OperationalError, match="readonly"):
        await database.read(insert("one"))
    assert await database.read(names) == []


async def test_full_queue_pushes_back(database: SqliteDatabase):
    """Where too much waits already, a write is refused at once, with a time to come back."""
    async with held(database):
        waiting = [asyncio.create_task(database.write(lambda _: None)) for _ in range(QUEUE_LIMIT)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceError) as refused:
            await database.write(insert("one"))
    await asyncio.gather(*waiting)
    assert (refused.value.code, refused.value.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "STORAGE_UNAVAILABLE",
    )
    assert refused.value.retry_after_s


async def test_close_does_what_waits(tmp_path):
    """Units asked for before close are committed and answered; those after it are refused."""
    database = SqliteDatabase(tmp_path / "x.db", METADATA)
    await database.open()
    async with held(database):
        tasks = [asyncio.create_task(database.write(insert(str(n)))) for n in range(20)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(database.close())
        await asyncio.sleep(0)
        with pytest.raises(ServiceError, match="closed"):
            await database.write(insert("late"))
    await closing
    with sqlite3.connect(tmp_path / "x.db") as connection:
        assert connection.execute("SELECT count(*) FROM effect").fetchone() == (20,)
    connection.close()
    assert len(await asyncio.gather(*tasks)) == 20
    with pytest.raises(ServiceError, match="closed"):
        await database.read(names)
    await database.close()


async def test_lock_of_somebody_outside_is_waited_for_then_told(database: SqliteDatabase):
    """While another program holds the write lock, writes are UNAVAILABLE after the busy timeout and reads go on."""
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ServiceError) as refused:
        await database.write(insert("one"))
    assert (refused.value.code, refused.value.reason, refused.value.domain) == (
        grpc.StatusCode.UNAVAILABLE,
        "STORAGE_UNAVAILABLE",
        "trunk",
    )
    assert await database.read(names) == []
    other.execute("ROLLBACK")
    other.close()
    assert await database.write(insert("one")) == "one"


async def test_check_answers_for_the_file(database: SqliteDatabase):
    """Check passes while the database answers, and fails when its file is removed or replaced."""
    await database.check()
    aside = database.path.rename(database.path.with_suffix(".aside"))
    for replace in (False, True):
        if replace:
            database.path.touch()
        with pytest.raises(ServiceError, match="removed or replaced"):
            await database.check()
    aside.rename(database.path)
    await database.check()


async def test_check_fails_when_closed(tmp_path):
    """A closed database is not healthy."""
    database = SqliteDatabase(tmp_path / "x.db", METADATA)
    await database.open()
    await database.close()
    with pytest.raises(ServiceError, match="closed"):
        await database.check()


async def test_reopened_file_has_what_was_committed(tmp_path):
    """What was answered is there for the next owner of the file."""
    for expected in ([], ["one"]):
        database = SqliteDatabase(tmp_path / "x.db", METADATA)
        await database.open()
        assert await database.read(names) == expected
        if not expected:
            await database.write(insert("one"))
        await database.close()


async def test_constraint_is_told_as_it_is(database: SqliteDatabase):
    """A broken constraint is the caller's own affair: it is not made a failure of the storage."""
    await database.write(insert("one"))
    with pytest.raises(sa.exc.IntegrityError):
        await database.write(insert("one"))
    assert await database.read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(EFFECT))) == 1


async def test_errors_tell_no_data(database: SqliteDatabase):
    """The text of a failed statement has none of its parameters: it ends up in logs."""
    statement = sa.text("INSERT INTO no_such_table VALUES (:secret)")
    with pytest.raises(sa.exc.OperationalError) as failed:
        await database.write(lambda connection: connection.execute(statement, {"secret": "canary-4711"}))
    assert "canary-4711" not in str(failed.value)
