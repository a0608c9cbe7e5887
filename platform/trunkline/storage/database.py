"""A service's database: one file, one writer, readers beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import grpc
import sqlalchemy as sa

from trunkline.errors import ServiceError, platform_error
from trunkline.storage import revision, sqlite
from trunkline.storage.errors import DatabaseRefused
from trunkline.storage.lock import FileLock
from trunkline.storage.readers import Readers
from trunkline.storage.writer import Unit, Writer, WriterCounts

__all__ = ["Database", "DatabaseRefused"]

T = TypeVar("T")

QUEUE_LIMIT = 1024
"""Writes, and reads, that may wait; more are refused with a push-back."""
BATCH_LIMIT = 64
"""Units committed together at most, so that the first of them does not wait long."""
PUSH_BACK_S = 0.2
"""Seconds after which a refused caller may try again."""


class Database:
    """One database file, shared with other processes of its service, and used from one event loop; opened once."""

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
        self._writer = Writer(self._writing, batch_limit=BATCH_LIMIT)
        self._readers = Readers(self._reading, threads=readers)
        self._inode = 0
        self._open = False

    @property
    def counts(self) -> WriterCounts:
        """What the writer has done since it started."""
        return self._writer.counts

    async def open(self) -> None:
        """Takes its share of the file's lock, checks that its tables are the right ones, and starts.

        Raises:
            DatabaseRefused: a migration runs, `trunkline migrate` has to run first, or the file cannot be used at all.
        """
        try:
            await self._lock.acquire(self._lock_wait_s)
            self._writer.start(await asyncio.to_thread(self._prepare))
        except (OSError, sa.exc.DBAPIError) as error:
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
        """Runs work in a transaction and answers after its commit; many callers' units share one commit.

        Work runs in the writer's thread, in the caller's context. It must be repeatable: where a whole transaction
        is lost, it is run again. A caller that is cancelled while work has not started leaves no effect.

        Args:
            work: What to do. An exception it raises undoes its own unit only.
            committed: Told the result on the event loop, after the commit, even if the caller was cancelled.

        Raises:
            ServiceError: STORAGE_UNAVAILABLE of domain trunk; nothing was kept.
        """
        self._admit(self._writer.waiting)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.submit(Unit(work, committed, future))
        return await future

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """Runs query on one snapshot of what is committed; rows are fetched inside it, writes are refused.

        Raises:
            ServiceError: STORAGE_UNAVAILABLE of domain trunk.
        """
        self._admit(self._readers.waiting)
        return await self._readers.run(query)

    async def check(self) -> None:
        """Says nothing if the database answers.

        Raises:
            ServiceError: STORAGE_UNAVAILABLE of domain trunk.
        """
        if not self._writer.alive:
            raise unavailable("the database is closed")
        try:
            there = self.path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            raise unavailable("the database file was removed or replaced")
        await self.read(sqlite.probe)

    def _prepare(self) -> sa.Connection:
        sqlite.create_file(self.path)
        self._inode = self.path.stat().st_ino
        connection = self._writing.connect()
        try:
            sqlite.require_sound(connection, self.path)
            with connection.begin():
                sqlite.begin(connection)
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

    def _admit(self, waiting: int) -> None:
        if not self._open:
            raise unavailable("the database is closed")
        if waiting >= QUEUE_LIMIT:
            raise too_much()


def unavailable(message: str) -> ServiceError:
    """What callers are told while the database cannot work."""
    return platform_error(grpc.StatusCode.UNAVAILABLE, "STORAGE_UNAVAILABLE", message)


def too_much() -> ServiceError:
    """What callers are told where too many wait already."""
    return platform_error(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "STORAGE_UNAVAILABLE",
        "too much waits for the database",
        retry_after_s=PUSH_BACK_S,
    )
