"""Many rows of one table at once, at a fraction of what they cost one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa


class Bulk:
    """Inserts into some columns of a table. The statement is made once for each kind of database."""

    def __init__(self, table: sa.Table, names: Sequence[str]) -> None:
        self._table = table
        self._names = tuple(names)
        self._made: dict[str, _Statement] = {}

    def insert(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Inserts rows in their order; each has a value for every column."""
        dialect = connection.dialect
        statement = self._made.get(dialect.name)
        if statement is None:
            statement = self._made[dialect.name] = _Statement(self._table, self._names, dialect)
        statement.run(connection, rows)


class _Statement:
    def __init__(self, table: sa.Table, names: tuple[str, ...], dialect: sa.Dialect) -> None:
        values = {name: sa.bindparam(name, type_=table.c[name].type) for name in names}
        compiled = sa.insert(table).values(values).compile(dialect=dialect)
        self._text = str(compiled)
        # Either the driver takes values by their place, in the order of the statement, or by name.
        self._positions = tuple(getattr(compiled, "positiontup", None) or ())
        self._get = itemgetter(*self._positions) if len(self._positions) > 1 else None
        found = {name: table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names}
        self._processors = {name: process for name, process in found.items() if process is not None}

    def run(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if self._processors:
            rows = [{**row, **{name: process(row[name]) for name, process in self._processors.items()}} for row in rows]
        if self._get is not None:
            connection.exec_driver_sql(self._text, [self._get(row) for row in rows])
        elif self._positions:
            connection.exec_driver_sql(self._text, [(row[self._positions[0]],) for row in rows])
        else:
            connection.exec_driver_sql(self._text, [dict(row) for row in rows])


class PendingRows:
    """Rows that are inserted when their transaction commits, or before anything else is done in it."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._rows: dict[tuple[sa.Table, tuple[str, ...]], list[Mapping[str, Any]]] = {}

    def add(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        """Adds a row, later."""
        self._rows.setdefault((table, tuple(row)), []).append(row)

    def flush(self) -> None:
        """Inserts what was added."""
        if self._rows:
            rows, self._rows = self._rows, {}
            for (table, names), some in rows.items():
                _bulk(table, names).insert(self._connection, some)


@cache
def _bulk(table: sa.Table, names: tuple[str, ...]) -> Bulk:
    # As many as the program has kinds of rows.
    return Bulk(table, names)
