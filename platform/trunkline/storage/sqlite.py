"""What is particular to SQLite: how a file is opened, how a transaction begins, what a failure means."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import grpc
import sqlalchemy as sa

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.errors import ServiceError, platform_error
from trunkline.storage.errors import DatabaseRefused

JOURNAL_LIMIT_BYTES = 64 * 1024 * 1024
"""The write-ahead log is cut back to this after a checkpoint."""
CACHED_STATEMENTS = 512
"""Prepared statements kept by a connection."""
SOUND_S = 2.0
"""Seconds that opening looks for damage at most: a large file is not read to its end."""
LOOK_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock."""

READ_S = 30.0
"""Seconds that a read may take: as long as it does, the write-ahead log cannot be folded into the file."""

_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY: "the database is locked by somebody else",
    sqlite3.SQLITE_LOCKED: "the database is locked by somebody else",
    sqlite3.SQLITE_PROTOCOL: "the database is locked by somebody else",
    sqlite3.SQLITE_IOERR: "the database file cannot be read or written",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_READONLY: "the database file cannot be written",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_NOTADB: "the database file is damaged",
    sqlite3.SQLITE_NOMEM: "the database has no memory",
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
}


_BROKEN = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}
"""The file itself is amiss: what waits for nobody and needs no room fails all the same."""


def open_engine(path: Path, *, busy_timeout_s: float, read_only: bool = False) -> sa.Engine:
    """An engine over one existing file, which may be empty. Its connections begin nothing by themselves."""

    def connect() -> sqlite3.Connection:
        return _connect(path, busy_timeout_s, read_only)

    # Parameters are data: they stay out of the text of errors, and so out of logs.
    return sa.create_engine("sqlite+pysqlite://", creator=connect, poolclass=sa.NullPool, hide_parameters=True)


def create_file(path: Path) -> None:
    """Makes the file if it is not there; an empty file is an empty database. 0600: it is the service's alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def begin(connection: sa.Connection, *, writing: bool = True) -> None:
    """Begins the transaction of a connection in SQLAlchemy's `begin()`: with the write lock, or on a snapshot."""
    driver(connection).execute("BEGIN IMMEDIATE" if writing else "BEGIN")


@contextmanager
def without_foreign_keys(connection: sa.Connection) -> Iterator[None]:
    """Foreign keys are not enforced inside the block; it stands outside any transaction."""
    raw = driver(connection)
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")


def check_foreign_keys(connection: sa.Connection) -> None:
    """Checks all rows against the foreign keys.

    Raises:
        sqlite3.IntegrityError: a row points at nothing.
    """
    broken = driver(connection).execute("PRAGMA foreign_key_check").fetchone()
    if broken is not None:
        raise sqlite3.IntegrityError(f"a row of {broken[0]} points at no row of {broken[2]}")


@contextmanager
def ending(connection: sa.Connection, *, clock: Clock = SYSTEM_CLOCK) -> Iterator[None]:
    """Statements inside the block are interrupted READ_S after its beginning."""
    raw, end = driver(connection), clock.monotonic() + READ_S
    raw.set_progress_handler(lambda: clock.monotonic() >= end, LOOK_STEPS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


def require_sound(connection: sa.Connection, path: Path, *, clock: Clock = SYSTEM_CLOCK) -> None:
    """Looks at the pages of the file, for SOUND_S at most; what was not looked at by then counts as sound.

    Raises:
        DatabaseRefused: a page is damaged: totals read from it would be wrong without a word.
    """
    raw = driver(connection)
    end = clock.monotonic() + SOUND_S
    raw.set_progress_handler(lambda: clock.monotonic() >= end, LOOK_STEPS)
    try:
        found = str(raw.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if _extended_code(error) == sqlite3.SQLITE_INTERRUPT:
            return
        found = str(error)
    finally:
        raw.set_progress_handler(None, 0)
    if found != "ok":
        raise DatabaseRefused(f"{path} is damaged, restore it from a backup: {' '.join(found.split())}")


class TransactionLostError(Exception):
    """The database ended the transaction by itself; nothing of it is kept."""


class WritingConnection(sqlite3.Connection):
    """Holds work to its transaction.

    SQLite rolls everything back when the disk is full, and goes on in autocommit: what work did after that would be
    kept without what it did before. And work that ended the transaction itself would end that of others.
    """

    working = False
    """Work is running: the transaction may not be ended, and nothing may be done outside it."""

    def cursor(self, factory: Any = None) -> Any:
        """A cursor that refuses statements outside the transaction."""
        return super().cursor(_WorkingCursor)

    def commit(self) -> None:
        """Commits, unless work is running."""
        self._refuse_end()
        super().commit()

    def rollback(self) -> None:
        """Rolls back, unless work is running."""
        self._refuse_end()
        super().rollback()

    def _refuse_end(self) -> None:
        if self.working:
            raise RuntimeError("work may not commit or roll back: its unit does")


class _WorkingCursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        self._refuse_outside()
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> Self:
        self._refuse_outside()
        return super().executemany(sql, parameters)

    def _refuse_outside(self) -> None:
        connection = self.connection
        if not connection.in_transaction and connection.working:  # type: ignore[attr-defined]  # made by its cursor()
            raise TransactionLostError("the database rolled the transaction back")


def driver(connection: sa.Connection) -> sqlite3.Connection:
    """The connection under SQLAlchemy's."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def writing_driver(connection: sa.Connection) -> WritingConnection:
    """The connection under the writer's."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, WritingConnection)
    return raw


def probe(connection: sa.Connection) -> None:
    """Reads something from the file itself."""
    connection.exec_driver_sql("PRAGMA schema_version").all()


def touch(connection: sa.Connection) -> None:
    """Writes something to the file, and changes nothing."""
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    connection.exec_driver_sql(f"PRAGMA user_version={version}")


def is_broken(error: BaseException | None) -> bool:
    """Whether a failure, or what it was translated from, says that the file cannot be written or read."""
    return error is not None and any(_extended_code(one) & 0xFF in _BROKEN for one in (error, error.__cause__) if one)


def translate(error: BaseException) -> BaseException:
    """A failure of the database as callers shall see it; every other failure as it is."""
    code = _extended_code(error) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return _refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk of the database is full", error)
    if code in _UNAVAILABLE:
        return _refusal(grpc.StatusCode.UNAVAILABLE, _UNAVAILABLE[code], error)
    return error


def reason(error: BaseException) -> str:
    """A failure in one line, for the operator."""
    return _UNAVAILABLE.get(_extended_code(error) & 0xFF, str(getattr(error, "orig", error)))


def is_write_in_query(error: BaseException) -> bool:
    """A query on a reading connection tried to write: a mistake in the program."""
    return _extended_code(error) == sqlite3.SQLITE_READONLY


def lost(cause: BaseException | None) -> BaseException:
    """What the caller of a unit sees whose transaction the database ended."""
    if cause is not None and not isinstance(cause, TransactionLostError):
        return translate(cause)
    return _refusal(grpc.StatusCode.UNAVAILABLE, "the database rolled the transaction back", cause)


def _connect(path: Path, busy_timeout_s: float, read_only: bool) -> sqlite3.Connection:
    # isolation_level=None: the driver begins nothing by itself. Each connection stays with one thread at a time.
    # mode=rw: a file that somebody removed is missed, not made again.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=CACHED_STATEMENTS,
        factory=sqlite3.Connection if read_only else WritingConnection,
    )
    try:
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise sqlite3.OperationalError(f"journal mode is {mode}: the file system offers no shared memory")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA journal_size_limit={JOURNAL_LIMIT_BYTES}")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _extended_code(error: BaseException) -> int:
    original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    code: int = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code


def _refusal(code: grpc.StatusCode, message: str, cause: BaseException | None) -> ServiceError:
    refusal = platform_error(code, "STORAGE_UNAVAILABLE", message)
    refusal.__cause__ = cause
    return refusal
