"""Instants on the wire."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf import timestamp_pb2
from google.protobuf.message import Message

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""What instants beyond them are taken for."""


def given(message: Message, field: str) -> datetime | None:
    """The instant in a field of a message; None where it is absent."""
    if not message.HasField(field):
        return None
    time: timestamp_pb2.Timestamp = getattr(message, field)
    try:
        return time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return FIRST if time.seconds < 0 else LAST


def stamp(time: datetime | None) -> timestamp_pb2.Timestamp | None:
    """An instant for the wire; None stays absent."""
    if time is None:
        return None
    found = timestamp_pb2.Timestamp()
    found.FromDatetime(time)
    return found
