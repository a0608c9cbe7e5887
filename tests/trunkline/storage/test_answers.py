"""Stored answers: how long they are replayed, and how those that hold secrets are kept."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
import pytest
import sqlalchemy as sa
from trunk.testing.v1 import ping_service_pb2 as pb
from trunkline.call import IdempotencyContext
from trunkline.errors import ServiceError
from trunkline.storage import AnswerStore, SqliteDatabase, UnitOfWork
from trunkline.storage.answer_seal import SEALED_FOR
from trunkline.storage.answers import EXPIRE_CHUNK, KEPT_FOR
from trunkline.testing.clock import FakeClock

from tests.trunkline.storage.bench import ADD, MAKE_SECRET, PLATFORM, adding, call
from tests.trunkline.storage.kinds import BOTH

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


async def test_many_answers_expire_in_small_units(database: SqliteDatabase, unit: UnitOfWork, clock: FakeClock):
    """More old answers than one unit takes are all forgotten."""
    count = 2 * EXPIRE_CHUNK + 1
    rows = [
        {
            "tenant_id": "t",
            "subject": "",
            "method": ADD,
            "key": str(number),
            "fingerprint": b"",
            "answer": b"",
            "sealed": False,
            "create_time": clock.now(),
        }
        for number in range(count)
    ]
    await database.write(lambda c: c.execute(sa.insert(ANSWER), rows))
    before = database.counts.commits
    assert await unit.answers.expire(clock.now() + KEPT_FOR) == count
    assert database.counts.commits - before >= 3


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
