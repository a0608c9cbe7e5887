"""Transactions as the report service receives them."""

from __future__ import annotations

from dataclasses import replace

from services.kernel.tax_kind import TaxKind
from services.kernel.tender_kind import TenderKind
from services.kernel.transaction_kind import TransactionKind
from services.report.domain.contribution import Contribution, TaxLabel, TenderLabel, contribution_of
from services.report.domain.figures import Figure, FigureKey, summed
from services.report.domain.received import ReceivedLine, ReceivedPayment, ReceivedTax, ReceivedTransaction
from services.report.domain.sales import SalesReport, compose


def line(tax_code: str, quantity: int, amount: int, *, line_discount: int = 0, cancelled: bool = False) -> ReceivedLine:
    """One line."""
    return ReceivedLine(
        tax_code=tax_code, quantity=quantity, line_discount=line_discount, amount=amount, cancelled=cancelled
    )


def payment(code: str, applied: int, kind: TenderKind) -> ReceivedPayment:
    """One payment."""
    return ReceivedPayment(payment_method_code=code, description=code.title(), kind=kind, applied=applied)


def cash(applied: int) -> ReceivedPayment:
    """A payment in cash."""
    return payment("cash", applied, TenderKind.CASH)


def card(applied: int) -> ReceivedPayment:
    """A payment by card."""
    return payment("card", applied, TenderKind.CASHLESS)


EXAMPLE = ReceivedTransaction(
    kind=TransactionKind.SALE,
    lines=(
        line("01", 2, 190, line_discount=10),
        line("02", 3, 540, line_discount=60),
        line("02", 9, 1800, line_discount=50, cancelled=True),
    ),
    taxes=(
        ReceivedTax(tax_code="01", kind=TaxKind.EXTERNAL, rate_bps=1000, target=164, amount=16),
        ReceivedTax(tax_code="02", kind=TaxKind.INTERNAL, rate_bps=1000, target=466, amount=42),
    ),
    payments=(cash(646),),
    subtotal_discount=100,
    total_with_tax=646,
    quantity=5,
)
"""The sale of the rules' example: listed at 800, 70 off its lines, 100 off its subtotal, paid 646."""


def undone(transaction: ReceivedTransaction, kind: TransactionKind) -> ReceivedTransaction:
    """The transaction that undoes this one to the same tenders."""
    return replace(transaction, kind=kind)


def sums_of(*contributions: Contribution) -> dict[FigureKey, Figure]:
    """The running figures after all contributions."""
    return summed(pair for contribution in contributions for pair in contribution.figures.items())


def report_of(*transactions: ReceivedTransaction, counted: int | None = None) -> SalesReport:
    """The report of transactions."""
    contributions = [contribution_of(transaction) for transaction in transactions]
    taxes: dict[str, TaxLabel] = {}
    tenders: dict[str, TenderLabel] = {}
    for contribution in contributions:
        taxes |= contribution.taxes
        tenders |= contribution.tenders
    return compose(sums_of(*contributions), taxes, tenders, counted)
