"""JournalService behind its full chain."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pos.journal.v1 import journal_service_pb2 as pb
from pos.journal.v1 import journal_service_pb2_grpc as pb_grpc
from pos.journal.v1.entry_pb2 import Entry
from pos.type.v1 import transaction_kind_pb2 as kinds
from pos.type.v1.date_pb2 import Date

from services.wire.dates import to_date
from tests.services.callers import admin, refusal, till
from tests.services.logs import DAY, cash, closed, opened, transaction

NEXT_DAY = DAY + timedelta(days=1)


async def listed(journal, **search) -> list[str]:
    """Ids of the entries found in store 0001, in short."""
    answer = await journal.ListEntries(pb.ListEntriesRequest(store_code="0001", **search))
    return [one.entry_id.replace("-acme/0001/", " ") for one in answer.entries]


@pytest.fixture
async def traded(feed) -> None:
    """Two days of terminal 1 and one of terminal 2."""
    await feed.receive(
        opened(),
        cash(),
        transaction(1),
        transaction(2, kinds.TRANSACTION_KIND_VOID_SALE),
        transaction(3, terminal_no=2),
        transaction(4, day=NEXT_DAY),
        closed(),
    )


async def test_lists_newest_first(journal, traded):
    """Entries come by the time they happened, from the newest to the oldest."""
    assert await listed(journal) == [
        "opencloselog 1-2",
        "tranlog 1-3",
        "tranlog 2-1",
        "tranlog 1-2",
        "tranlog 1-1",
        "opencloselog 1-1",
        "cashlog 1-1",
    ]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ({"terminal_nos": [2]}, ["tranlog 2-1"]),
        ({"terminal_nos": [1, 2], "kinds": [Entry.KIND_SALE]}, ["tranlog 1-3", "tranlog 2-1", "tranlog 1-1"]),
        ({"kinds": [Entry.KIND_CASH_IN, Entry.KIND_CLOSE]}, ["opencloselog 1-2", "cashlog 1-1"]),
        ({"from_business_date": to_date(NEXT_DAY)}, ["tranlog 1-3"]),
        ({"to_business_date": to_date(DAY), "kinds": [Entry.KIND_SALE]}, ["tranlog 2-1", "tranlog 1-1"]),
        ({"from_transaction_no": 3}, ["tranlog 1-3", "tranlog 2-1"]),
        ({"to_transaction_no": 2}, ["tranlog 1-2", "tranlog 1-1"]),
        ({"from_transaction_no": 2, "to_transaction_no": 3}, ["tranlog 2-1", "tranlog 1-2"]),
        ({"from_receipt_no": 111114}, ["tranlog 1-3"]),
        ({"to_receipt_no": 111111}, ["tranlog 1-1"]),
        ({"to_receipt_no": 111111, "terminal_nos": [2]}, []),
    ],
)
async def test_every_bound_is_optional_on_its_own(journal, traded, search, found):
    """Each filter narrows alone and with others; what has no such number is not found by a bound of it."""
    assert await listed(journal, **search) == found


async def test_pages_meet_without_holes_or_repeats(journal, feed, traded):
    """All pages together are the list, even where entries share an instant or come meanwhile."""
    request = pb.ListEntriesRequest(store_code="0001", page_size=2)
    seen: list[str] = []
    for _ in range(4):
        answer = await journal.ListEntries(request)
        seen += [one.entry_id.replace("-acme/0001/", " ") for one in answer.entries]
        request.page_token = answer.next_page_token
        if len(seen) == 2:
            await feed.receive(transaction(400))
    assert request.page_token == ""
    assert seen == [one for one in await listed(journal) if one != "tranlog 1-4"]


async def test_a_page_token_belongs_to_its_search(journal, traded):
    """A token of one search is refused by another, and so is one that nobody made."""
    token = (await journal.ListEntries(pb.ListEntriesRequest(store_code="0001", page_size=1))).next_page_token
    for search in ({"page_token": token, "terminal_nos": [1]}, {"page_token": "nonsense"}):
        refused = await refusal(journal.ListEntries(pb.ListEntriesRequest(store_code="0001", **search)))
        assert refused == ("INVALID_ARGUMENT", "pos.type/PAGE_TOKEN_INVALID", {})


async def test_refuses_a_date_that_is_none(journal):
    """The calendar has no 30 February."""
    date = Date(year=2026, month=2, day=30)
    refused = await refusal(journal.ListEntries(pb.ListEntriesRequest(store_code="0001", from_business_date=date)))
    assert refused == ("INVALID_ARGUMENT", "pos.type/DATE_INVALID", {"date": "2026-02-30"})


async def test_gets_an_entry(journal, traded):
    """An entry is found by the id of its event; another id is not found."""
    answer = await journal.GetEntry(pb.GetEntryRequest(entry_id="tranlog-acme/0001/1-2"))
    assert (answer.entry.kind, answer.entry.transaction_no) == (Entry.KIND_VOID_SALE, 2)
    missing = await refusal(journal.GetEntry(pb.GetEntryRequest(entry_id="none")))
    assert missing == ("NOT_FOUND", "pos.journal/ENTRY_NOT_FOUND", {"entry_id": "none"})


async def test_tenants_read_their_own_journal(system, journal, traded):
    """Another tenant finds nothing, not even by id."""
    other = pb_grpc.JournalServiceStub(admin(system, "other").channel("journal"))
    assert await listed(other) == []
    entry = pb.GetEntryRequest(entry_id="tranlog-acme/0001/1-2")
    assert (await refusal(other.GetEntry(entry)))[1] == "pos.journal/ENTRY_NOT_FOUND"


async def test_a_terminal_reads_no_journal(system, journal):
    """The journal is for the back office."""
    terminal = pb_grpc.JournalServiceStub(till(system).channel("journal"))
    assert (await refusal(terminal.ListEntries(pb.ListEntriesRequest(store_code="0001"))))[0] == "PERMISSION_DENIED"
