"""Stored answers: how long they are replayed, and how those that hold secrets are kept."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.call import IdempotencyContext
from trunkline.errors import ServiceError
from trunkline.storage import AnswerStore, Database, SqliteDatabase, UnitOfWork
from trunkline.storage.answer_seal import SEALED_FOR
from trunkline.storage.answers import EXPIRE_CHUNK, KEPT_FOR
from trunkline.storage.bulk import Prepared
from trunkline.testing.clock import FakeClock

from tests.trunkline.storage.bench import ADD, MAKE_SECRET, PLATFORM, adding, call
from tests.trunkline.storage.kinds import BOTH
from tests.trunkline.storage.plans import plans

KINDS = BOTH

ANSWER = PLATFORM.idempotency_answer
SECOND = timedelta(seconds=1)


@asynccontextmanager
async def unit_is_blocked(database: SqliteDatabase) -> AsyncIterator[None]:
    """Somebody outside this process holds the write lock."""
    outside = sqlite3.connect(database.path, isolation_level=None)
    try:
        outside.execute("BEGIN IMMEDIATE")
        yield
        outside.execute("ROLLBACK")
    finally:
        outside.close()


async def make_secret(unit: UnitOfWork) -> pb.MakeSecretResponse:
    """One call that answers a secret, under the key `k`."""
    with call("k", answers=unit.answers, method=MAKE_SECRET):
        return await unit.run(lambda _: pb.MakeSecretResponse(secret="canary"))


def context(unit: UnitOfWork, key: str = "k", method: str = ADD) -> IdempotencyContext:
    """What the server's chain looks up."""
    return IdempotencyContext("t", method, key, unit.answers.fingerprint(b""), secret=method == MAKE_SECRET)


async def test_unknown_key_has_no_answer(unit: UnitOfWork):
    """A key that was never used finds nothing."""
    assert await unit.answers.find(context(unit)) is None


async def test_find_refuses_another_request(unit: UnitOfWork):
    """The look-up before the handler refuses a key used with another request."""
    with call("k", answers=unit.answers, request=b"another"):
        await unit.run(adding("one"))
    with pytest.raises(ServiceError, match="IDEMPOTENCY_KEY_REUSED"):
        await unit.answers.find(context(unit))


async def test_secret_answer_is_sealed(database: SqliteDatabase, unit: UnitOfWork):
    """An answer that holds a secret is not readable in the database, and is replayed within the hour."""
    answer = await make_secret(unit)
    stored = await database.read(lambda c: c.execute(sa.select(ANSWER)).one())
    assert stored.sealed
    assert b"canary" not in stored.answer
    assert await unit.answers.find(context(unit, method=MAKE_SECRET)) == answer.SerializeToString()
    assert await make_secret(unit) == answer


async def test_secret_answer_expires_after_an_hour(unit: UnitOfWork, clock: FakeClock):
    """After an hour a repeat is FAILED_PRECONDITION / ANSWER_EXPIRED, before and after the answer is dropped."""
    await make_secret(unit)
    clock.advance(SEALED_FOR.total_seconds() - 1)
    assert await unit.answers.expire() == 0
    await make_secret(unit)
    clock.advance(1)
    for dropped in (1, 0):
        with pytest.raises(ServiceError) as expired:
            await make_secret(unit)
        assert (expired.value.code, expired.value.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "ANSWER_EXPIRED",
        )
        assert await unit.answers.expire() == dropped


async def test_sealed_answer_is_gone_from_the_database(database: SqliteDatabase, unit: UnitOfWork, clock: FakeClock):
    """Expiry leaves the key and drops the sealed bytes."""
    await make_secret(unit)
    await unit.answers.expire(clock.now() + SEALED_FOR)
    row = await database.read(lambda c: c.execute(sa.select(ANSWER.c.key, ANSWER.c.answer)).one())
    assert tuple(row) == ("k", None)


async def test_sealed_answer_opens_in_its_own_row_only(database: SqliteDatabase, unit: UnitOfWork):
    """A sealed answer copied under another key does not open there."""
    await make_secret(unit)
    await database.write(lambda c: c.execute(sa.update(ANSWER).values(key="stolen")))
    with pytest.raises(ServiceError, match="ANSWER_EXPIRED"):
        await unit.answers.find(context(unit, "stolen", MAKE_SECRET))


async def test_other_answers_are_kept_seven_days(unit: UnitOfWork, clock: FakeClock):
    """An answer without secrets is replayed for seven days; then its key is free."""
    with call("k", answers=unit.answers):
        answer = await unit.run(adding("one"))
    clock.advance((KEPT_FOR - SECOND).total_seconds())
    assert await unit.answers.expire() == 0
    assert await unit.answers.find(context(unit)) == answer.SerializeToString()
    clock.advance(1)
    assert await unit.answers.expire() == 1
    assert await unit.answers.find(context(unit)) is None


async def keep_answers(database: Database, count: int, create_time: datetime, *, sealed: bool = False) -> None:
    """So many calls were answered."""
    row = {"tenant_id": "t", "subject": "", "method": ADD, "fingerprint": b"", "answer": b"", "sealed": sealed}
    rows = [row | {"key": f"{sealed}#{number}", "create_time": create_time} for number in range(count)]
    await database.write(lambda connection: connection.execute(sa.insert(ANSWER), rows))


async def test_many_answers_expire_in_small_units(database: Database, unit: UnitOfWork, clock: FakeClock, monkeypatch):
    """More old answers than one unit takes are all forgotten, a few in each: calls are committed between them."""
    count = 2 * EXPIRE_CHUNK + 1
    await keep_answers(database, count, clock.now())
    changed, run = list[int](), Prepared.run

    def noted(self: Prepared, connection: sa.Connection, columns: Sequence[Sequence[Any]]) -> None:
        changed.append(len(columns[0]))
        run(self, connection, columns)

    monkeypatch.setattr(Prepared, "run", noted)
    assert await unit.answers.expire(clock.now() + KEPT_FOR) == count
    assert changed == [EXPIRE_CHUNK, EXPIRE_CHUNK, 1]
    assert await database.read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(ANSWER))) == 0


async def test_nothing_is_written_to_find_nothing(database: Database, unit: UnitOfWork, clock: FakeClock):
    """Who looks for old answers does not hold up calls that want to commit."""
    await keep_answers(database, EXPIRE_CHUNK, clock.now())
    before = database.counts.units
    assert await unit.answers.expire(clock.now() + KEPT_FOR - SECOND) == 0
    assert database.counts.units == before


async def test_old_answers_are_found_by_an_index(database: Database, unit: UnitOfWork, clock: FakeClock):
    """Those that hold a secret among all the others, which stay a week; each is changed by its key."""
    await keep_answers(database, 5_000, clock.now())
    await keep_answers(database, 20, clock.now(), sealed=True)
    await database.write(lambda connection: connection.exec_driver_sql("ANALYZE"))
    at, answers = clock.now() + SEALED_FOR, unit.answers

    def secrets(connection: sa.Connection) -> None:
        answers._dropped.change(answers._dropped.find(at, connection), connection)

    steps = await database.write(lambda connection: plans(connection, secrets))
    assert [step for step in steps if "ix_idempotency_answer_secret" in step], steps
    assert [step for step in steps if re.search("pk_idempotency_answer|sqlite_autoindex_idempotency_answer_1", step)]
    assert not [step for step in steps if re.search("SCAN idempotency_answer|Seq Scan|Sort|TEMP B-TREE", step)], steps

    def all_others(connection: sa.Connection) -> None:
        answers._forgotten.change(answers._forgotten.find(at, connection), connection)

    steps = await database.write(lambda connection: plans(connection, all_others))
    assert [step for step in steps if "ix_idempotency_answer_create_time" in step], steps
    assert not [step for step in steps if re.search("SCAN idempotency_answer|Seq Scan|Sort|TEMP B-TREE", step)], steps


async def test_a_key_that_is_used_again_is_not_forgotten(database: Database, unit: UnitOfWork, clock: FakeClock):
    """An old answer that another process has forgotten meanwhile, and whose key was then used anew."""
    await keep_answers(database, 1, clock.now())
    forgotten = unit.answers._forgotten
    found = await database.read(partial(forgotten.find, clock.now()))
    await database.write(lambda c: c.execute(sa.update(ANSWER).values(create_time=clock.now() + SECOND)))
    await database.write(partial(forgotten.change, found))
    assert await database.read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(ANSWER))) == 1


async def test_expiring_in_the_background_ends_when_told(database: SqliteDatabase, unit: UnitOfWork, clock: FakeClock):
    """The background task expires at once, and ends when the service stops."""
    await make_secret(unit)
    clock.advance(SEALED_FOR.total_seconds())
    stop = asyncio.Event()
    task = asyncio.create_task(unit.answers.expire_until(stop))
    async with asyncio.timeout(5):
        while await database.read(lambda c: c.scalar(sa.select(ANSWER.c.answer))) is not None:
            pass
        stop.set()
        await task


async def test_fingerprint_belongs_to_the_service(database: SqliteDatabase, unit: UnitOfWork, tmp_path):
    """A fingerprint is the same after a restart, and another under another service's secret."""
    again = AnswerStore(database, PLATFORM, secret_file=tmp_path / "answers.secret")
    other = AnswerStore(database, PLATFORM, secret_file=tmp_path / "other.secret")
    assert unit.answers.fingerprint(b"x") == again.fingerprint(b"x")
    assert unit.answers.fingerprint(b"x") != other.fingerprint(b"x")
    assert unit.answers.fingerprint(b"x") != unit.answers.fingerprint(b"y")


async def test_a_locked_database_does_not_end_the_housekeeping(
    database: SqliteDatabase, unit: UnitOfWork, kind: str, monkeypatch
):
    """Expiring is tried again in the next round; it never ends the service that can still read."""
    if kind != "sqlite":
        pytest.skip("one lock for all writes is SQLite's")
    monkeypatch.setattr("trunkline.storage.answers.EXPIRE_EVERY_S", 0.01)
    async with unit_is_blocked(database):
        stop = asyncio.Event()
        rounds = asyncio.create_task(unit.answers.expire_until(stop))
        done, _ = await asyncio.wait([rounds], timeout=0.6)
        assert not done
        stop.set()
        await asyncio.wait_for(rounds, 5)
