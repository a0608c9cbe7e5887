"""Logs from the wire."""

from __future__ import annotations

from typing import Protocol

from google.protobuf.timestamp_pb2 import Timestamp
from pos.event.v1 import cash_log_pb2, open_close_log_pb2, transaction_log_pb2
from pos.type.v1 import cash_movement_kind_pb2, date_pb2, tax_kind_pb2, tender_kind_pb2, transaction_kind_pb2

from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.tax_kind import TaxKind
from services.kernel.tender_kind import TenderKind
from services.kernel.transaction_kind import TransactionKind
from services.report.domain.daily import Tally
from services.report.domain.received import (
    ReceivedCashMovement,
    ReceivedLine,
    ReceivedPayment,
    ReceivedTax,
    ReceivedTransaction,
)
from services.report.domain.scope import Place
from services.wire.dates import from_date, from_timestamp
from services.wire.kinds import from_enum


class TerminalLog(Protocol):
    """What every log of a terminal says."""

    store_code: str
    terminal_no: int
    open_counter: int
    business_counter: int

    @property
    def business_date(self) -> date_pb2.Date:
        """Trading day."""
        ...

    @property
    def create_time(self) -> Timestamp:
        """When it was committed."""
        ...


def place_of(tenant_id: str, log: TerminalLog) -> Place:
    """Where and when a log belongs."""
    return Place(
        TerminalId(tenant_id, log.store_code, log.terminal_no),
        Opening(from_date(log.business_date), log.open_counter, log.business_counter),
    )


def transaction_of(log: transaction_log_pb2.TransactionLog) -> ReceivedTransaction:
    """A transaction, as far as figures need it."""
    return ReceivedTransaction(
        kind=from_enum(transaction_kind_pb2.TransactionKind, TransactionKind, log.kind),
        lines=tuple(_line(line) for line in log.lines),
        taxes=tuple(_tax(tax) for tax in log.taxes),
        payments=tuple(_payment(payment) for payment in log.payments),
        subtotal_discount=log.subtotal_discount_minor_units,
        total_with_tax=log.total_with_tax_minor_units,
        quantity=log.quantity,
    )


def cash_movement_of(log: cash_log_pb2.CashLog) -> ReceivedCashMovement:
    """A cash movement."""
    kind = from_enum(cash_movement_kind_pb2.CashMovementKind, CashMovementKind, log.kind)
    return ReceivedCashMovement(kind=kind, amount=log.amount_minor_units)


def closing_of(log: open_close_log_pb2.OpenCloseLog) -> Tally:
    """What a close counted."""
    time = from_timestamp(log.last_cash_movement_time) if log.HasField("last_cash_movement_time") else None
    return Tally(
        transaction_count=log.transaction_count,
        last_transaction_no=log.last_transaction_no,
        cash_movement_count=log.cash_movement_count,
        last_cash_movement_time=time,
    )


def _line(line: transaction_log_pb2.TransactionLog.Line) -> ReceivedLine:
    return ReceivedLine(
        tax_code=line.tax_code,
        quantity=line.quantity,
        line_discount=line.line_discount_minor_units,
        amount=line.amount_minor_units,
        cancelled=line.cancelled,
    )


def _tax(tax: transaction_log_pb2.TransactionLog.Tax) -> ReceivedTax:
    return ReceivedTax(
        tax_code=tax.tax_code,
        kind=from_enum(tax_kind_pb2.TaxKind, TaxKind, tax.kind),
        rate_bps=tax.rate_bps,
        target=tax.target_minor_units,
        amount=tax.amount_minor_units,
    )


def _payment(payment: transaction_log_pb2.TransactionLog.Payment) -> ReceivedPayment:
    return ReceivedPayment(
        payment_method_code=payment.payment_method_code,
        description=payment.description,
        kind=from_enum(tender_kind_pb2.TenderKind, TenderKind, payment.kind),
        applied=payment.applied_minor_units,
    )
