"""Every event becomes one row, and stays as it is."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from pos.journal.v1 import journal_service_pb2 as pb
from pos.journal.v1 import journal_service_pb2_grpc as pb_grpc
from pos.journal.v1.entry_pb2 import Entry
from pos.type.v1 import report_kind_pb2
from pos.type.v1 import transaction_kind_pb2 as kinds
from pos.type.v1.money_pb2 import Money

from services.wire.dates import to_date, to_timestamp
from tests.services.logs import NOON, cash, closed, opened, report, transaction


async def only_entry(journal: pb_grpc.JournalServiceAsyncStub) -> Entry:
    """The one entry of store 0001."""
    (entry,) = (await journal.ListEntries(pb.ListEntriesRequest(store_code="0001"))).entries
    return entry


def yen(minor_units: int) -> Money:
    """An amount."""
    return Money(currency_code="JPY", minor_units=minor_units)


async def test_a_transaction_becomes_an_entry_with_all_its_numbers(journal, feed):
    """The id is the event's, the amount the total with tax, the staff member the one of that time."""
    await feed.receive(transaction(7, terminal_no=3, open_counter=2, business_counter=12))
    assert await only_entry(journal) == Entry(
        entry_id="tranlog-acme/0001/3-1",
        kind=Entry.KIND_SALE,
        store_code="0001",
        terminal_no=3,
        business_date=to_date(date(2026, 1, 5)),
        open_counter=2,
        business_counter=12,
        transaction_no=7,
        receipt_no=111117,
        create_time=to_timestamp(NOON + timedelta(minutes=7)),
        amount_with_tax=yen(646),
        quantity=5,
        staff_id="s1",
        staff_name="Hanako",
    )


@pytest.mark.parametrize(
    ("log", "kind", "amount", "quantity"),
    [
        (transaction(1, kinds.TRANSACTION_KIND_CANCELLED_SALE), Entry.KIND_CANCELLED_SALE, 646, 5),
        (transaction(1, kinds.TRANSACTION_KIND_RETURN), Entry.KIND_RETURN, 646, 5),
        (transaction(1, kinds.TRANSACTION_KIND_VOID_SALE), Entry.KIND_VOID_SALE, 646, 5),
        (transaction(1, kinds.TRANSACTION_KIND_VOID_RETURN), Entry.KIND_VOID_RETURN, 646, 5),
        (opened(), Entry.KIND_OPEN, 5000, 0),
        (closed(counted=5646), Entry.KIND_CLOSE, 5646, 0),
        (cash(1, 300), Entry.KIND_CASH_IN, 300, 0),
        (cash(1, -300), Entry.KIND_CASH_OUT, -300, 0),
        (report(), Entry.KIND_FLASH_REPORT, 646, 5),
        (report(1, report_kind_pb2.REPORT_KIND_DAILY), Entry.KIND_DAILY_REPORT, 646, 5),
    ],
)
async def test_every_kind_has_its_amount(journal, feed, log, kind, amount, quantity):
    """A transaction's amount is not negative whatever it did, a cash movement's is signed, a report's is net + tax."""
    await feed.receive(log)
    entry = await only_entry(journal)
    assert (entry.kind, entry.amount_with_tax, entry.quantity) == (kind, yen(amount), quantity)


async def test_numbers_are_those_of_the_kind(journal, feed):
    """A cash movement has a movement number and a report a report number; neither has the others."""
    await feed.receive(cash(4), report(9))
    entries = (await journal.ListEntries(pb.ListEntriesRequest(store_code="0001"))).entries
    numbers = {(one.movement_no, one.report_no, one.transaction_no, one.receipt_no) for one in entries}
    assert numbers == {(4, 0, 0, 0), (0, 9, 0, 0)}


async def test_what_has_no_amount_has_none(journal, feed):
    """An opening without a float has no amount, and neither has a report before anything was received."""
    opening, empty = opened(), report()
    opening.ClearField("initial_float_minor_units")
    for field in ("currency_code", "gross_minor_units", "net_minor_units", "tax_minor_units"):
        empty.ClearField(field)
    await feed.receive(opening, empty)
    entries = (await journal.ListEntries(pb.ListEntriesRequest(store_code="0001"))).entries
    assert [one.HasField("amount_with_tax") for one in entries] == [False, False]


async def test_an_event_that_comes_again_has_one_row(journal, feed):
    """However often an event arrives, there is one row, and it stays as it was."""
    event = feed.numbers.envelope(transaction())
    await feed.deliver(event)
    await feed.deliver(event, event)
    assert (await only_entry(journal)).entry_id == event.id
