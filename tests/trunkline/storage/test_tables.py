"""The library's tables: keys, indexes, and the same meaning in PostgreSQL."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable
from trunkline.storage import Database

from tests.trunkline.storage.bench import METADATA, PLATFORM

OUTBOX = PLATFORM.outbox.c


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (sa.select(OUTBOX.id).where(PLATFORM.unsent).order_by(OUTBOX.id), "ix_outbox_unsent"),
        (
            sa.select(OUTBOX.id)
            .where(PLATFORM.unconfirmed, OUTBOX.topic == "x", OUTBOX.shard == 1, OUTBOX.stream_id <= "7")
            .order_by(OUTBOX.stream_id),
            "ix_outbox_unconfirmed",
        ),
        (
            sa.select(OUTBOX.id)
            .where(OUTBOX.topic == "x", OUTBOX.key == "t", OUTBOX.number > 3)
            .order_by(OUTBOX.number),
            "sqlite_autoindex_outbox_1",
        ),
    ],
)
async def test_pending_rows_are_found_by_index(database: Database, query: sa.Select[int], index: str):
    """What is unsent, unconfirmed or missing is found without reading the rest of the outbox, and without sorting."""

    def plan(connection: sa.Connection) -> list[str]:
        compiled = query.compile(connection)
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple(compiled.params.values()))
        return [row.detail for row in rows]

    (step,) = await database.read(plan)
    assert f"INDEX {index}" in step


def test_tenant_leads_every_key_of_tenants_data():
    """A primary key starts with the tenant or with the key of order, which starts with it; or the database gives it."""
    for table in METADATA.tables.values():
        if table.name in {"worker", "lease"}:
            continue  # of processes, not of tenants
        names = [column.name for column in table.primary_key]
        by_group = [name for name in names if name not in {"consumer_group", "topic"}]
        assert names == ["id"] or table.name == "outbox_setting" or by_group[0] in {"tenant_id", "key"}


def test_tables_are_ready_for_postgresql():
    """Every table and index of the library compiles for PostgreSQL, with its own type of time."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in METADATA.tables.values():
        text = str(CreateTable(table).compile(dialect=dialect))
        text += "".join(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)
        assert "DATETIME" not in text
    assert "TIMESTAMP WITH TIME ZONE" in str(CreateTable(PLATFORM.outbox).compile(dialect=dialect))
    assert "BIGSERIAL" in str(CreateTable(PLATFORM.outbox).compile(dialect=dialect))
