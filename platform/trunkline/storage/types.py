"""Column types that mean the same in every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, to the microsecond: a number in SQLite, which has no times, `timestamptz` in PostgreSQL."""

    impl = sa.BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> TypeEngine[datetime] | TypeEngine[int]:
        """What the database stores."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.BigInteger())
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | int | None:
        """From Python to the database; a naive datetime is refused, since nobody knows which instant it is."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "an instant needs a time zone"
            raise ValueError(msg)
        return (value - _EPOCH) // _MICROSECOND if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | int | None, dialect: sa.Dialect) -> datetime | None:
        """From the database to Python, in UTC."""
        if isinstance(value, int):
            return _EPOCH + value * _MICROSECOND
        return value.astimezone(UTC) if value is not None else None


def row_id() -> TypeEngine[int]:
    """An integer key the database gives out, rising: 64 bits wide everywhere."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def unindexed(column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """A text that is not looked up in an index over its column.

    SQLite's planner prefers an index over all rows that has the column to a partial one over the few that are wanted.
    """
    return column.concat(sa.literal_column("''"))
