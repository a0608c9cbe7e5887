"""A service's database on PostgreSQL: the same promises as on SQLite, for many processes on many machines.

Every unit is a SERIALIZABLE transaction of its own, in one of a few threads: it decides by what it finds, as with
SQLite's single writer. Where PostgreSQL cannot let two of them pass it ends one, and that is run again.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from psycopg.pq import TransactionStatus

from trunkline.call import current_call
from trunkline.redaction import redacted
from trunkline.storage import revision
from trunkline.storage.attempts import Attempts
from trunkline.storage.database import Database, admit, unavailable
from trunkline.storage.errors import DatabaseRefused
from trunkline.storage.postgres_engine import STATEMENT_S, Patience, open_engine, setting_up
from trunkline.storage.postgres_errors import cause_of_repeat, reason, translate
from trunkline.storage.work import Unit, WriterCounts

T = TypeVar("T")
WRITERS, READERS = 8, 4
"""Threads, and so connections, of a process."""
TURN_S = 1.0
"""Seconds that a unit which was lost to another waits at most for those that are tried again before it."""
CLOSE_S = 5.0
"""Seconds that what is under way may take when the database is closed."""


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
        statement_s: float = STATEMENT_S,
        patience: Patience | None = None,
    ) -> None:
        """Describes the database; `open` opens it.

        Args:
            url: `postgresql://user:password@host:port/name`.
            metadata: The tables of the service.
            versions: As of Database.
            writers: Units at once.
            readers: Reads at once.
            statement_s: Seconds that a statement may take.
            patience: How long a server that says nothing is waited for.
        """
        self._name = redacted(url)
        self._metadata = metadata
        self._versions = versions
        self._patience = patience or Patience()
        self._engine = open_engine(url, connections=writers + readers, statement_s=statement_s, patience=self._patience)
        self._writers = ThreadPoolExecutor(writers, thread_name_prefix="storage-writer")
        self._readers_pool = ThreadPoolExecutor(readers, thread_name_prefix="storage-reader")
        self._turn = threading.Lock()
        self._counts, self._counting = WriterCounts(), threading.Lock()
        self._waiting = self._reading_now = 0
        self._open = False

    @property
    def counts(self) -> WriterCounts:
        """What was written since it started; `lost` and `repeats` count attempts that others kept from passing."""
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
        self._writers.submit(self._serve, Unit(work, committed, future))
        return await future

    async def read(self, query: Callable[[sa.Connection], T]) -> T:
        """As of Database."""
        admit(self._reading_now, is_open=self._open)
        context = contextvars.copy_context()
        self._reading_now += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._readers_pool, context.run, self._query, query)
        finally:
            self._reading_now -= 1

    async def check(self) -> None:
        """As of Database."""
        await self.read(_probe)

    def _set_up(self) -> None:
        if self._versions is None:
            with setting_up(self._engine) as connection:
                self._metadata.create_all(connection)
            return
        try:
            with self._engine.begin() as connection:
                revision.require(connection, self._versions, self._name)
        except DatabaseRefused:
            # A migration may be running: whoever can do without it has not waited for it.
            with setting_up(self._engine) as connection:
                revision.require(connection, self._versions, self._name)

    def _stop(self) -> None:
        # A server that stands still must not keep a process from ending.
        losing = threading.Timer(CLOSE_S, self._lose_patience)
        losing.start()
        self._writers.shutdown()
        self._readers_pool.shutdown()
        losing.cancel()
        self._engine.dispose()

    def _lose_patience(self) -> None:
        self._patience.is_lost = True

    def _query(self, query: Callable[[sa.Connection], T]) -> T:
        attempts = Attempts(current_call())
        while True:
            try:
                return self._read_once(query)
            except Exception as error:
                if not self._repeats(error, attempts):
                    raise translate(error) from error

    def _read_once(self, query: Callable[[sa.Connection], T]) -> T:
        with self._connected() as connection:
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                return query(connection)

    def _serve(self, unit: Unit) -> None:
        attempts = Attempts(unit.context.run(current_call))
        if not self._is_done(unit, attempts):
            self._serve_alone(unit, attempts)
        try:
            unit.future.get_loop().call_soon_threadsafe(self._settle, unit)
        except RuntimeError:
            return  # the loop is closed: nobody is left who could be told

    def _serve_alone(self, unit: Unit, attempts: Attempts) -> None:
        """Tries a unit again, one of those that were lost at a time: together they would go on losing to each other."""
        has_turn = self._turn.acquire(timeout=TURN_S)
        try:
            while not self._is_done(unit, attempts):
                pass
        finally:
            if has_turn:
                self._turn.release()

    def _is_done(self, unit: Unit, attempts: Attempts) -> bool:
        """Whether a unit is over: it was tried and passed, or is not to be tried again."""
        unit.result, unit.error, unit.dropped = None, None, unit.future.cancelled()
        if unit.dropped:
            return True
        try:
            with self._connected() as connection, connection.begin():
                unit.result = unit.context.run(unit.work, connection)
                _require_commitable(connection)
        except BaseException as error:  # noqa: BLE001  it belongs to the caller, not to this thread
            unit.error = translate(error)
            return not self._repeats(error, attempts)
        with self._counting:
            self._counts.units += 1
            self._counts.commits += 1
        return True

    def _settle(self, unit: Unit) -> None:
        self._waiting -= 1
        unit.settle()

    def _connected(self) -> sa.Connection:
        if self._patience.is_lost:
            raise unavailable("the database is closed")
        return self._engine.connect()

    def _repeats(self, error: BaseException, attempts: Attempts) -> bool:
        """Whether something is tried again after a failure; waits for that."""
        cause = cause_of_repeat(error)
        wait_s = attempts.next_wait_s() if cause else None
        if wait_s is None:
            return False
        with self._counting:
            self._counts.lost += 1
            self._counts.repeats[cause] += 1
        time.sleep(wait_s)
        return True


def _require_commitable(connection: sa.Connection) -> None:
    """Fails where work went on after a failure: the server takes such a commit for a rollback, and calls it a success.

    On SQLite the failed statement alone is undone. Who wants that here, too, takes a savepoint.
    """
    driver: Any = connection.connection.driver_connection
    if driver.info.transaction_status == TransactionStatus.INERROR:
        _probe(connection)


def _probe(connection: sa.Connection) -> None:
    connection.exec_driver_sql("SELECT 1").all()
