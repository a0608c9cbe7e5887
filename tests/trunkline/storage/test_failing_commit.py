"""A COMMIT that fails: nobody was answered before it, and the innocent are committed after it."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.storage import Database, Transaction, UnitOfWork

from tests.trunkline.storage.bench import CHILD, add, adding, call, held, insert, names, numbers


def orphan(connection: sa.Connection) -> None:
    """Breaks a foreign key that is checked at the commit only: the database then refuses the COMMIT."""
    connection.execute(sa.insert(CHILD).values(tenant_id="t", counter="nobody"))


async def test_commit_that_fails_answers_the_culprit_only(database: Database, unit: UnitOfWork):
    """The units of a batch whose COMMIT fails are run again singly: all but the culprit have their effect once."""

    def culprit(tx: Transaction) -> pb.AddResponse:
        orphan(tx.connection)
        return add(tx, "culprit")

    async def one(name: str) -> pb.AddResponse:
        with call(name, answers=unit.answers):
            return await unit.run(culprit if name == "culprit" else adding(name))

    async with held(database):
        tasks = [asyncio.create_task(one(name)) for name in ("a", "culprit", "b")]
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [pb.AddResponse, sa.exc.IntegrityError, pb.AddResponse]
    assert await database.read(names) == ["a", "b"]
    assert await database.read(numbers) == [1, 2]
    assert database.counts.lost == 1


async def test_commit_that_fails_leaves_the_writer_working(database: Database):
    """A failed COMMIT leaves its transaction open: it is rolled back, and the next unit commits."""
    with pytest.raises(sa.exc.IntegrityError):
        await database.write(orphan)
    assert await database.write(insert("next")) == "next"
    assert await database.read(names) == ["next"]


async def test_unit_cancelled_before_it_runs_again_is_left_out(database: Database):
    """A caller that gave up between the lost batch and the second run leaves no effect."""
    ran: list[str] = []

    def once_then_cancelled(connection: sa.Connection) -> None:
        ran.append("cancelled")
        loop.call_soon_threadsafe(gives_up.cancel)
        insert("cancelled")(connection)

    def last(connection: sa.Connection) -> None:
        # Runs after the other, in its batch: by the second run the loop has cancelled it.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(10)
        orphan(connection)

    loop = asyncio.get_running_loop()
    async with held(database):
        gives_up = asyncio.create_task(database.write(once_then_cancelled))
        fails = asyncio.create_task(database.write(last))
    await asyncio.gather(gives_up, fails, return_exceptions=True)
    assert gives_up.cancelled()
    assert ran == ["cancelled"]
    assert await database.read(names) == []
