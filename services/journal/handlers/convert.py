"""Entries and searches between the wire and the domain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pos.journal.v1 import entry_pb2
from pos.journal.v1 import journal_service_pb2 as pb

from services.journal.domain.entry import Entry, EntryKind
from services.journal.domain.search import Bounds, Mark, Search
from services.wire.dates import from_date, to_date, to_timestamp
from services.wire.kinds import from_enum, to_enum
from services.wire.money import to_money
from services.wire.pages import Key

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def from_request(tenant_id: str, request: pb.ListEntriesRequest) -> Search:
    """What is looked for."""
    return Search(
        tenant_id=tenant_id,
        store_code=request.store_code,
        terminal_nos=tuple(request.terminal_nos),
        kinds=tuple(from_enum(entry_pb2.Entry.Kind, EntryKind, kind) for kind in request.kinds),
        business_dates=Bounds(_date(request, "from_business_date"), _date(request, "to_business_date")),
        transaction_nos=Bounds(_given(request, "from_transaction_no"), _given(request, "to_transaction_no")),
        receipt_nos=Bounds(_given(request, "from_receipt_no"), _given(request, "to_receipt_no")),
    )


def from_key(key: Key | None) -> Mark | None:
    """The mark in a page token."""
    if key is None:
        return None
    micros, number, entry_id = key
    return Mark(_EPOCH + int(micros) * _MICROSECOND, int(number), str(entry_id))


def to_key(mark: Mark) -> Key:
    """The mark, to be put in a page token."""
    return ((mark.create_time - _EPOCH) // _MICROSECOND, mark.number, mark.entry_id)


def to_entry(entry: Entry) -> entry_pb2.Entry:
    """One entry."""
    occurrence = entry.occurrence
    terminal, opening, currency = occurrence.terminal_id, occurrence.opening, occurrence.currency_code
    amount = entry.amount_with_tax
    return entry_pb2.Entry(
        entry_id=occurrence.entry_id,
        kind=to_enum(entry_pb2.Entry.Kind, entry.kind),
        store_code=terminal.store_code,
        terminal_no=terminal.terminal_no,
        business_date=to_date(opening.business_date),
        open_counter=opening.open_counter,
        business_counter=opening.business_counter,
        transaction_no=entry.transaction_no or 0,
        receipt_no=entry.receipt_no or 0,
        movement_no=entry.movement_no or 0,
        report_no=entry.report_no or 0,
        create_time=to_timestamp(occurrence.create_time),
        # A report before anything was received has no currency, and so no amount.
        amount_with_tax=to_money(amount, currency) if amount is not None and currency else None,
        quantity=entry.quantity,
        staff_id=occurrence.staff.staff_id,
        staff_name=occurrence.staff.name,
    )


def _given(request: pb.ListEntriesRequest, field: Any) -> int | None:
    return getattr(request, field) if request.HasField(field) else None


def _date(request: pb.ListEntriesRequest, field: Any) -> Any:
    return from_date(getattr(request, field)) if request.HasField(field) else None
