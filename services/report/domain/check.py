"""Whether a transaction's own figures agree: one that contradicts itself must not reach a report."""

from __future__ import annotations

from services.kernel.failure import Refused
from services.kernel.tax_kind import TaxKind
from services.report.domain.received import ReceivedTransaction


def check_transaction(subject: str, transaction: ReceivedTransaction) -> None:
    """Refuses a transaction whose totals, taxes and payments contradict each other; Refused / LOG_INVALID.

    subject is its resource name.
    """
    lines = transaction.active_lines
    if {line.tax_code for line in lines} - {tax.tax_code for tax in transaction.taxes}:
        raise _invalid(subject, "lines.tax_code", "a line has a tax that the transaction has not")
    if sum(line.quantity for line in lines) != transaction.quantity:
        raise _invalid(subject, "quantity", "the units are not those of the lines")
    external = sum(tax.amount for tax in transaction.taxes if tax.kind is TaxKind.EXTERNAL)
    total = sum(line.amount for line in lines) - transaction.subtotal_discount + external
    if total != transaction.total_with_tax:
        raise _invalid(subject, "total_with_tax_minor_units", "the total is not that of the lines and taxes")
    paid = sum(payment.applied for payment in transaction.payments)
    if transaction.kind.money_sign and paid != transaction.total_with_tax:
        raise _invalid(subject, "payments.applied_minor_units", "the payments are not the total")


def _invalid(subject: str, field: str, message: str) -> Refused:
    return Refused("LOG_INVALID", message, subject=subject, field=field)
