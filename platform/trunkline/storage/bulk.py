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


class Prepared:
    """A statement that is run for many rows of parameters."""

    def __init__(self, names: Sequence[str], make: Callable[[sa.Dialect], sa.ClauseElement]) -> None:
        """Describes the statement.

        Args:
            names: Of its parameters.
            make: The statement, for a kind of database.
        """
        self._names = tuple(names)
        self._make = make
        self._made: dict[str, _Statement] = {}

    def run(self, connection: sa.Connection, columns: Sequence[Sequence[Any]]) -> None:
        """Runs it; parameters are given column by column, in the order of their names: all of one length."""
        dialect = connection.dialect
        statement = self._made.get(dialect.name)
        if statement is None:
            statement = self._made[dialect.name] = _Statement(self._make(dialect), self._names, dialect)
        statement.run(connection, columns)


class Bulk(Prepared):
    """Inserts into some columns of a table."""

    def __init__(self, table: sa.Table, names: Sequence[str], *, replaces: Sequence[str] = ()) -> None:
        """Describes what is inserted.

        Args:
            table: Where to.
            names: Of its columns.
            replaces: Of those whose values are replaced where the row's primary key is there already. Without any,
                such a row fails the work.
        """

        def make(dialect: sa.Dialect) -> sa.ClauseElement:
            parameters = {name: sa.bindparam(name, type_=table.c[name].type) for name in names}
            insert = _INSERT[dialect.name](table).values(parameters)
            if replaces:
                replaced = {name: insert.excluded[name] for name in replaces}
                insert = insert.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=replaced)
            return insert  # type: ignore[no-any-return]

        super().__init__(names, make)

    def insert(self, connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Inserts rows in their order; each has a value for every column."""
        self.run(connection, [[row[name] for row in rows] for name in self._names])


class _Statement:
    def __init__(self, statement: sa.ClauseElement, names: tuple[str, ...], dialect: sa.Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self._text = str(compiled)
        # Either the driver takes values by their place, in the order of the statement, or by name.
        self._named = not getattr(compiled, "positiontup", None)
        self._names = names if self._named else tuple(compiled.positiontup)
        self._order = [names.index(name) for name in self._names]
        types = [compiled.binds[name].type for name in self._names]
        self._processors = [type_.dialect_impl(dialect).bind_processor(dialect) for type_ in types]

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
    """Finds the rows of a table whose column has one of many values, or none of them."""

    def __init__(self, query: sa.Select[Any], column: sa.ColumnElement[Any], *, without: bool = False) -> None:
        """Describes what is found.

        Args:
            query: What is read, and which rows it is read of beside; it may have parameters of its own.
            column: The column: of texts or of whole numbers.
            without: Those rows are found that have none of the values.
        """
        self._query = query
        self._column = column
        self._without = without
        self._made: dict[str, Any] = {}

    def rows(self, connection: sa.Connection, values: Iterable[Any], **parameters: Any) -> Any:
        """The rows, as the driver gives them, one after the other."""
        dialect = connection.dialect
        made = self._made.get(dialect.name)
        if made is None:
            made = self._made[dialect.name] = self._query.where(self._condition(dialect)).compile(dialect=dialect)
        given = {**made.params, **parameters, "_values": list(values)}
        positions = getattr(made, "positiontup", None)
        if not positions:
            return connection.exec_driver_sql(made.string, given)
        given["_values"] = json.dumps(given["_values"])
        return connection.exec_driver_sql(made.string, tuple(given[name] for name in positions))

    def _condition(self, dialect: sa.Dialect) -> sa.ColumnElement[bool]:
        column = self._column
        if dialect.name == "sqlite":
            each = sa.func.json_each(sa.bindparam("_values", type_=sa.Text)).table_valued("value")
            values = sa.select(each.c.value)
            return column.not_in(values) if self._without else column.in_(values)
        array = sa.bindparam("_values", type_=sa.ARRAY(column.type))
        return column != sa.all_(array) if self._without else column == sa.any_(array)


class PendingRows:
    """Rows that are inserted when their transaction commits, or before anything else is done in it."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._rows: dict[tuple[sa.Table, tuple[str, ...]], list[Mapping[str, Any]]] = {}
        self._failure: BaseException | None = None

    def add(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        """Adds a row, later."""
        self._rows.setdefault((table, tuple(row)), []).append(row)

    def flush(self) -> None:
        """Inserts what was added.

        What fails once fails every time from then on, and with it the transaction: its rows may be of others than who
        has it fail, and could go on without them.
        """
        if self._failure is not None:
            raise self._failure
        if self._rows:
            rows, self._rows = self._rows, {}
            try:
                for (table, names), some in rows.items():
                    _bulk(table, names).insert(self._connection, some)
            except BaseException as error:
                self._failure = error
                raise


@cache
def _bulk(table: sa.Table, names: tuple[str, ...]) -> Bulk:
    # As many as the program has kinds of rows.
    return Bulk(table, names)
