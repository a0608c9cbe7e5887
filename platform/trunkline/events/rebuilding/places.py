"""Where a live database is, and its shadow: a file and one beside it, or a server and a schema of its own there."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ClassVar

import sqlalchemy as sa

from trunkline.redaction import redacted
from trunkline.storage import sqlite

SHADOW = "trunkline_shadow"
"""Schema that the shadow's tables are in, as seen by who puts them in the live ones' place."""
BUSY_TIMEOUT_S = 5.0
"""How long a statement waits for a lock of the live file; nobody else knows the shadow's."""
LOCK_WAIT_S = 10
"""Seconds to wait for the service's own writers."""
LOCK_ATTEMPTS = 5
"""Times that the live tables are asked for where writers and the swap block each other."""
REBUILD_LOCK = 0x72656275
"""Advisory lock of whoever rebuilds a database on a server."""


class RebuildRefused(Exception):
    """The database cannot be rebuilt now."""


class Place(ABC):
    """A live database, and room for its shadow."""

    name: str
    """The live database, for people."""
    shadow: sa.Connection
    """To the shadow, between transactions; made by `make`."""

    @abstractmethod
    def make(self, metadata: sa.MetaData) -> None:
        """Makes an empty shadow."""

    @abstractmethod
    def begin(self, connection: sa.Connection, *, writing: bool = True) -> None:
        """Begins what SQLAlchemy's `begin()` stands for: with the right to write, or on one state."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[sa.Connection]:
        """One state of the live database, from its first read on; its writers go on meanwhile."""

    @abstractmethod
    def alone(self, tables: Sequence[sa.Table]) -> AbstractContextManager[sa.Connection]:
        """A transaction of the live database in which nobody else writes these tables; it sees those of SHADOW."""

    @abstractmethod
    def close(self) -> None:
        """Closes the shadow."""


class FilePlace(Place):
    """A file, and one in a scratch folder, which is for who made the folder to remove."""

    def __init__(self, live: Path, scratch: Path) -> None:
        self.name = str(live)
        self._live = live
        self._file = scratch / "shadow.db"

    def make(self, metadata: sa.MetaData) -> None:
        """See Place."""
        sqlite.create_file(self._file)
        self._engine = sqlite.open_engine(self._file, busy_timeout_s=BUSY_TIMEOUT_S)
        self.shadow = self._engine.connect()
        # It is made again from the start if anything happens to it.
        sqlite.driver(self.shadow).execute("PRAGMA synchronous=OFF")
        with self.shadow.begin():
            metadata.create_all(self.shadow)

    def begin(self, connection: sa.Connection, *, writing: bool = True) -> None:
        """See Place."""
        sqlite.begin(connection, writing=writing)

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """See Place."""
        engine = sqlite.open_engine(self._live, busy_timeout_s=BUSY_TIMEOUT_S, read_only=True)
        try:
            with engine.connect() as connection, connection.begin():
                sqlite.begin(connection, writing=False)
                yield connection
        finally:
            engine.dispose()

    @contextmanager
    def alone(self, tables: Sequence[sa.Table]) -> Iterator[sa.Connection]:
        """See Place; nobody else writes anything."""
        engine = sqlite.open_engine(self._live, busy_timeout_s=LOCK_WAIT_S)
        try:
            with engine.connect() as connection:
                attached = str(self._file.absolute())
                sqlite.driver(connection).execute(f"ATTACH ? AS {SHADOW}", (attached,))
                with connection.begin():
                    sqlite.begin(connection)
                    yield connection
        finally:
            engine.dispose()

    def close(self) -> None:
        """See Place."""
        self.shadow.close()
        self._engine.dispose()


class ServerPlace(Place):
    """A database on PostgreSQL, and a schema in it, which goes when it is closed, or when the next one is made."""

    _WORKING: ClassVar = {"isolation_level": "READ COMMITTED"}
    _READING: ClassVar = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    def __init__(self, url: str) -> None:
        # Not everybody has its driver.
        from trunkline.storage.postgres_engine import Patience, open_engine

        self.name = redacted(url)
        # The shadow, a snapshot and the swap; all take as long as there are rows.
        self._engine = open_engine(url, connections=3, statement_s=0, idle_s=0, patience=Patience(math.inf))

    def make(self, metadata: sa.MetaData) -> None:
        """See Place.

        Raises:
            RebuildRefused: somebody else rebuilds it.
        """
        self.shadow = self._engine.connect().execution_options(**self._WORKING)
        if not self._is_ours():
            self.shadow.close()
            self._engine.dispose()
            raise RebuildRefused(f"{self.name} is being rebuilt already")
        with self.shadow.begin():
            self.shadow.exec_driver_sql(f"DROP SCHEMA IF EXISTS {SHADOW} CASCADE")
            self.shadow.exec_driver_sql(f"CREATE SCHEMA {SHADOW}")
            # The live tables are out of sight from here on.
            self.shadow.exec_driver_sql(f"SET search_path TO {SHADOW}")
            metadata.create_all(self.shadow, checkfirst=False)

    def begin(self, connection: sa.Connection, *, writing: bool = True) -> None:
        """See Place; nothing to do."""

    @contextmanager
    def snapshot(self) -> Iterator[sa.Connection]:
        """See Place."""
        from trunkline.storage.postgres_errors import reason

        try:
            opened = self._engine.connect()
        except sa.exc.OperationalError as error:
            raise RebuildRefused(f"{self.name} cannot be opened: {reason(error)}") from error
        with opened.execution_options(**self._READING) as connection, connection.begin():
            yield connection

    @contextmanager
    def alone(self, tables: Sequence[sa.Table]) -> Iterator[sa.Connection]:
        """See Place; writers of these tables wait, and readers do not.

        Raises:
            RebuildRefused: they cannot be had.
        """
        with (
            self._engine.connect().execution_options(**self._WORKING) as connection,
            self._locked(connection, tables),
        ):
            yield connection

    def close(self) -> None:
        """See Place."""
        with self.shadow.begin():
            self.shadow.exec_driver_sql(f"DROP SCHEMA {SHADOW} CASCADE")
        self.shadow.invalidate()  # with it go its lock and its path
        self.shadow.close()
        self._engine.dispose()

    def _is_ours(self) -> bool:
        with self.shadow.begin():
            return bool(self.shadow.scalar(sa.select(sa.func.pg_try_advisory_lock(REBUILD_LOCK))))

    def _locked(self, connection: sa.Connection, tables: Sequence[sa.Table]) -> sa.RootTransaction:
        from trunkline.storage.postgres_errors import cause_of_repeat, reason

        names = ", ".join(map(connection.dialect.identifier_preparer.format_table, tables))
        for attempt in range(1, LOCK_ATTEMPTS + 1):
            transaction = connection.begin()
            try:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'")
                connection.exec_driver_sql(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")
            except sa.exc.OperationalError as error:
                transaction.rollback()
                if not cause_of_repeat(error) or attempt == LOCK_ATTEMPTS:
                    raise RebuildRefused(f"the tables of {self.name} cannot be had: {reason(error)}") from error
            else:
                return transaction
        raise AssertionError("the last attempt returns or raises")
