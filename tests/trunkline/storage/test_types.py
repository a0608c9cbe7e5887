"""Instants: kept to the microsecond, and never without a zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from trunkline.storage import Instant

TABLE = sa.Table("moment", sa.MetaData(), sa.Column("at", Instant))


def through_database(value: datetime | None) -> datetime | None:
    """Writes a value and reads it again."""
    engine = sa.create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            TABLE.create(connection)
            connection.execute(sa.insert(TABLE).values(at=value))
            read: datetime | None = connection.scalar(sa.select(TABLE.c.at))
            return read
    finally:
        engine.dispose()


@given(st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_instant_comes_back_as_it_was(value: datetime):
    """Every microsecond survives, in UTC."""
    assert through_database(value) == value


def test_instant_of_another_zone_is_the_same_instant():
    """Zones are only a way to write an instant: it comes back in UTC."""
    value = datetime(2026, 1, 5, 18, tzinfo=timezone(timedelta(hours=9)))
    read = through_database(value)
    assert read == value
    assert read is not None
    assert read.utcoffset() == timedelta(0)


def test_null_stays_null():
    """No instant is no instant."""
    assert through_database(None) is None


def test_naive_time_is_refused():
    """A datetime without zone names no instant."""
    with pytest.raises(sa.exc.StatementError, match="time zone"):
        through_database(datetime(2026, 1, 5))  # noqa: DTZ001
