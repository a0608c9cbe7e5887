"""One thread that writes: it takes all units that wait and commits them together (group commit).

A commit costs a flush of the disk, whatever is in it. Units are kept apart by savepoints, and nobody is answered
before the commit. Where the transaction is lost with all in it (a full disk, a failed commit), the units are run
again, each in a transaction of its own; so work must be repeatable.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

import sqlalchemy as sa

from trunkline.errors import ServiceError
from trunkline.storage import sqlite
from trunkline.storage.files import Files
from trunkline.storage.work import Unit, WriterCounts


class Writer:
    """The thread, its connection and its queue."""

    def __init__(self, engine: sa.Engine, files: Files, *, batch_limit: int) -> None:
        self.counts = WriterCounts()
        """For tests and metrics."""
        self._engine = engine
        self._files = files
        self._batch_limit = batch_limit
        self._queue: queue.SimpleQueue[Unit | None] = queue.SimpleQueue()
        self._connection: sa.Connection | None = None
        self._failing = False
        # A daemon: a program that ends without close() must end. What was not committed then was not answered either.
        self._thread = threading.Thread(target=self._serve, name="storage-writer", daemon=True)

    @property
    def failing(self) -> bool:
        """What was written last failed because of the file, whatever it was."""
        return self._failing

    def start(self, connection: sa.Connection) -> None:
        """Starts the thread, which owns the connection from now on."""
        self._connection = connection
        self._thread.start()

    def submit(self, unit: Unit) -> None:
        """Puts a unit in the queue."""
        self._queue.put(unit)

    @property
    def waiting(self) -> int:
        """Units in the queue."""
        return self._queue.qsize()

    @property
    def alive(self) -> bool:
        """The thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Does what is in the queue, then ends the thread. Blocks until that is done."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        closing = False
        while not closing:
            batch, closing = self._take()
            self._commit(batch)
        self._disconnect()

    def _take(self) -> tuple[list[Unit], bool]:
        batch: list[Unit] = []
        unit = self._queue.get()
        while unit is not None:
            batch.append(unit)
            if len(batch) == self._batch_limit:
                return batch, False
            try:
                unit = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, units: Sequence[Unit]) -> None:
        if len(units) > 1 and self._attempt(units):
            self._end(units)
            return
        for unit in units:
            if not self._attempt([unit]):
                unit.error = sqlite.lost(unit.error)
            self._end([unit])

    def _end(self, units: Sequence[Unit]) -> None:
        self._failing = any(sqlite.is_broken(unit.error) for unit in units)
        _answer(units)

    def _attempt(self, units: Sequence[Unit]) -> bool:
        """Runs units in one transaction. False if nothing of it is kept; each unit has its error then, or none."""
        if not self._are_there(units):
            # The connection stays: as long as it does, what was committed can be read from the files it holds.
            return True
        try:
            connection, transaction = self._begin()
        except Exception as error:  # noqa: BLE001  whatever it is, the callers must hear of it
            self._disconnect()
            for unit in units:
                unit.error = sqlite.translate(error)
            return True
        try:
            for unit in units:
                _run(unit, connection)
            transaction.commit()
        except Exception as error:  # noqa: BLE001  as above
            self._abandon(connection, transaction)
            self.counts.lost += len(units) > 1
            if len(units) == 1 and units[0].error is None:
                units[0].error = error
            return False
        if not self._are_there(units):
            return True
        self.counts.units += sum(not unit.dropped and unit.error is None for unit in units)
        self.counts.commits += 1
        return True

    def _are_there(self, units: Sequence[Unit]) -> bool:
        """Whether the files are those that were opened. If not, nobody is told that anything was kept."""
        try:
            self._files.require()
        except ServiceError as error:
            for unit in units:
                unit.error = error
            return False
        return True

    def _begin(self) -> tuple[sa.Connection, sa.RootTransaction]:
        connection = self._connection or self._engine.connect()
        self._connection = connection
        transaction = connection.begin()
        sqlite.begin(connection)
        self._files.begun()
        return connection, transaction

    def _abandon(self, connection: sa.Connection, transaction: sa.RootTransaction) -> None:
        try:
            transaction.rollback()
            sqlite.driver(connection).rollback()
        except Exception:  # noqa: BLE001  a connection that cannot even roll back is given up
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._files.disconnected()
        if connection is not None:
            connection.close()


def _run(unit: Unit, connection: sa.Connection) -> None:
    unit.result, unit.error, unit.dropped = None, None, unit.future.cancelled()
    if unit.dropped:
        return
    raw = sqlite.writing_driver(connection)
    raw.execute("SAVEPOINT unit")
    raw.working = True
    try:
        unit.result = unit.context.run(unit.work, connection)
    except BaseException as error:  # noqa: BLE001  it belongs to the caller, not to this thread
        unit.error = error
    finally:
        raw.working = False
    if not raw.in_transaction:
        raise sqlite.TransactionLostError("the database rolled the transaction back") from unit.error
    if unit.error is not None:
        raw.execute("ROLLBACK TO unit")
        unit.error = sqlite.translate(unit.error)
    raw.execute("RELEASE unit")


def _answer(units: Sequence[Unit]) -> None:
    loop = units[0].future.get_loop()
    try:
        loop.call_soon_threadsafe(_settle, units)
    except RuntimeError:
        # The loop is closed: nobody is left who could be told.
        return


def _settle(units: Sequence[Unit]) -> None:
    for unit in units:
        try:
            unit.settle()
        except Exception as error:  # noqa: BLE001  the next unit must be answered all the same
            loop = unit.future.get_loop()
            loop.call_exception_handler({"message": "after a commit", "exception": error})
