"""What a group tells of its events: figures, delivery states, letters and parked events."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from redis.asyncio import Redis
from trunkline.clock import SYSTEM_CLOCK
from trunkline.events.consuming.rows import ConsumerRows, GroupFigures, LetterQuery, State
from trunkline.events.event import APPLY_FAILED
from trunkline.events.unreadable import UNKNOWN_TYPE
from trunkline.storage import Database
from trunkline.testing.clock import FakeClock

from tests.trunkline.events.notes import (
    GROUP,
    KEY,
    OTHER_KEY,
    PLATFORM,
    Note,
    add,
    consumer,
    envelope,
    keep,
    running,
    seen,
    until,
    until_seen,
)

ROWS = ConsumerRows(PLATFORM, GROUP)
ALL = LetterQuery()


class Sick:
    """A handler that fails as long as it is sick, for texts that say so."""

    def __init__(self) -> None:
        self.well = False

    def __call__(self, transaction, event) -> None:
        """Has the effect of an event, or none."""
        if not self.well and event.message.text == "bad":
            raise ValueError("cannot apply")
        keep(transaction, event)


async def _states(database: Database, *numbers: int, key: str = KEY) -> list[State]:
    def work(connection: sa.Connection) -> list[State]:
        return [ROWS.delivery(connection, ("notes", key, number)).state for number in numbers]

    return await database.read(work)


async def _page(database: Database, before: int) -> list[int]:
    found = await database.read(lambda connection: ROWS.letters(connection, ALL, before=before, limit=3))
    return [one.id for one in found]


async def _letters(database: Database, query: LetterQuery = ALL) -> list[tuple[str, int, str]]:
    found = await database.read(lambda connection: ROWS.letters(connection, query, limit=10))
    return [(one.key, one.number, one.reason) for one in found]


async def _redrive(database: Database, query: LetterQuery = ALL, limit: int = 10) -> tuple[list[int], int]:
    def work(connection: sa.Connection) -> tuple[list[int], int]:
        letters, more = ROWS.redrivable(connection, query, limit=limit)
        ROWS.redrive(connection, letters, SYSTEM_CLOCK.now())
        return [one.number for one in letters], more

    return await database.write(work)


async def _dead(reader: Database, client: Redis, url: str, clock: FakeClock, sick: Sick):
    """Number 2 of a key and 1 of another are dead letters, one is of a type that nobody knows, one never was read."""
    await add(client, envelope(1), envelope(2, text="bad"), envelope(3), envelope(4, type_="x.Y"))
    await add(client, envelope(1, key=OTHER_KEY, text="bad"), key=OTHER_KEY)
    await add(client, b"\xff")
    receiver = consumer(reader, url, {Note: sick}, clock=clock)
    async with running(receiver):

        def all_dead() -> bool:
            clock.advance(1)
            return receiver.counts.dead == 4

        await until(all_dead)
    return receiver


async def test_tells_what_became_of_each_event(reader: Database, client: Redis, url: str, clock: FakeClock):
    """Delivered, dead, parked because this release cannot read it, and not come yet; parked before its turn."""
    await _dead(reader, client, url, clock, Sick())
    assert await _states(reader, 1, 2, 3, 4, 5) == [
        State.DELIVERED,
        State.DEAD,
        State.DELIVERED,
        State.PARKED,
        State.WAITING,
    ]
    dead = await reader.read(lambda connection: ROWS.delivery(connection, ("notes", KEY, 2)))
    assert (dead.attempts, dead.reason) == (5, APPLY_FAILED)
    assert dead.error.startswith("ValueError in tests.trunkline.events.test_consumer_rows")
    assert dead.letter_id > 0

    await add(client, envelope(7))
    receiver = consumer(reader, url, {Note: keep}, clock=clock)
    async with running(receiver):
        await until(lambda: receiver.counts.parked == 1)
        assert await _states(reader, 5, 6, 7) == [State.WAITING, State.WAITING, State.PARKED]
        clock.advance(31)
        await until(lambda: receiver.counts.holes == 2)
        await until_seen(reader, [1, 3, 7])
    assert await _states(reader, 5, 6, 7) == [State.DEAD, State.DEAD, State.DELIVERED]


async def test_tells_figures(reader: Database, client: Redis, url: str, clock: FakeClock):
    """Sums and counts of a topic, and nothing but zeros of one that never came."""
    await _dead(reader, client, url, clock, Sick())
    await add(client, envelope(6))
    receiver = consumer(reader, url, {Note: keep}, clock=clock)
    async with running(receiver):
        await until(lambda: receiver.counts.parked == 1)
        figures = await reader.read(lambda connection: ROWS.figures(connection, ["notes", "memos"]))
    notes = figures["notes"]
    assert (notes.settled, notes.keys, notes.parked) == (5, 2, 1)
    assert (notes.open_holes, notes.open_letters) == (3, 4)
    assert notes.oldest_parked_time == clock.now()
    assert notes.last_apply_time is not None
    assert notes.last_apply_time < clock.now()
    assert figures["memos"] == GroupFigures()


async def test_finds_letters_by_what_they_are(reader: Database, client: Redis, url: str, clock: FakeClock):
    """By reason, key, tenant and time; the youngest first, page after page."""
    await _dead(reader, client, url, clock, Sick())
    assert await _letters(reader, LetterQuery(reason=UNKNOWN_TYPE)) == [(KEY, 4, UNKNOWN_TYPE)]
    assert await _letters(reader, LetterQuery(key=OTHER_KEY)) == [(OTHER_KEY, 1, APPLY_FAILED)]
    assert await _letters(reader, LetterQuery(tenant_id="t2")) == []
    assert await _letters(reader, LetterQuery(topic="notes", from_time=clock.now() + timedelta(seconds=1))) == []
    assert len(await _letters(reader, LetterQuery(to_time=clock.now() + timedelta(seconds=1)))) == 4

    assert [await _page(reader, before) for before in (0, 2, 1)] == [[4, 3, 2], [1], []]
    letter = await reader.read(lambda connection: ROWS.letter(connection, 1))
    assert letter is not None
    assert letter.envelope
    assert await reader.read(lambda connection: ROWS.letter(connection, 9)) is None


async def test_letters_are_applied_when_sent_again(reader: Database, client: Redis, url: str, clock: FakeClock):
    """E18: each once, however often it is asked for; the letter is closed, and what is no envelope is left alone."""
    sick = Sick()
    await _dead(reader, client, url, clock, sick)
    failed = LetterQuery(reason=APPLY_FAILED)
    numbers, more = await _redrive(reader, failed, limit=1)
    assert (len(numbers), more) == (1, 1)
    assert len((await _redrive(reader, failed))[0]) == 1
    assert await _redrive(reader, failed) == ([], 0)
    assert await _states(reader, 2) == [State.PARKED]

    sick.well = True
    receiver = consumer(reader, url, {Note: sick}, clock=clock)
    async with running(receiver):
        await until(lambda: receiver.counts.filled == 2)
        assert await _redrive(reader, failed) == ([], 0)
        await until_seen(reader, [1, 3, 2])
    assert len(await seen(reader, OTHER_KEY)) == 1
    assert await _letters(reader, failed) == []
    assert len(await _letters(reader, LetterQuery(reason=APPLY_FAILED, with_closed=True))) == 2
    assert await _redrive(reader) == ([4], 0)


async def test_lists_what_is_parked(reader: Database, client: Redis, url: str, clock: FakeClock):
    """By topic, key and number, each with how far its key is; a page begins after a place."""
    await add(client, envelope(1), envelope(3), envelope(4))
    await add(client, envelope(2, key=OTHER_KEY), key=OTHER_KEY)
    receiver = consumer(reader, url, {Note: keep}, clock=clock)
    async with running(receiver):
        await until(lambda: receiver.counts.parked == 3)

        async def parked(**which) -> list[tuple[str, int, int]]:
            query = {"topic": "", "key": "", "limit": 10, **which}
            found = await reader.read(lambda connection: ROWS.parked(connection, **query))
            return [(one.key, one.number, one.settled) for one in found]

        assert await parked() == [(KEY, 3, 1), (KEY, 4, 1), (OTHER_KEY, 2, 0)]
        assert await parked(after=("notes", KEY, 3)) == [(KEY, 4, 1), (OTHER_KEY, 2, 0)]
        assert await parked(topic="notes", key=OTHER_KEY) == [(OTHER_KEY, 2, 0)]
        assert await parked(topic="memos") == []
        delivered = await reader.read(lambda connection: ROWS.delivered(connection, ("notes", KEY), [1, 2, 3]))
        assert delivered == {1}
