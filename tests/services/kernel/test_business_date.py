"""Business dates."""

from datetime import UTC, date, datetime

import pytest

from services.kernel.business_date import date_of, time_zone_of, today_in
from services.kernel.failure import InvalidInput


@pytest.mark.parametrize(
    ("time_zone", "today"),
    [("Asia/Tokyo", date(2026, 3, 2)), ("America/New_York", date(2026, 3, 1)), ("UTC", date(2026, 3, 1))],
)
def test_today_is_the_stores(time_zone, today):
    """One instant lies on different dates in different stores."""
    assert today_in(time_zone, datetime(2026, 3, 1, 15, 0, tzinfo=UTC)) == today


def test_an_instant_without_zone_has_no_date():
    """A clock that does not say its zone is a defect."""
    with pytest.raises(ValueError, match="zone"):
        today_in("UTC", datetime(2026, 3, 1))  # noqa: DTZ001


@pytest.mark.parametrize("parts", [(2026, 2, 30), (2025, 2, 29), (0, 1, 1), (2026, 13, 1), (10_000, 1, 1)])
def test_days_the_calendar_lacks_are_refused(parts):
    """A date is one of the calendar."""
    with pytest.raises(InvalidInput) as refusal:
        date_of(*parts)
    assert refusal.value.reason == "DATE_INVALID"


def test_a_refused_date_is_named():
    """The refusal shows the date as it was given."""
    with pytest.raises(InvalidInput) as refusal:
        date_of(2026, 2, 30)
    assert refusal.value.metadata == {"date": "2026-02-30"}


def test_a_leap_day_is_a_day():
    """29 February exists in leap years."""
    assert date_of(2028, 2, 29) == date(2028, 2, 29)


@pytest.mark.parametrize("name", ["Asia/Atlantis", "", "../etc/passwd", "/etc/localtime", "Asia"])
def test_unknown_time_zones_are_refused(name):
    """Only names of the IANA database are time zones."""
    with pytest.raises(InvalidInput) as refusal:
        time_zone_of(name)
    assert refusal.value.reason == "TIME_ZONE_UNKNOWN"
    assert refusal.value.metadata == {"time_zone": name}
