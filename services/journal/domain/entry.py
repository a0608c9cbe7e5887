"""Entries of the journal: how each kind of event becomes one row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.report_kind import ReportKind
from services.kernel.staff import SignedInStaff
from services.kernel.transaction_kind import TransactionKind


class EntryKind(StrEnum):
    """What happened."""

    SALE = "SALE"
    CANCELLED_SALE = "CANCELLED_SALE"
    RETURN = "RETURN"
    VOID_SALE = "VOID_SALE"
    VOID_RETURN = "VOID_RETURN"
    OPEN = "OPEN"
    CLOSE = "CLOSE"
    CASH_IN = "CASH_IN"
    CASH_OUT = "CASH_OUT"
    FLASH_REPORT = "FLASH_REPORT"
    DAILY_REPORT = "DAILY_REPORT"


REPORTS = {ReportKind.FLASH: EntryKind.FLASH_REPORT, ReportKind.DAILY: EntryKind.DAILY_REPORT}
"""The entry that each kind of report makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """What every event tells: where, when and by whom."""

    entry_id: str
    """Id of the event; a row of this id is there once."""
    terminal_id: TerminalId
    """Where it happened."""
    opening: Opening
    """Opening it belongs to."""
    create_time: datetime
    """When it was committed."""
    staff: SignedInStaff
    """Who was signed in; empty strings for nobody."""
    currency_code: str
    """Currency of its amounts; empty where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the journal; never changed, never deleted."""

    occurrence: Occurrence
    """Where, when and by whom."""
    kind: EntryKind
    """What happened."""
    transaction_no: int | None = None
    """Number of the transaction; None if it is none."""
    receipt_no: int | None = None
    """Number of its receipt; None if it is none."""
    movement_no: int | None = None
    """Number of the cash movement; None if it is none."""
    report_no: int | None = None
    """Number of the report; None if it is none."""
    amount_with_tax: int | None = None
    """Minor units; None if there is no amount."""
    quantity: int = 0
    """Units of a transaction or a report."""


def transaction_entry(
    occurrence: Occurrence,
    kind: TransactionKind,
    *,
    transaction_no: int,
    receipt_no: int,
    total_with_tax: int,
    quantity: int,
) -> Entry:
    """The row of a transaction; its amount is not negative, whatever its kind."""
    return Entry(
        occurrence=occurrence, kind=EntryKind(kind.value), transaction_no=transaction_no, receipt_no=receipt_no,
        amount_with_tax=total_with_tax, quantity=quantity,
    )  # fmt: skip


def cash_entry(occurrence: Occurrence, kind: CashMovementKind, *, movement_no: int, amount: int) -> Entry:
    """The row of a cash movement; amount is signed."""
    return Entry(occurrence=occurrence, kind=EntryKind(kind.value), movement_no=movement_no, amount_with_tax=amount)


def open_entry(occurrence: Occurrence, *, initial_float: int | None) -> Entry:
    """The row of an opening."""
    return Entry(occurrence=occurrence, kind=EntryKind.OPEN, amount_with_tax=initial_float)


def close_entry(occurrence: Occurrence, *, counted_cash: int | None) -> Entry:
    """The row of a closing."""
    return Entry(occurrence=occurrence, kind=EntryKind.CLOSE, amount_with_tax=counted_cash)


def report_entry(
    occurrence: Occurrence, kind: ReportKind, *, report_no: int, net: int, tax: int, quantity: int
) -> Entry:
    """The row of a report that was issued on a terminal: what was paid, net + tax."""
    return Entry(
        occurrence=occurrence, kind=REPORTS[kind], report_no=report_no, amount_with_tax=net + tax, quantity=quantity
    )
