"""Rows that are committed after others that were numbered later: what a list page by page would pass over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import sqlalchemy as sa

from trunkline.storage import Database
from trunkline.storage.database import unavailable

LATE_S = 3.0
"""Seconds that a list waits for transactions that are under way when it begins."""
WAIT_S, LONGEST_WAIT_S = 0.005, 0.1
"""First and longest wait between two looks at them."""
# A transaction locks the table before its rows are numbered, and until what it committed is seen.
_WRITING = sa.text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted"
    " AND relation = CAST(:name AS regclass)"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class LateCommits:
    """Those of one table, whose rows are numbered by their `id`."""

    def __init__(
        self, database: Database, table: sa.Table, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        """Describes them.

        Args:
            database: Where the table is.
            table: The table.
            sleep: Waits between two looks at others' transactions.
        """
        self._database = database
        self._table = table
        self._sleep = sleep

    async def settled(self) -> int:
        """The last row there is, once nobody can put another one before it: a later page would not see it.

        Raises:
            ServiceError: STORAGE_UNAVAILABLE of domain trunk: a transaction does not end.
        """
        horizon, writing = await self._database.read(self._horizon)
        waited_s, wait_s = 0.0, WAIT_S
        while writing:
            if waited_s >= LATE_S:
                raise unavailable("a transaction that writes does not end: what it commits would be passed over")
            await self._sleep(wait_s)
            waited_s, wait_s = waited_s + wait_s, min(2 * wait_s, LONGEST_WAIT_S)
            # Those that have begun since put their rows behind it.
            writing &= await self._database.read(self._writing)
        return horizon

    def _horizon(self, connection: sa.Connection) -> tuple[int, frozenset[str]]:
        """The last row that is seen, and the transactions that may yet put rows before it, or did so unseen.

        Rows are numbered when they are written, and are seen when that is committed: one that is committed late stands
        before others that are seen already. SQLite has one writer at a time, and so none of it.
        """
        last = connection.scalar(sa.select(sa.func.max(self._table.c.id))) or 0
        return last, self._writing(connection)

    def _writing(self, connection: sa.Connection) -> frozenset[str]:
        """Transactions that have written rows and have not ended, each by a name of its own."""
        if connection.dialect.name != "postgresql":
            return frozenset()
        return frozenset(connection.scalars(_WRITING, {"name": self._table.fullname}))
