"""Reads: beside the writer, each on one snapshot, never holding a lock that a write waits for."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa

from trunkline.storage import sqlite

T = TypeVar("T")


class Readers:
    """A few threads, each with a connection of its own that stays open."""

    def __init__(self, engine: sa.Engine, *, threads: int) -> None:
        self.waiting = 0
        """Reads that were asked for and are not done."""
        self._engine = engine
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="storage-reader")
        self._own = threading.local()
        self._connections: set[sa.Connection] = set()

    async def run(self, query: Callable[[sa.Connection], T]) -> T:
        """Runs query in one of the threads, in the caller's context."""
        context = contextvars.copy_context()
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, self._query, query)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Finishes what was asked for, then ends the threads. Blocks until that is done."""
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()

    def _query(self, query: Callable[[sa.Connection], T]) -> T:
        try:
            connection = self._connection()
            with sqlite.ending(connection), connection.begin():
                sqlite.begin(connection, writing=False)
                return query(connection)
        except Exception as error:
            refusal = sqlite.translate(error)
            if refusal is error or sqlite.is_write_in_query(error):
                raise
            self._disconnect()
            raise refusal from error

    def _connection(self) -> sa.Connection:
        connection: sa.Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._engine.connect()
            self._connections.add(connection)
        return connection

    def _disconnect(self) -> None:
        connection: sa.Connection | None = getattr(self._own, "connection", None)
        if connection is not None:
            self._own.connection = None
            self._connections.discard(connection)
            connection.close()
