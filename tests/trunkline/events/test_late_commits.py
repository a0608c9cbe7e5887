"""A log that many write at once: rows that are committed after others that were numbered later."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from trunk.event.v1 import envelope_pb2
from trunk.event.v1 import event_log_service_pb2 as pb
from trunk.event.v1 import event_log_service_pb2_grpc as pb_grpc
from trunkline.clock import SYSTEM_CLOCK
from trunkline.events.late_commits import LATE_S
from trunkline.events.publishing.event_log import EventLogServicer
from trunkline.storage import Database, Outbox
from trunkline.storage.postgres import PostgresDatabase
from trunkline.testing.local import LocalSystem

from tests.services.callers import refusal, service
from tests.trunkline.events.notes import PLATFORM, SOURCE, TOPICS, Note, publish

KINDS = ("postgresql",)
LATE, QUICK = "t/late", "t/quick"
WRITERS, EACH = 4, 25
Log = Any


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[LocalSystem]:
    """A system with nothing in it."""
    async with LocalSystem(tmp_path / "system") as system:
        yield system


async def served(
    system: LocalSystem, publisher: Database, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> Log:
    """The log of the notebook, for another service."""
    await system.stand_in(SOURCE, EventLogServicer(publisher, PLATFORM, SOURCE, TOPICS, sleep=sleep))
    return pb_grpc.EventLogServiceStub(service(system, "reader").channel(SOURCE))


@contextmanager
def unfinished(publisher: PostgresDatabase, key: str = LATE) -> Iterator[sa.Connection]:
    """A transaction that has published and has not ended; what is left of it is undone."""
    with publisher._engine.connect().execution_options(isolation_level="READ COMMITTED") as connection:
        Outbox(PLATFORM, SOURCE).append(
            connection, Note(text=key), key=key, subject="notes/1", tenant_id="t", now=SYSTEM_CLOCK.now()
        )
        yield connection


async def listed(log: Log, *, page_size: int = 3) -> list[tuple[str, int]]:
    """Key and number of every event of the log, page after page."""
    asked, found = pb.ListEventsRequest(topic="notes", page_size=page_size), []
    while True:
        answer = await log.ListEvents(asked)
        envelopes = [envelope_pb2.Envelope.FromString(one.envelope) for one in answer.events]
        found += [(one.key, one.number) for one in envelopes]
        asked.page_token = answer.next_page_token
        if not answer.next_page_token:
            return found


async def test_a_late_commit_is_waited_for(system: LocalSystem, publisher: PostgresDatabase):
    """A row that is numbered first and committed last stands first in a list that began before its commit."""
    with unfinished(publisher) as late:
        await publish(publisher, *"abcd", key=QUICK)

        async def commit(_: float) -> None:
            late.commit()

        log = await served(system, publisher, sleep=commit)
        assert await listed(log) == [(LATE, 1), *((QUICK, number) for number in range(1, 5))]


async def test_what_is_undone_is_waited_for_and_left_out(system: LocalSystem, publisher: PostgresDatabase):
    """A transaction that ends without a commit leaves a place that nobody has."""
    with unfinished(publisher) as late:
        await publish(publisher, "a", key=QUICK)

        async def undo(_: float) -> None:
            late.rollback()

        assert await listed(await served(system, publisher, sleep=undo)) == [(QUICK, 1)]


async def test_who_begins_later_is_not_waited_for(system: LocalSystem, publisher: PostgresDatabase):
    """What is numbered once the list has begun comes behind its end: a busy publisher does not hold it up."""
    with unfinished(publisher) as late:
        await publish(publisher, "a", key=QUICK)
        later: list[Any] = []

        async def commit(_: float) -> None:
            later.append(unfinished(publisher, "t/later"))
            later[0].__enter__()
            late.commit()

        log = await served(system, publisher, sleep=commit)
        try:
            assert await listed(log) == [(LATE, 1), (QUICK, 1)]
        finally:
            later[0].__exit__(None, None, None)


async def test_one_that_does_not_end_is_told(system: LocalSystem, publisher: PostgresDatabase):
    """Rather than to pass over what it may commit, the list is refused: come again."""
    slept = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds

    log = await served(system, publisher, sleep=sleep)
    with unfinished(publisher) as late:
        await publish(publisher, "a", key=QUICK)
        assert (await refusal(listed(log)))[:2] == ("UNAVAILABLE", "trunk/STORAGE_UNAVAILABLE")
        assert slept >= LATE_S
        key = pb.ListEventsRequest(topic="notes", key=QUICK)
        assert len((await log.ListEvents(key)).events) == 1
        late.commit()
    assert await listed(log) == [(LATE, 1), (QUICK, 1)]


async def test_no_list_passes_over_a_row(system: LocalSystem, publisher: PostgresDatabase):
    """While four commit in any order, each list holds all rows up to its last one."""
    log, dice = await served(system, publisher), random.Random(5)
    outbox, lists = PLATFORM.outbox.c, list[list[tuple[str, int]]]()

    def write(writer: int) -> None:
        for _ in range(EACH):
            with unfinished(publisher, f"t/{writer}") as connection:
                connection.execute(sa.text(f"SELECT pg_sleep({dice.uniform(0, 0.02)})"))
                connection.commit()

    writing = asyncio.gather(*(asyncio.to_thread(write, writer) for writer in range(WRITERS)))
    while not writing.done():
        lists.append(await listed(log, page_size=7))
    await writing
    rows = await publisher.read(
        lambda connection: connection.execute(sa.select(outbox.key, outbox.number).order_by(outbox.id)).all()
    )
    whole = [(row.key, row.number) for row in rows]
    assert len(whole) == WRITERS * EACH
    assert len(lists) > 3
    assert [one for one in lists if one != whole[: len(one)]] == []
    assert await listed(log) == whole
