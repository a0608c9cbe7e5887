"""What is asked of dead letters and parked events when there are many: by an index, on either kind of database."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from trunkline.clock import SYSTEM_CLOCK
from trunkline.events.consuming.aside import Aside
from trunkline.events.consuming.rows import ConsumerRows, LetterQuery
from trunkline.storage import Database
from trunkline.storage.postgres import PostgresDatabase

from tests.trunkline.events.notes import GROUP, PLATFORM
from tests.trunkline.storage.kinds import BOTH
from tests.trunkline.storage.plans import plans

KINDS = BOTH
COUNT = 5_000
NOW = SYSTEM_CLOCK.now()
ASIDE, ROWS = Aside(PLATFORM, GROUP), ConsumerRows(PLATFORM, GROUP)
Asked = Callable[[sa.Connection], Any]

LETTERS: dict[str, Asked] = {
    "first page": lambda c: ROWS.letters(c, LetterQuery(), limit=51),
    "next page": lambda c: ROWS.letters(c, LetterQuery(), before=COUNT // 2, limit=51),
    "of a topic": lambda c: ROWS.letters(c, LetterQuery(topic="notes"), before=COUNT // 2, limit=51),
    "of a tenant": lambda c: ROWS.letters(c, LetterQuery(tenant_id="t"), limit=51),
    "of a reason": lambda c: ROWS.letters(c, LetterQuery(reason="APPLY_FAILED"), limit=51),
    "since": lambda c: ROWS.letters(c, LetterQuery(from_time=NOW), limit=51),
    "with closed": lambda c: ROWS.letters(c, LetterQuery(with_closed=True), before=COUNT // 2, limit=51),
    "unreadable": lambda c: ASIDE.unreadable(c, after=COUNT // 2, limit=256),
}
PARKED: dict[str, Asked] = {
    "keys": ASIDE.keys,
    "first": lambda c: ASIDE.first(c, ("notes", "t/s/7"), 256),
    "first page": lambda c: ROWS.parked(c, "", "", limit=51),
    "next page": lambda c: ROWS.parked(c, "", "", after=("notes", "t/s/7", 1), limit=51),
    "of a topic": lambda c: ROWS.parked(c, "notes", "", after=("notes", "t/s/7", 1), limit=51),
    "of a key": lambda c: ROWS.parked(c, "notes", "t/s/7", after=("notes", "t/s/7", 1), limit=51),
    "of a tenant": lambda c: ROWS.parked(c, "", "", tenant_id="t", after=("notes", "t/s/7", 1), limit=51),
}


PARKED_INDEXES = "(ix_parked_event_mark|pk_parked_event|sqlite_autoindex_parked_event_1)"
BOUNDED = {
    "next page": r"id ?<|\(topic,key,number\)>|ROW\(topic, key, number\) >",
    "of a topic": r"\(key,number\)>|ROW\(key, number\) >",
    "of a key": r"number ?>",
}
"""What the index is asked for, in the words of either kind."""


@pytest.mark.parametrize("name", LETTERS)
async def test_a_page_of_dead_letters_is_read_off_an_index(reader: Database, name: str):
    """Those that are open by the index over them, all by their ids: none is looked at twice, and none is sorted."""
    await fill(reader)
    steps = await explained(reader, LETTERS[name])
    index = "pk_dead_letter|INTEGER PRIMARY KEY" if name == "with closed" else "ix_dead_letter_open"
    assert [step for step in steps if re.search(rf"{index}\b", step)], steps
    assert not wasteful(steps, "dead_letter"), steps


@pytest.mark.parametrize("name", PARKED)
async def test_parked_events_are_read_off_an_index(reader: Database, name: str):
    """Page after page of a long list, and all of them for the one thing that is asked of all again and again."""
    await fill(reader)
    steps = await explained(reader, PARKED[name])
    # Without the events themselves: an index has all that tells whether some came or went.
    index = "(COVERING INDEX|Index Only Scan using) ix_parked_event_mark" if name == "keys" else PARKED_INDEXES
    assert [step for step in steps if re.search(rf"{index}\b", step)], steps
    assert not wasteful(steps, "parked_event"), steps


@pytest.mark.parametrize("name", BOUNDED)
async def test_a_page_begins_where_the_last_one_ended(reader: Database, name: str):
    """What was on the pages before is not read again: the place is part of what the index is asked for."""
    await fill(reader)
    steps = await explained(reader, {**LETTERS, **PARKED}[name])
    assert [step for step in steps if re.search(BOUNDED[name], step)], steps


@pytest.mark.parametrize("name", ["figures", "redrivable"])
async def test_what_is_set_aside_is_counted_and_chosen_by_an_index(reader: Database, name: str):
    """A scrape counts what is open, not what ever was; so does who has all of it tried again."""
    await fill(reader)
    asked: dict[str, Asked] = {
        "figures": lambda connection: ROWS.figures(connection, ["notes"]),
        "redrivable": lambda connection: ROWS.redrivable(connection, LetterQuery(), limit=50),
    }
    steps = await explained(reader, asked[name])
    assert [step for step in steps if re.search(r"ix_dead_letter_open\b", step)], steps
    assert not re.search(r"SCAN (dead_letter|parked_event)|Seq Scan on (dead_letter|parked_event)", "\n".join(steps))


async def explained(reader: Database, asked: Asked) -> list[str]:
    """The plans of what is asked."""
    return await reader.read(lambda connection: plans(connection, asked))


def wasteful(steps: list[str], table: str) -> list[str]:
    """Steps that read a whole table, or put rows in order that an index has in order."""
    found = [step for step in steps if re.search(rf"SCAN {table}|Seq Scan on {table}|TEMP B-TREE", step)]
    return found + [step for step in steps if re.search(rf"Sort Key: .*{table}\.", step)]


async def fill(reader: Database) -> None:
    """Many parked events of a thousand keys, and many dead letters, of which one in a hundred is open."""
    events = [
        {"consumer_group": GROUP, "topic": "notes", "key": f"t/s/{at % 1000}", "number": at, "tenant_id": "t"}
        | {"event_id": str(at), "envelope": b"e" * 500, "attempts": 1}
        for at in range(1, COUNT + 1)
    ]
    parked = [one | {"park_time": NOW + timedelta(seconds=at)} for at, one in enumerate(events)]
    failed = {"reason": "APPLY_FAILED", "error": "", "first_time": NOW, "last_time": NOW}
    dead = [one | failed | {"closed_time": NOW if at % 100 else None} for at, one in enumerate(events)]

    def work(connection: sa.Connection) -> None:
        connection.execute(sa.insert(PLATFORM.parked_event), parked)
        connection.execute(sa.insert(PLATFORM.dead_letter), dead)

    await reader.write(work)
    if isinstance(reader, PostgresDatabase):
        # As it does by itself, after a while.
        with reader._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE parked_event, dead_letter")
