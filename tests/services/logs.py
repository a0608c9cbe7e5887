"""What terminals publish, for tests of its consumers: the worked sale of the retail rules, and what undoes it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from pos.event.v1 import cash_log_pb2, open_close_log_pb2, report_log_pb2, transaction_log_pb2
from pos.type.v1 import (
    cash_movement_kind_pb2,
    report_kind_pb2,
    tax_kind_pb2,
    tender_kind_pb2,
    transaction_kind_pb2,
)

from services.wire.dates import to_date, to_timestamp

DAY = date(2026, 1, 5)
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

TransactionLog = transaction_log_pb2.TransactionLog
OpenCloseLog = open_close_log_pb2.OpenCloseLog
CashLog = cash_log_pb2.CashLog
Kind = transaction_kind_pb2

LINES = (
    TransactionLog.Line(
        line_no=1, item_code="A", description="Apple", category_code="food", tax_code="01",
        unit_price_minor_units=100, quantity=2, line_discount_minor_units=10, subtotal_discount_minor_units=26,
        amount_minor_units=190,
    ),
    TransactionLog.Line(
        line_no=2, item_code="B", description="Bread", category_code="food", tax_code="02",
        unit_price_minor_units=200, quantity=3, line_discount_minor_units=60, subtotal_discount_minor_units=74,
        amount_minor_units=540,
    ),
    TransactionLog.Line(
        line_no=3, item_code="C", description="Cheese", category_code="food", tax_code="02",
        unit_price_minor_units=500, quantity=1, amount_minor_units=500, cancelled=True,
    ),
)  # fmt: skip
"""800 listed in 5 units, 70 line discount, 100 subtotal discount; the last line is cancelled."""
TAXES = (
    TransactionLog.Tax(
        tax_code="01", kind=tax_kind_pb2.TAX_KIND_EXTERNAL, rate_bps=1000, target_minor_units=164, amount_minor_units=16
    ),
    TransactionLog.Tax(
        tax_code="02", kind=tax_kind_pb2.TAX_KIND_INTERNAL, rate_bps=1000, target_minor_units=466, amount_minor_units=42
    ),
)


def payment(
    applied: int,
    code: str = "01",
    kind: tender_kind_pb2.TenderKind.ValueType = tender_kind_pb2.TENDER_KIND_CASH,
    change: int = 0,
) -> TransactionLog.Payment:
    """A payment, or a refund; its change was handed over too."""
    return TransactionLog.Payment(
        payment_method_code=code, description=f"Tender {code}", kind=kind, deposit_minor_units=applied + change,
        applied_minor_units=applied, change_minor_units=change,
    )  # fmt: skip


def transaction(
    transaction_no: int = 1,
    kind: transaction_kind_pb2.TransactionKind.ValueType = Kind.TRANSACTION_KIND_SALE,
    *,
    terminal_no: int = 1,
    open_counter: int = 1,
    business_counter: int = 1,
    day: date = DAY,
    **changes: Any,
) -> TransactionLog:
    """The worked sale, paid 646 of 1000 in cash; or the same undone or cancelled."""
    log = TransactionLog(
        store_code="0001", terminal_no=terminal_no, transaction_no=transaction_no, receipt_no=111110 + transaction_no,
        kind=kind, business_date=to_date(day), open_counter=open_counter, business_counter=business_counter,
        create_time=to_timestamp(NOON + timedelta(minutes=transaction_no)), staff_id="s1", staff_name="Hanako",
        currency_code="JPY", lines=LINES, subtotal_discount_minor_units=100, taxes=TAXES, total_minor_units=630,
        total_with_tax_minor_units=646, quantity=5,
    )  # fmt: skip
    if kind == Kind.TRANSACTION_KIND_SALE:
        log.payments.append(payment(646, change=354))
        log.change_minor_units = 354
    elif kind != Kind.TRANSACTION_KIND_CANCELLED_SALE:
        log.payments.append(payment(646))
        log.origin.CopyFrom(
            TransactionLog.Origin(terminal_no=1, transaction_no=1, business_date=to_date(DAY), open_counter=1)
        )
    log.MergeFrom(TransactionLog(**changes))
    return log


def opened(*, terminal_no: int = 1, open_counter: int = 1, business_counter: int = 1, day: date = DAY) -> OpenCloseLog:
    """An opening with an initial float of 5000."""
    return OpenCloseLog(
        kind=OpenCloseLog.KIND_OPEN, store_code="0001", terminal_no=terminal_no, business_date=to_date(day),
        open_counter=open_counter, business_counter=business_counter, staff_id="s1", staff_name="Hanako",
        create_time=to_timestamp(NOON), currency_code="JPY", initial_float_minor_units=5000,
    )  # fmt: skip


def closed(
    *,
    terminal_no: int = 1,
    open_counter: int = 1,
    business_counter: int = 1,
    day: date = DAY,
    transactions: int = 1,
    last_no: int = 1,
    cash_movements: int = 1,
    counted: int = 5646,
) -> OpenCloseLog:
    """A close with its numbers."""
    log = OpenCloseLog(
        kind=OpenCloseLog.KIND_CLOSE, store_code="0001", terminal_no=terminal_no, business_date=to_date(day),
        open_counter=open_counter, business_counter=business_counter, staff_id="s1", staff_name="Hanako",
        create_time=to_timestamp(NOON + timedelta(hours=9)), currency_code="JPY", transaction_count=transactions,
        last_transaction_no=last_no, cash_movement_count=cash_movements, counted_cash_minor_units=counted,
    )  # fmt: skip
    if cash_movements:
        log.last_cash_movement_time.CopyFrom(to_timestamp(NOON))
    return log


def cash(
    movement_no: int = 1,
    amount: int = 5000,
    *,
    terminal_no: int = 1,
    open_counter: int = 1,
    business_counter: int = 1,
    day: date = DAY,
    initial_float: bool = False,
) -> CashLog:
    """Cash put in, or taken out where the amount is negative."""
    kinds = cash_movement_kind_pb2
    kind = kinds.CASH_MOVEMENT_KIND_CASH_IN if amount >= 0 else kinds.CASH_MOVEMENT_KIND_CASH_OUT
    return CashLog(
        store_code="0001", terminal_no=terminal_no, movement_no=movement_no, kind=kind, currency_code="JPY",
        amount_minor_units=amount, is_initial_float=initial_float, business_date=to_date(day),
        open_counter=open_counter, business_counter=business_counter, staff_id="s1", staff_name="Hanako",
        create_time=to_timestamp(NOON),
    )  # fmt: skip


def report(
    report_no: int = 1, kind: report_kind_pb2.ReportKind.ValueType = report_kind_pb2.REPORT_KIND_FLASH
) -> report_log_pb2.ReportLog:
    """A report of the worked sale."""
    return report_log_pb2.ReportLog(
        kind=kind, store_code="0001", terminal_no=1, report_no=report_no, business_date=to_date(DAY), open_counter=1,
        business_counter=1, staff_id="s1", staff_name="Hanako", create_time=to_timestamp(NOON), currency_code="JPY",
        gross_minor_units=816, line_discount_minor_units=70, subtotal_discount_minor_units=100, tax_minor_units=58,
        net_minor_units=588, sale_count=1, quantity=5,
    )  # fmt: skip
