"""Many rows at once: the same rows as one by one, and seen by whoever looks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from trunkline.clock import SYSTEM_CLOCK
from trunkline.storage import Database
from trunkline.storage.bulk import Bulk, Lookup, PendingRows, Prepared, _Statement

from tests.trunkline.storage.bench import PLATFORM
from tests.trunkline.storage.kinds import BOTH

KINDS = BOTH

NAMES = ("consumer_group", "topic", "key", "number", "event_id", "apply_time")
NOW = SYSTEM_CLOCK.now()


def _row(number: int) -> dict[str, object]:
    values = ("report", "tranlog", "t/s/1", number, f"id{number}", NOW + timedelta(seconds=number))
    return dict(zip(NAMES, values, strict=True))


def _all(connection: sa.Connection) -> list[dict[str, object]]:
    query = sa.select(PLATFORM.inbox).order_by(PLATFORM.inbox.c.number)
    return [dict(row) for row in connection.execute(query).mappings()]


async def test_rows_are_those_that_were_given(database: Database):
    """Also types that the database does not have, such as instants."""
    rows = [_row(number) for number in range(1, 100)]
    await database.write(lambda connection: Bulk(PLATFORM.inbox, NAMES).insert(connection, rows))
    assert await database.read(_all) == rows


async def test_columns_go_by_their_names(database: Database):
    """Whatever order they are named in."""
    table = PLATFORM.outbox_number
    rows = [{"topic": "a", "key": str(number), "number": number} for number in range(3)]
    await database.write(lambda connection: Bulk(table, ("number", "key", "topic")).insert(connection, rows))
    count = await database.read(lambda connection: connection.scalar(sa.select(sa.func.count()).select_from(table)))
    assert count == 3


async def test_pending_rows_are_there_when_they_are_flushed(database: Database):
    """Once each, in the order of their tables."""

    def work(connection: sa.Connection) -> list[int]:
        rows = PendingRows(connection)
        rows.add(PLATFORM.inbox, _row(1))
        rows.add(PLATFORM.inbox, _row(2))
        before = len(_all(connection))
        rows.flush()
        rows.flush()
        return [before, len(_all(connection))]

    assert await database.write(work) == [0, 2]


async def test_what_failed_when_it_was_flushed_fails_again(database: Database):
    """Who goes on after a failure cannot commit without the rows of others that were lost with it."""
    await database.write(lambda connection: Bulk(PLATFORM.inbox, NAMES).insert(connection, [_row(2)]))

    def work(connection: sa.Connection) -> None:
        rows = PendingRows(connection)
        rows.add(PLATFORM.inbox, _row(1))
        rows.add(PLATFORM.inbox, _row(2))
        for _ in range(2):
            with suppress(sa.exc.IntegrityError):
                rows.flush()
        rows.flush()

    with pytest.raises(sa.exc.IntegrityError):
        await database.write(work)
    assert await database.read(_all) == [_row(2)]


async def test_a_row_that_is_there_already_fails_the_work(database: Database):
    """As an insert does."""
    await database.write(lambda connection: Bulk(PLATFORM.inbox, NAMES).insert(connection, [_row(1)]))
    with pytest.raises(sa.exc.IntegrityError):
        await database.write(lambda connection: Bulk(PLATFORM.inbox, NAMES).insert(connection, [_row(1)]))


async def test_a_row_that_is_there_already_is_replaced_where_that_is_asked(database: Database):
    """In the columns that are named, and no other."""
    bulk = Bulk(PLATFORM.inbox, NAMES, replaces=("event_id",))
    rows = [_row(1), _row(2)]
    await database.write(lambda connection: bulk.insert(connection, rows))
    changed = [rows[1] | {"event_id": "other", "apply_time": NOW}, _row(3)]
    await database.write(lambda connection: bulk.insert(connection, changed))
    assert await database.read(_all) == [rows[0], rows[1] | {"event_id": "other"}, changed[1]]


async def test_rows_are_found_by_many_values(database: Database):
    """Whatever is in the values, and however many there are."""
    table = PLATFORM.inbox
    odd = ["t/s/'1", 't/s/"2', "t/s/\u3042", "t/s/4"]
    rows = [_row(1) | {"key": key} for key in odd]
    await database.write(lambda connection: Bulk(table, NAMES).insert(connection, rows))
    query = sa.select(table.c.key, table.c.number).where(table.c.topic == sa.bindparam("_topic"))
    lookup = Lookup(query, table.c.key)

    def found(*values: str) -> Callable[[sa.Connection], list[tuple[str, int]]]:
        return lambda connection: sorted(tuple(row) for row in lookup.rows(connection, values, _topic="tranlog"))

    assert await database.read(found(*odd[:3], "another")) == sorted((key, 1) for key in odd[:3])
    assert await database.read(found(*map(str, range(5000)), odd[3])) == [(odd[3], 1)]
    assert await database.read(found()) == []


async def test_rows_are_found_that_have_none_of_many_values(database: Database):
    """Numbers, too."""
    table = PLATFORM.inbox
    await database.write(lambda connection: Bulk(table, NAMES).insert(connection, [_row(1), _row(2), _row(3)]))
    lookup = Lookup(sa.select(table.c.number).order_by(table.c.number), table.c.number, without=True)

    def numbers_without(*values: int) -> Callable[[sa.Connection], list[int]]:
        return lambda connection: [number for (number,) in lookup.rows(connection, values)]

    assert await database.read(numbers_without(2, 7)) == [1, 3]
    assert await database.read(numbers_without()) == [1, 2, 3]
    assert await database.read(numbers_without(1, 2, 3)) == []


async def test_a_statement_is_run_for_many_rows(database: Database):
    """Whatever it is: its parameters go by their names."""
    table = PLATFORM.inbox
    await database.write(lambda connection: Bulk(table, NAMES).insert(connection, [_row(1), _row(2), _row(3)]))
    at = sa.bindparam("_time", type_=table.c.apply_time.type)
    statement = sa.update(table).where(table.c.number == sa.bindparam("_number")).values(apply_time=at)
    prepared = Prepared(("_time", "_number"), lambda _: statement)
    await database.write(lambda connection: prepared.run(connection, [[NOW, NOW], [1, 3]]))
    assert await database.read(_all) == [_row(1) | {"apply_time": NOW}, _row(2), _row(3) | {"apply_time": NOW}]


def test_the_statement_for_postgresql_takes_names():
    """Psycopg's own form; an instant stays one."""
    dialect = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
    statement = _Statement(sa.insert(PLATFORM.inbox).values(dict.fromkeys(NAMES, None)), NAMES, dialect)
    assert "%(consumer_group)s" in statement._text
    assert statement._named
