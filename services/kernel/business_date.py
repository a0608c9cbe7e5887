"""The business date: the trading day of a store, a date and not an instant."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.kernel.failure import InvalidInput


def date_of(year: int, month: int, day: int) -> date:
    """The day of the calendar with these parts."""
    try:
        return date(year, month, day)
    except (ValueError, OverflowError):
        written = f"{year:04}-{month:02}-{day:02}"
        raise InvalidInput("DATE_INVALID", "the calendar has no such day", date=written) from None


def time_zone_of(name: str) -> ZoneInfo:
    """The IANA time zone of this name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput("TIME_ZONE_UNKNOWN", "the time zone is not known", time_zone=name) from None


def today_in(time_zone: str, now: datetime) -> date:
    """The date in the time zone at the instant now, which carries a zone of its own."""
    if now.tzinfo is None:
        raise ValueError("now must carry a time zone")
    return now.astimezone(time_zone_of(time_zone)).date()
