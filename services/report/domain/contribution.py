"""What one transaction or cash movement adds to the running figures. A report is the sum of these, in any order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.tax_kind import TaxKind
from services.kernel.tender_kind import TenderKind
from services.report.domain.figures import Figure, FigureKey, FigureName, summed
from services.report.domain.received import ReceivedCashMovement, ReceivedTransaction


@dataclass(frozen=True, slots=True)
class TaxLabel:
    """How a tax was last applied."""

    kind: TaxKind
    """How it relates to prices."""
    rate_bps: int
    """Rate in basis points."""


@dataclass(frozen=True, slots=True)
class TenderLabel:
    """How a payment method was last used."""

    description: str
    """Its description."""
    kind: TenderKind
    """Its kind."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What is to be added, and how its codes are to be called."""

    figures: dict[FigureKey, Figure]
    """Deltas; none of them is nothing."""
    taxes: dict[str, TaxLabel]
    """Labels of the tax codes in figures."""
    tenders: dict[str, TenderLabel]
    """Labels of the payment methods in figures."""


def contribution_of(transaction: ReceivedTransaction) -> Contribution:
    """What a transaction adds; a cancelled sale is only counted as received."""
    figures = [(FigureKey(FigureName.TRANSACTIONS), Figure(count=1))]
    if not transaction.kind.money_sign:
        return Contribution(summed(figures), {}, {})
    figures += _sales(transaction)
    figures += _returns(transaction)
    figures += _taxes(transaction)
    figures += _payments(transaction)
    return Contribution(
        summed(figures),
        {tax.tax_code: TaxLabel(tax.kind, tax.rate_bps) for tax in transaction.taxes},
        {
            payment.payment_method_code: TenderLabel(payment.description, payment.kind)
            for payment in transaction.payments
        },
    )


def contribution_of_cash(movement: ReceivedCashMovement) -> Contribution:
    """What a cash movement adds."""
    name = FigureName.CASH_IN if movement.kind is CashMovementKind.CASH_IN else FigureName.CASH_OUT
    return Contribution({FigureKey(name): Figure(amount=movement.amount, count=1)}, {}, {})


def _sales(transaction: ReceivedTransaction) -> Iterator[tuple[FigureKey, Figure]]:
    sign = transaction.kind.sales_sign
    discounted = [line for line in transaction.active_lines if line.line_discount]
    line_discount = sum(line.line_discount for line in discounted)
    gross = transaction.total_with_tax + line_discount + transaction.subtotal_discount
    yield FigureKey(FigureName.GROSS), Figure(gross, transaction.quantity, 1).times(sign)
    if discounted:
        figure = Figure(line_discount, sum(line.quantity for line in discounted), 1)
        yield FigureKey(FigureName.LINE_DISCOUNTS), figure.times(sign)
    if transaction.subtotal_discount:
        figure = Figure(transaction.subtotal_discount, transaction.quantity, 1)
        yield FigureKey(FigureName.SUBTOTAL_DISCOUNTS), figure.times(sign)


def _returns(transaction: ReceivedTransaction) -> Iterator[tuple[FigureKey, Figure]]:
    figure = Figure(transaction.total_with_tax, transaction.quantity, 1)
    yield FigureKey(FigureName.RETURNS), figure.times(transaction.kind.returns_sign)


def _taxes(transaction: ReceivedTransaction) -> Iterator[tuple[FigureKey, Figure]]:
    sign = transaction.kind.money_sign
    units: dict[str, int] = {}
    for line in transaction.active_lines:
        units[line.tax_code] = units.get(line.tax_code, 0) + line.quantity
    taxed = [tax for tax in transaction.taxes if tax.kind is not TaxKind.EXEMPT]
    if taxed:
        amount, quantity = sum(tax.amount for tax in taxed), sum(units.get(tax.tax_code, 0) for tax in taxed)
        yield FigureKey(FigureName.TAX), Figure(amount, quantity, 1).times(sign)
    for tax in transaction.taxes:
        quantity = units.get(tax.tax_code, 0)
        yield FigureKey(FigureName.TAX_OF_CODE, tax.tax_code), Figure(tax.amount, quantity, 1).times(sign)
        yield FigureKey(FigureName.TAX_TARGET, tax.tax_code), Figure(tax.target, quantity, 1).times(sign)


def _payments(transaction: ReceivedTransaction) -> Iterator[tuple[FigureKey, Figure]]:
    sign = transaction.kind.money_sign
    for payment in transaction.payments:
        figure = Figure(amount=payment.applied, count=1).times(sign)
        yield FigureKey(FigureName.PAYMENT, payment.payment_method_code), figure
        if payment.kind is TenderKind.CASH:
            yield FigureKey(FigureName.CASH), figure
