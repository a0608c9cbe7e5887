"""A service's database in a SQLite file: one writer in each process, readers beside it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from trunkline.storage import revision, sqlite
from trunkline.storage.database import Database, admit, unavailable
from trunkline.storage.errors import DatabaseRefused
from trunkline.storage.files import Files
from trunkline.storage.lock import FileLock
from trunkline.storage.readers import Readers
from trunkline.storage.work import Unit, WriterCounts
from trunkline.storage.writer import Writer

T = TypeVar("T")

BATCH_LIMIT = 64
"""Units committed together at most, so that the first of them does not wait long."""


class SqliteDatabase(Database):
    """One database file, shared with other processes of its service on this machine."""

    def __init__(
        self,
        path: Path,
        metadata: sa.MetaData,
        *,
        versions: Path | None = None,
        readers: int = 2,
        busy_timeout_s: float = 5.0,
        lock_wait_s: float = 0.0,
    ) -> None:
        """Describes the database; `open` opens it.

        Args:
            path: The file; made at the first open.
            metadata: The tables of the service.
            versions: Folder of the migration scripts: open compares, and refuses a database that is not at their
                head. Without it open makes the tables that are missing, as in tests and examples.
            readers: Threads that read.
            busy_timeout_s: How long a statement waits for a lock that somebody outside this process holds.
            lock_wait_s: How long open waits for a migration to end.
        """
        self.path = path
        """The file."""
        self._metadata = metadata
        self._versions = versions
        self._lock = FileLock(path, shared=True)
        self._lock_wait_s = lock_wait_s
        self._writing = sqlite.open_engine(path, busy_timeout_s=busy_timeout_s)
        self._reading = sqlite.open_engine(path, busy_timeout_s=busy_timeout_s, read_only=True)
        self._files = Files(path)
        self._writer = Writer(self._writing, self._files, batch_limit=BATCH_LIMIT)
        self._readers = Readers(self._reading, threads=readers)
        self._open = False

    @property
    def counts(self) -> WriterCounts:
        """What the writer has done since it started."""
        return self._writer.counts

    @property
    def log_bytes(self) -> int:
        """As of Database."""
        return self._files.log_bytes

    async def open(self) -> None:
        """Takes its share of the file's lock, and does as of Database."""
        try:
            await self._lock.acquire(self._lock_wait_s)
            self._writer.start(await asyncio.to_thread(self._prepare))
        except (OSError, sqlite3.Error, sa.exc.DBAPIError) as error:
            self._lock.release()
            raise DatabaseRefused(f"{self.path} cannot be opened: {sqlite.reason(error)}") from error
        except BaseException:
            self._lock.release()
            raise
        self._open = True

    async def close(self) -> None:
        """Does what is waiting, refuses what comes later, and gives the file back."""
        if not self._open:
            return
        self._open = False
        await asyncio.to_thread(self._stop)
        self._lock.release()

    async def write(self, work: Callable[[sa.Connection], T], *, committed: Callable[[T], object] | None = None) -> T:
        """As of Database; many callers' units share one commit."""
        admit(self._writer.waiting, is_open=self._open)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.submit(Unit(work, committed, future))
        return await future

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """As of Database."""
        admit(self._readers.waiting, is_open=self._open)
        return await self._readers.run(query)

    async def check(self) -> None:
        """As of Database; a file that was removed or replaced does not answer, nor one that cannot be written."""
        if not self._writer.alive:
            raise unavailable("the database is closed")
        self._files.require()
        self._files.watch_log()
        if self._writer.failing:
            await self.write(sqlite.touch)
        await self.read(sqlite.probe)

    def _prepare(self) -> sa.Connection:
        if self._versions is not None:
            # Not made here: beside a process that has lost its file, another one would be mistaken for it.
            revision.require_file(self._versions, self.path)
        sqlite.create_file(self.path)
        self._files.opened()
        connection = self._writing.connect()
        try:
            sqlite.require_sound(connection, self.path)
            with connection.begin():
                # Who only looks waits for nobody: a service starts while somebody else holds the file, too.
                sqlite.begin(connection, writing=self._versions is None)
                if self._versions is None:
                    self._metadata.create_all(connection)
                else:
                    revision.require(connection, self._versions, self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _stop(self) -> None:
        self._writer.close()
        self._readers.close()
        self._writing.dispose()
        self._reading.dispose()
