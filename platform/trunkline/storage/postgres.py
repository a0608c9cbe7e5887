"""A service's database on PostgreSQL: the same promises as on SQLite, for many processes on many machines.

Every unit is a SERIALIZABLE transaction of its own, in one of a few threads: it decides by what it finds, as with
SQLite's single writer. Where PostgreSQL cannot let two of them pass it ends one, and that is run again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from trunkline.redaction import redacted
from trunkline.storage import revision
from trunkline.storage.database import Database, admit
from trunkline.storage.errors import DatabaseRefused
from trunkline.storage.postgres_errors import is_repeatable, reason, translate
from trunkline.storage.work import Unit, WriterCounts

T = TypeVar("T")
WRITERS, READERS = 8, 4
"""Threads, and so connections, of a process."""
CONNECT_S, STATEMENT_S, LOCK_S = 3, 10, 5
"""Seconds that a connection may take, a statement, and the wait for a lock."""
IDLE_S = 30
"""Seconds after which the server ends a transaction in which nothing is done: its process hangs."""
ATTEMPTS = 12
"""Times a unit is run at most, where others keep it from passing."""
WAIT_S = 0.005
"""Longest wait before the second attempt, in seconds; it doubles with every attempt, up to 64 times."""
SETUP_LOCK = 0x7472756E
"""Advisory lock of whoever makes or migrates tables."""


class PostgresDatabase(Database):
    """One database on a server, shared with processes on any machine."""

    def __init__(
        self,
        url: str,
        metadata: sa.MetaData,
        *,
        versions: Path | None = None,
        writers: int = WRITERS,
        readers: int = READERS,
    ) -> None:
        """Describes the database; `open` opens it.

        Args:
            url: `postgresql://user:password@host:port/name`.
            metadata: The tables of the service.
            versions: As of Database.
            writers: Units at once.
            readers: Reads at once.
        """
        self._name = redacted(url)
        self._metadata = metadata
        self._versions = versions
        self._engine = open_engine(url, connections=writers + readers)
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="storage-writer")
        self._readers_pool = ThreadPoolExecutor(readers, thread_name_prefix="storage-reader")
        self._counts = WriterCounts()
        self._waiting = self._reading_now = 0
        self._open = False

    @property
    def counts(self) -> WriterCounts:
        """What was written since it started; `lost` counts attempts that others kept from passing."""
        return self._counts

    async def open(self) -> None:
        """Checks that the tables are the right ones, and starts.

        Raises:
            DatabaseRefused: `trunkline migrate` has to run first, or the server cannot be reached.
        """
        try:
            await asyncio.to_thread(self._set_up)
        except sa.exc.DBAPIError as error:
            raise DatabaseRefused(f"{self._name} cannot be opened: {reason(error)}") from error
        self._open = True

    async def close(self) -> None:
        """Does what is waiting, refuses what comes later, and closes the connections."""
        self._open = False
        await asyncio.to_thread(self._stop)

    async def write(self, work: Callable[[sa.Connection], T], *, committed: Callable[[T], object] | None = None) -> T:
        """As of Database; units of different callers commit apart from each other."""
        admit(self._waiting, is_open=self._open)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting += 1
        future.add_done_callback(self._done)
        self._writers.submit(self._serve, Unit(work, committed, future))
        return await future

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """As of Database."""
        admit(self._reading_now, is_open=self._open)
        self._reading_now += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers_pool, self._query, query)
        finally:
            self._reading_now -= 1

    async def check(self) -> None:
        """As of Database."""
        await self.read(_probe)

    def _done(self, _: object) -> None:
        self._waiting -= 1

    def _set_up(self) -> None:
        with setting_up(self._engine) as connection:
            if self._versions is None:
                self._metadata.create_all(connection)
            else:
                revision.require(connection, self._versions, self._name)

    def _stop(self) -> None:
        self._writers.shutdown()
        self._readers_pool.shutdown()
        self._engine.dispose()

    def _query(self, query: Callable[[sa.Connection], T]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                with self._engine.connect() as connection:
                    connection = connection.execution_options(
                        isolation_level="REPEATABLE READ", postgresql_readonly=True
                    )
                    with connection.begin():
                        return query(connection)
            except Exception as error:
                if not is_repeatable(error) or attempt + 1 == ATTEMPTS:
                    raise translate(error) from error
                _wait(attempt)
        raise AssertionError("the last attempt answers or raises")

    def _serve(self, unit: Unit) -> None:
        for attempt in range(ATTEMPTS):
            unit.result, unit.error, unit.dropped = None, None, unit.future.cancelled()
            if unit.dropped:
                break
            try:
                with self._engine.begin() as connection:
                    unit.result = unit.context.run(unit.work, connection)
            except BaseException as error:  # noqa: BLE001  it belongs to the caller, not to this thread
                unit.error = translate(error)
                if not is_repeatable(error):
                    break
                self._counts.lost += 1
                _wait(attempt)
            else:
                self._counts.units += 1
                self._counts.commits += 1
                break
        try:
            unit.future.get_loop().call_soon_threadsafe(unit.settle)
        except RuntimeError:
            return  # the loop is closed: nobody is left who could be told


def open_engine(url: str, *, connections: int = 1) -> sa.Engine:
    """An engine whose transactions are SERIALIZABLE, and whose waits are bounded."""
    options = (
        f"-c statement_timeout={STATEMENT_S}s -c lock_timeout={LOCK_S}s -c idle_in_transaction_session_timeout=30s"
    )
    return sa.create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1),
        isolation_level="SERIALIZABLE",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=LOCK_S,
        pool_use_lifo=True,
        # Parameters are data: they stay out of the text of errors, and so out of logs.
        hide_parameters=True,
        connect_args={
            "connect_timeout": CONNECT_S,
            "options": options,
            # A server that is gone without a word is found by the kernel, not by a minute's wait.
            "tcp_user_timeout": STATEMENT_S * 1000,
            "keepalives_idle": STATEMENT_S,
        },
    )


@contextmanager
def setting_up(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction of whoever makes or migrates tables, one at a time; it sees what the one before has done."""
    with engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(SETUP_LOCK)))
        yield connection


def _probe(connection: sa.Connection) -> None:
    connection.exec_driver_sql("SELECT 1").all()


def _wait(attempt: int) -> None:
    time.sleep(random.uniform(0, WAIT_S * 2 ** min(attempt, 6)))
