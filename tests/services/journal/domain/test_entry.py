"""Rows of the journal."""

from datetime import UTC, date, datetime

import pytest

from services.journal.domain.entry import (
    EntryKind,
    Occurrence,
    cash_entry,
    close_entry,
    open_entry,
    report_entry,
    transaction_entry,
)
from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.report_kind import ReportKind
from services.kernel.staff import SignedInStaff
from services.kernel.transaction_kind import TransactionKind

OCCURRENCE = Occurrence(
    entry_id="e1",
    terminal_id=TerminalId("acme", "0001", 1),
    opening=Opening(date(2026, 3, 1), 1, 12),
    create_time=datetime(2026, 3, 1, tzinfo=UTC),
    staff=SignedInStaff("s1", "Hanako"),
    currency_code="JPY",
)


@pytest.mark.parametrize("kind", TransactionKind)
def test_every_transaction_is_a_row(kind):
    """A transaction of any kind has its numbers, its amount as it is, and its units."""
    entry = transaction_entry(OCCURRENCE, kind, transaction_no=7, receipt_no=111_117, total_with_tax=646, quantity=5)
    assert (entry.occurrence, entry.kind.value) == (OCCURRENCE, kind.value)
    assert (entry.transaction_no, entry.receipt_no, entry.amount_with_tax, entry.quantity) == (7, 111_117, 646, 5)
    assert (entry.movement_no, entry.report_no) == (None, None)


@pytest.mark.parametrize(("kind", "amount"), [(CashMovementKind.CASH_IN, 500), (CashMovementKind.CASH_OUT, -500)])
def test_every_cash_movement_is_a_row(kind, amount):
    """A cash movement has its number and its signed amount."""
    entry = cash_entry(OCCURRENCE, kind, movement_no=3, amount=amount)
    assert (entry.kind.value, entry.movement_no, entry.amount_with_tax) == (kind.value, 3, amount)
    assert (entry.transaction_no, entry.receipt_no, entry.quantity) == (None, None, 0)


@pytest.mark.parametrize("amount", [30_000, 0, None])
def test_openings_and_closings_are_rows(amount):
    """An opening shows its float, a closing its counted cash; neither given is no amount, which is not 0."""
    opened = open_entry(OCCURRENCE, initial_float=amount)
    closed = close_entry(OCCURRENCE, counted_cash=amount)
    assert (opened.kind, opened.amount_with_tax) == (EntryKind.OPEN, amount)
    assert (closed.kind, closed.amount_with_tax) == (EntryKind.CLOSE, amount)


@pytest.mark.parametrize(
    ("kind", "row"), [(ReportKind.FLASH, EntryKind.FLASH_REPORT), (ReportKind.DAILY, EntryKind.DAILY_REPORT)]
)
def test_reports_are_rows(kind, row):
    """A report shows what was paid: net + tax."""
    entry = report_entry(OCCURRENCE, kind, report_no=2, net=588, tax=58, quantity=5)
    assert (entry.kind, entry.report_no, entry.amount_with_tax, entry.quantity) == (row, 2, 646, 5)


def test_every_kind_of_event_has_a_kind_of_row():
    """Transactions, cash movements, reports, opening and closing make up all kinds of rows."""
    kinds = {*TransactionKind, *CashMovementKind, "OPEN", "CLOSE", "FLASH_REPORT", "DAILY_REPORT"}
    assert set(EntryKind) == kinds
