"""The kinds of databases that pass one suite: a module with `KINDS = BOTH` runs on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from trunkline.storage import Database, SqliteDatabase
from trunkline.storage.postgres import PostgresDatabase
from trunkline.storage.postgres_engine import open_engine
from trunkline.testing.postgres import NoPostgres, PostgresServer

BOTH = ("sqlite", "postgresql")
"""`KINDS = BOTH` in a module runs all of its tests on each."""
AHEAD = "ahead"
"""As a later release has left it: every table has a column that this one does not know, and there is one more table."""


class Databases:
    """Makes empty databases on one server, one after the other."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        """The server."""
        self._made = 0

    def url(self) -> str:
        """Address of a new one."""
        self._made += 1
        name = f"test_{self._made}"
        engine = open_engine(self.server.url)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.server.url.replace("/postgres", f"/{name}")


def made() -> Iterator[Databases]:
    """One PostgreSQL server; skips where there is none."""
    server = PostgresServer()
    try:
        server.start()
    except NoPostgres as error:
        pytest.skip(str(error))
    yield Databases(server)
    server.__exit__()


async def opened(kind: str, metadata: sa.MetaData, path: Path, request: pytest.FixtureRequest) -> Database:
    """An open database of a kind, with some tables."""
    database: Database
    if kind in ("sqlite", AHEAD):
        database = SqliteDatabase(path, metadata, busy_timeout_s=0.2)
    else:
        url = await asyncio.to_thread(request.getfixturevalue("databases").url)
        database = PostgresDatabase(url, metadata, writers=4, readers=2)
    await database.open()
    if kind == AHEAD:
        await database.write(partial(_go_ahead, metadata=metadata))
    return database


def _go_ahead(connection: sa.Connection, metadata: sa.MetaData) -> None:
    for name in metadata.tables:
        connection.execute(sa.text(f"ALTER TABLE {name} ADD COLUMN ahead TEXT"))
    connection.execute(sa.text("CREATE TABLE ahead (tenant_id TEXT PRIMARY KEY)"))
