"""Compares tables of two databases, row by row and in pages: what is equal, what differs, and what only one has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

PAGE = 500
"""Rows compared at once."""
SHOWN = 10
"""Rows of a table that are told one by one."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not the same on both sides."""

    row: Values
    """Its primary key."""
    live: Values | None
    """Columns that differ, as they are; None where there is no such row."""
    rebuilt: Values | None
    """Columns that differ, as they should be; None where there should be no such row."""


@dataclass(slots=True)
class TableComparison:
    """What came of comparing one table."""

    table: str
    """Its name."""
    live: int = 0
    """Rows there are."""
    rebuilt: int = 0
    """Rows there should be."""
    equal: int = 0
    """Rows that are the same on both sides."""
    different: int = 0
    """Rows that both have, and that differ."""
    missing: int = 0
    """Rows that the live table lacks."""
    extra: int = 0
    """Rows that only the live table has."""
    differences: list[Difference] = field(default_factory=list)
    """The first rows of those that are not equal."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.different and not self.missing and not self.extra


def compare(live: sa.Connection, rebuilt: sa.Connection, table: sa.Table) -> TableComparison:
    """Compares a table that both have. Each connection stands in a transaction that sees one state."""
    found = TableComparison(table.name, live=_count(live, table), rebuilt=_count(rebuilt, table))
    for key, wanted, there in _beside(rebuilt, live, table):
        if there is None:
            found.missing += 1
            _show(found, Difference(key, None, wanted))
        elif wanted == there:
            found.equal += 1
        else:
            found.different += 1
            columns = [name for name in wanted if wanted[name] != there[name]]
            _show(found, Difference(key, _only(there, columns), _only(wanted, columns)))
    if found.equal + found.different < found.live:
        for key, values, wanted_too in _beside(live, rebuilt, table):
            if wanted_too is None:
                found.extra += 1
                _show(found, Difference(key, values, None))
    return found


def _beside(
    left: sa.Connection, right: sa.Connection, table: sa.Table
) -> Iterator[tuple[Values, Values, Values | None]]:
    """All rows of one side, each with the other's of the same key: the key, and the other columns of both."""
    keys = list(table.primary_key)
    query = sa.select(table).order_by(*keys).execution_options(yield_per=PAGE)
    for page in left.execute(query).mappings().partitions():
        others = _found(right, table, page)
        for row in page:
            yield (
                {column.name: row[column.name] for column in keys},
                _rest(row, keys),
                others.get(_key(row, keys)),
            )


def _found(side: sa.Connection, table: sa.Table, page: Sequence[sa.RowMapping]) -> dict[tuple[Any, ...], Values]:
    """The other columns of the rows of one side that have keys of a page, by key."""
    keys = list(table.primary_key)
    wanted = {_key(row, keys) for row in page}
    # A range of the key is found by its index; a list of keys would be looked for in the whole table.
    query = sa.select(table).where(_at_least(keys, page[0]), _at_most(keys, page[-1]))
    rows = side.execute(query.execution_options(yield_per=PAGE)).mappings()
    return {key: _rest(row, keys) for row in rows if (key := _key(row, keys)) in wanted}


def _at_least(keys: Sequence[sa.Column[Any]], row: sa.RowMapping) -> sa.ColumnElement[bool]:
    return sa.tuple_(*keys) >= _literal(keys, row)


def _at_most(keys: Sequence[sa.Column[Any]], row: sa.RowMapping) -> sa.ColumnElement[bool]:
    return sa.tuple_(*keys) <= _literal(keys, row)


def _literal(keys: Sequence[sa.Column[Any]], row: sa.RowMapping) -> sa.Tuple:
    # A tuple does not give its values the types of the columns they are compared with.
    return sa.tuple_(*(sa.literal(row[column.name], column.type) for column in keys))


def _key(row: sa.RowMapping, keys: Sequence[sa.Column[Any]]) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in keys)


def _rest(row: sa.RowMapping, keys: Sequence[sa.Column[Any]]) -> Values:
    names = {column.name for column in keys}
    return {str(name): value for name, value in row.items() if name not in names}


def _only(values: Values, names: Sequence[str]) -> Values:
    return {name: values[name] for name in names}


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def _show(found: TableComparison, difference: Difference) -> None:
    if len(found.differences) < SHOWN:
        found.differences.append(difference)
