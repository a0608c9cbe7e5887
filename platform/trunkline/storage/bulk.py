"""Many rows of one table at once, at a fraction of what they cost one by one.

Statements are made once for each kind of database, whatever the number of rows, and given to its driver as they are:
making the values of each ready costs more than what the database does with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

_INSERT: dict[str, Callable[[sa.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""With a clause for rows that are there already."""


class Bulk:
    """Inserts into some columns of a table."""

    def __init__(self, table: sa.Table, names: Sequence[str], *, replaces: Sequence[str] = ()) -> None:
        """Describes what is inserted.

        Args:
            table: Where to.
            names: Of its columns.
            replaces: Of those whose values are replaced where the row's primary key is there already. Without any,
                such a row fails the work.
        """
        self._table = table
        self._names = tuple(names)
        self._replaces = tuple(replaces)
        self._made: dict[str, _Statement] = {}

    def insert(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Inserts rows in their order; each has a value for every column."""
        self.insert_columns(connection, [[row[name] for row in rows] for name in self._names])

    def insert_columns(self, connection: sa.Connection, columns: Sequence[Sequence[Any]]) -> None:
        """Inserts rows that are given column by column, in the order of the names: all of one length."""
        dialect = connection.dialect
        statement = self._made.get(dialect.name)
        if statement is None:
            statement = self._made[dialect.name] = _Statement(self._table, self._names, self._replaces, dialect)
        statement.run(connection, columns)


class _Statement:
    def __init__(self, table: sa.Table, names: tuple[str, ...], replaces: tuple[str, ...], dialect: sa.Dialect) -> None:
        insert = _INSERT[dialect.name](table).values(
            {name: sa.bindparam(name, type_=table.c[name].type) for name in names}
        )
        if replaces:
            insert = insert.on_conflict_do_update(
                index_elements=list(table.primary_key.columns), set_={name: insert.excluded[name] for name in replaces}
            )
        compiled = insert.compile(dialect=dialect)
        self._text = str(compiled)
        # Either the driver takes values by their place, in the order of the statement, or by name.
        positions = getattr(compiled, "positiontup", None)
        self._named = not positions
        self._names = tuple(positions or names)
        self._order = [names.index(name) for name in self._names]
        self._processors = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in self._names]

    def run(self, connection: sa.Connection, columns: Sequence[Sequence[Any]]) -> None:
        ordered = [
            columns[at] if process is None else _processed(columns[at], process)
            for at, process in zip(self._order, self._processors, strict=True)
        ]
        rows = list(zip(*ordered, strict=True))
        if self._named:
            connection.exec_driver_sql(self._text, [dict(zip(self._names, row, strict=True)) for row in rows])
        else:
            connection.exec_driver_sql(self._text, rows)


def _processed(values: Sequence[Any], process: Callable[[Any], Any]) -> list[Any]:
    # Many rows have one object for a value, the time of their transaction: it is converted once.
    known: dict[int, Any] = {}
    return [known[id(one)] if id(one) in known else known.setdefault(id(one), process(one)) for one in values]


class Lookup:
    """Finds the rows of a table whose column has one of many values."""

    def __init__(self, query: sa.Select[Any], column: sa.ColumnElement[str]) -> None:
        """Describes what is found.

        Args:
            query: What is read, and which rows it is read of beside; it may have parameters of its own.
            column: The column; a text.
        """
        self._query = query
        self._column = column
        self._made: dict[str, tuple[str, tuple[str, ...] | None]] = {}

    def rows(self, connection: sa.Connection, values: Iterable[str], **parameters: Any) -> Sequence[Any]:
        """The rows, as the driver gives them."""
        dialect = connection.dialect
        if dialect.name not in self._made:
            compiled = self._query.where(_one_of(self._column, dialect)).compile(dialect=dialect)
            self._made[dialect.name] = str(compiled), tuple(getattr(compiled, "positiontup", None) or ()) or None
        text, positions = self._made[dialect.name]
        given = {**parameters, "_values": list(values)}
        if positions is None:
            return connection.exec_driver_sql(text, given).all()
        given["_values"] = json.dumps(given["_values"])
        return connection.exec_driver_sql(text, tuple(given[name] for name in positions)).all()


def _one_of(column: sa.ColumnElement[str], dialect: sa.Dialect) -> sa.ColumnElement[bool]:
    if dialect.name == "sqlite":
        each = sa.func.json_each(sa.bindparam("_values", type_=sa.Text)).table_valued("value")
        return column.in_(sa.select(each.c.value))
    return column == sa.any_(sa.bindparam("_values", type_=sa.ARRAY(sa.Text)))


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
