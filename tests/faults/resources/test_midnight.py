"""Midnight, and the hours that a time zone leaves out or repeats, while a terminal is open."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from pos.journal.v1.entry_pb2 import Entry
from pos.journal.v1.journal_service_pb2 import ListEntriesRequest
from pos.journal.v1.journal_service_pb2_grpc import JournalServiceStub
from pos.report.v1.report_service_pb2 import GetSalesReportRequest
from pos.report.v1.report_service_pb2_grpc import ReportServiceStub
from pos.type.v1.date_pb2 import Date
from pos.type.v1.report_kind_pb2 import REPORT_KIND_FLASH

from deploy.local.calls import surely
from services.kernel.business_date import today_in
from tests.faults.resources.shop import ClockedShop
from tests.shop.company import Company, Counter, company
from tests.shop.healed import healed
from tests.shop.waiting import until

CHANGES = {
    ("Europe/Berlin", date(2026, 3, 29)): 23,
    ("Europe/Berlin", date(2026, 10, 25)): 25,
    ("America/New_York", date(2026, 3, 8)): 23,
    ("America/New_York", date(2026, 11, 1)): 25,
    ("Asia/Tokyo", date(2026, 3, 29)): 24,
    # Clocks are put forward at midnight: the day begins at one.
    ("America/Santiago", date(2026, 9, 6)): 23,
    # Half an hour only.
    ("Australia/Lord_Howe", date(2026, 10, 4)): 23.5,
}
"""Store's time zone and day, and the hours that it has."""


@pytest.mark.parametrize(("where", "hours"), CHANGES.items(), ids=lambda one: str(one[0]) if type(one) is tuple else "")
def test_a_business_date_is_a_day_of_the_store(where, hours):
    """H3: minute by minute over a change of the clock the date never goes back, and the day is as long as it is."""
    zone, day = where
    begin = datetime.combine(day - timedelta(days=1), datetime.min.time(), UTC)
    dates = [today_in(zone, begin + timedelta(minutes=number)) for number in range(4 * 24 * 60)]
    assert all(earlier <= later <= earlier + timedelta(days=1) for earlier, later in pairwise(dates))
    assert dates.count(day) == hours * 60


def local(zone: str, text: str) -> datetime:
    """An instant, as a clock on the wall of a store shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


NIGHTS = {
    zone: (local(zone, evening), local(zone, night))
    for zone, evening, night in (
        ("Asia/Tokyo", "2026-06-10T23:58", "2026-06-11T00:03"),
        ("Europe/Berlin", "2026-10-24T23:30", "2026-10-25T02:30"),
        ("America/New_York", "2027-03-13T23:30", "2027-03-14T03:05"),
    )
}
"""Store's time zone → when a terminal opens, and a time after midnight: in summer, in the hour that comes twice, after
the hour that is left out."""


def of(day: date) -> Date:
    """A date as a message."""
    return Date(year=day.year, month=day.month, day=day.day)


@asynccontextmanager
async def counter_at(shop: ClockedShop, zone: str, now: datetime) -> AsyncIterator[tuple[Company, Counter]]:
    """A terminal of a store in a time zone, whose machine has a time; those who call begin anew, as their clock is not
    the machine's.
    """
    seen = shop.set_clock(now)
    await until(lambda: time.monotonic() > seen, "everybody has seen it")
    async with company(shop, "night") as night:
        yield night, await night.counter(zone.replace("/", "-").lower(), time_zone=zone)


async def sales_of(night: Company, counter: Counter, day: date) -> list[Entry]:
    """The sales of a business date, as the journal has them."""
    request = ListEntriesRequest(
        store_code=counter.store_code, from_business_date=of(day), to_business_date=of(day), page_size=100
    )
    answer = await surely(JournalServiceStub(night.office.channel("journal")).ListEntries, request)
    return [entry for entry in answer.entries if entry.kind == Entry.KIND_SALE]


@pytest.mark.system
@pytest.mark.xdist_group("shop")
@pytest.mark.parametrize("zone", NIGHTS if os.environ.get("TRUNKLINE_FAULTS_FULL") else ["Europe/Berlin"])
async def test_a_terminal_is_open_at_midnight(at_noon: ClockedShop, zone: str):
    """H3: what is sold after midnight belongs to the day on which the terminal was opened, in journal and report; it is
    opened next for the new day.
    """
    evening, night = NIGHTS[zone]
    async with counter_at(at_noon, zone, evening) as (_, counter):
        await counter.open()
        assert counter.till.opening.business_date == of(evening.date())
        await counter.sell()
    async with counter_at(at_noon, zone, night) as (office, counter):
        await counter.sell()
        await counter.till.close(0)
        await until(lambda: arrived(office, counter, evening.date()), "both are in the journal")
        first, second = await sales_of(office, counter, evening.date())
        times = {one.create_time.ToDatetime(UTC).astimezone(ZoneInfo(zone)).date() for one in (first, second)}
        assert times == {evening.date(), night.date()} == {evening.date(), evening.date() + timedelta(days=1)}
        assert await sales_of(office, counter, night.date()) == []
        await until(lambda: reported(office, counter, evening.date()), "both are in the report")
        await counter.open()
        assert counter.till.opening.business_date == of(night.date())
        await counter.till.close(0)
    await healed(at_noon)


async def arrived(office: Company, counter: Counter, day: date) -> bool:
    """Whether the two sales of a day are in the journal."""
    return len(await sales_of(office, counter, day)) == 2


async def reported(office: Company, counter: Counter, day: date) -> bool:
    """Whether the report of a day has two sales."""
    request = GetSalesReportRequest(
        kind=REPORT_KIND_FLASH, store_code=counter.store_code, business_date=of(day), terminal_no=1
    )
    report = (await surely(ReportServiceStub(office.office.channel("report")).GetSalesReport, request)).report
    return (report.transaction_count, report.gross.count) == (2, 2)
