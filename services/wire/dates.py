"""Dates and instants on the wire."""

from __future__ import annotations

from datetime import UTC, date, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from pos.type.v1 import date_pb2

from services.kernel.business_date import date_of


def to_date(day: date) -> date_pb2.Date:
    """A day as a message."""
    return date_pb2.Date(year=day.year, month=day.month, day=day.day)


def from_date(message: date_pb2.Date) -> date:
    """A day of the calendar.

    Raises:
        InvalidInput: DATE_INVALID, such as for 30 February.
    """
    return date_of(message.year, message.month, message.day)


def to_timestamp(instant: datetime) -> Timestamp:
    """An aware instant as a message."""
    message = Timestamp()
    message.FromDatetime(instant)
    return message


def from_timestamp(message: Timestamp) -> datetime:
    """The instant of a message, in UTC."""
    return message.ToDatetime(UTC)
