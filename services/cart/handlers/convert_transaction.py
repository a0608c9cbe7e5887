"""Transactions between the domain and the wire."""

from __future__ import annotations

from collections.abc import Iterable

from pos.cart.v1 import transaction_pb2, transaction_service_pb2
from pos.event.v1 import transaction_log_pb2
from pos.type.v1 import tax_kind_pb2, tender_kind_pb2, transaction_kind_pb2

from services.cart.domain.payment import AppliedPayment
from services.cart.domain.tax import TaxAmount
from services.cart.domain.transaction import Origin, TransactionId, TransactionLine, TransactionRecord
from services.cart.domain.undo import RefundRequest
from services.cart.storage.transactions import StoredTransaction
from services.wire.dates import to_date, to_timestamp
from services.wire.kinds import to_enum
from services.wire.money import from_money, to_money

Log = transaction_log_pb2.TransactionLog


def to_log(record: TransactionRecord) -> Log:
    """The transaction as it is published."""
    terminal = record.transaction_id.terminal_id
    return Log(
        store_code=terminal.store_code,
        terminal_no=terminal.terminal_no,
        transaction_no=record.transaction_id.transaction_no,
        receipt_no=record.receipt_no,
        kind=to_enum(transaction_kind_pb2.TransactionKind, record.kind),
        business_date=to_date(record.opening.business_date),
        open_counter=record.opening.open_counter,
        business_counter=record.opening.business_counter,
        create_time=to_timestamp(record.create_time),
        staff_id=record.staff.staff_id,
        staff_name=record.staff.name,
        currency_code=record.currency_code,
        lines=[_line(line) for line in record.lines],
        subtotal_discount_minor_units=record.subtotal_discount,
        taxes=[_tax(tax) for tax in record.taxes],
        payments=[_payment(payment) for payment in record.payments],
        total_minor_units=record.total,
        total_with_tax_minor_units=record.total_with_tax,
        change_minor_units=record.change,
        quantity=record.quantity,
        origin=_origin(record.origin) if record.origin else None,
    )


def _line(line: TransactionLine) -> Log.Line:
    return Log.Line(
        line_no=line.line_no,
        item_code=line.item_code,
        description=line.description,
        category_code=line.category_code,
        tax_code=line.tax_code,
        unit_price_minor_units=line.unit_price,
        quantity=line.quantity,
        line_discount_minor_units=line.line_discount,
        subtotal_discount_minor_units=line.subtotal_discount,
        amount_minor_units=line.amount,
        cancelled=line.cancelled,
    )


def _tax(tax: TaxAmount) -> Log.Tax:
    return Log.Tax(
        tax_code=tax.rule.tax_code,
        kind=to_enum(tax_kind_pb2.TaxKind, tax.rule.kind),
        rate_bps=tax.rule.rate_bps,
        target_minor_units=tax.target,
        amount_minor_units=tax.amount,
    )


def _payment(payment: AppliedPayment) -> Log.Payment:
    return Log.Payment(
        payment_method_code=payment.payment_method_code,
        description=payment.description,
        kind=to_enum(tender_kind_pb2.TenderKind, payment.kind),
        deposit_minor_units=payment.deposit,
        applied_minor_units=payment.applied,
        change_minor_units=payment.change,
        forfeited_minor_units=payment.forfeited,
    )


def _origin(origin: Origin) -> Log.Origin:
    return Log.Origin(
        terminal_no=origin.transaction_id.terminal_id.terminal_no,
        transaction_no=origin.transaction_id.transaction_no,
        business_date=to_date(origin.business_date),
        open_counter=origin.open_counter,
    )


def to_transaction(stored: StoredTransaction) -> transaction_pb2.Transaction:
    """A transaction, with what was done to it since."""
    answer = transaction_pb2.Transaction(log=to_log(stored.record))
    if stored.standing.voided_by is not None:
        answer.voided_by.CopyFrom(_reference(stored.standing.voided_by))
    if stored.standing.returned_by is not None:
        answer.returned_by.CopyFrom(_reference(stored.standing.returned_by))
    return answer


def _reference(transaction_id: TransactionId) -> transaction_pb2.TransactionReference:
    return transaction_pb2.TransactionReference(
        terminal_no=transaction_id.terminal_id.terminal_no, transaction_no=transaction_id.transaction_no
    )


def to_summary(stored: StoredTransaction) -> transaction_pb2.TransactionSummary:
    """A transaction without its lines."""
    record, standing = stored.record, stored.standing
    return transaction_pb2.TransactionSummary(
        store_code=record.transaction_id.terminal_id.store_code,
        terminal_no=record.transaction_id.terminal_id.terminal_no,
        transaction_no=record.transaction_id.transaction_no,
        receipt_no=record.receipt_no,
        kind=to_enum(transaction_kind_pb2.TransactionKind, record.kind),
        business_date=to_date(record.opening.business_date),
        open_counter=record.opening.open_counter,
        create_time=to_timestamp(record.create_time),
        staff_id=record.staff.staff_id,
        total_with_tax=to_money(record.total_with_tax, record.currency_code),
        quantity=record.quantity,
        voided=standing.voided_by is not None,
        returned=standing.returned_by is not None,
    )


def from_refunds(payments: Iterable[transaction_service_pb2.TenderAmount]) -> list[RefundRequest]:
    """What is to go back to which tender."""
    return [RefundRequest(one.payment_method_code, from_money(one.amount)) for one in payments]
