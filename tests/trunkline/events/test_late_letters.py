"""Dead letters of many keys that are written at once: those that are committed after others with higher ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from trunk.event.v1 import consumer_service_pb2 as pb
from trunk.event.v1 import consumer_service_pb2_grpc as pb_grpc
from trunkline.clock import SYSTEM_CLOCK
from trunkline.events.consuming.service import ConsumerServicer
from trunkline.events.late_commits import LATE_S
from trunkline.storage.postgres import PostgresDatabase
from trunkline.testing.local import LocalSystem

from tests.services.callers import refusal, service
from tests.trunkline.events.notes import GROUP, PLATFORM

KINDS = ("postgresql",)
Sleep = Callable[[float], Awaitable[object]]


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[LocalSystem]:
    """A system with nothing in it."""
    async with LocalSystem(tmp_path / "system") as system:
        yield system


async def served(system: LocalSystem, reader: PostgresDatabase, sleep: Sleep) -> Any:
    """The reader's letters, for another service."""
    servicer = ConsumerServicer(reader, PLATFORM, GROUP, consumers={}, logs={}, sleep=sleep)
    await system.stand_in(GROUP, servicer)
    return pb_grpc.ConsumerServiceStub(service(system, "cart").channel(GROUP))


def bury(connection: sa.Connection, number: int) -> None:
    """Writes a letter."""
    now = SYSTEM_CLOCK.now()
    letter = {"consumer_group": GROUP, "topic": "notes", "key": "t/s/1", "number": number, "tenant_id": "t"}
    failed = {"envelope": b"", "reason": "APPLY_FAILED", "error": "", "attempts": 5}
    connection.execute(sa.insert(PLATFORM.dead_letter), letter | failed | {"first_time": now, "last_time": now})


async def bury_all(reader: PostgresDatabase, *numbers: int) -> None:
    """Commits letters."""

    def work(connection: sa.Connection) -> None:
        for number in numbers:
            bury(connection, number)

    await reader.write(work)


@contextmanager
def unfinished(reader: PostgresDatabase, number: int) -> Iterator[sa.Connection]:
    """A transaction that has written a letter and has not ended; what is left of it is undone."""
    with reader._engine.connect().execution_options(isolation_level="READ COMMITTED") as connection:
        bury(connection, number)
        yield connection


async def listed(letters: Any, *, page_size: int = 2) -> list[int]:
    """Number of every open letter, page after page."""
    asked, found = pb.ListDeadLettersRequest(page_size=page_size), list[int]()
    while True:
        answer = await letters.ListDeadLetters(asked)
        found += [one.number for one in answer.letters]
        asked.page_token = answer.next_page_token
        if not answer.next_page_token:
            return found


async def test_a_late_letter_is_waited_for(system: LocalSystem, reader: PostgresDatabase):
    """One that is numbered among others and committed last has its place in a list that began before its commit."""
    await bury_all(reader, 1)
    with unfinished(reader, 2) as late:
        await bury_all(reader, 3, 4, 5)

        async def commit(_: float) -> None:
            late.commit()

        assert await listed(await served(system, reader, commit)) == [5, 4, 3, 2, 1]


async def test_a_list_of_one_page_waits_for_nobody(system: LocalSystem, reader: PostgresDatabase):
    """It is what is there at one instant; and a transaction that does not end keeps no operator from looking."""
    with unfinished(reader, 1):
        await bury_all(reader, 2, 3)

        async def sleep(_: float) -> None:
            raise AssertionError("it waits")

        assert await listed(await served(system, reader, sleep), page_size=50) == [3, 2]


async def test_one_that_does_not_end_is_told(system: LocalSystem, reader: PostgresDatabase):
    """Rather than to pass over what it may commit, a list of many pages is refused: come again."""
    slept = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        await asyncio.sleep(0)

    letters = await served(system, reader, sleep)
    with unfinished(reader, 1) as late:
        await bury_all(reader, 2, 3, 4)
        assert (await refusal(listed(letters)))[:2] == ("UNAVAILABLE", "trunk/STORAGE_UNAVAILABLE")
        assert slept >= LATE_S
        late.commit()
    assert await listed(letters) == [4, 3, 2, 1]
