"""The sales report: composed from summed figures, whatever number of transactions stands behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.kernel.money import BPS, half_up_ratio
from services.report.domain.contribution import TaxLabel, TenderLabel
from services.report.domain.figures import NOTHING, Figure, FigureKey, FigureName


@dataclass(frozen=True, slots=True)
class TaxRow:
    """What was taxed with one code, sales - returns."""

    tax_code: str
    """Code of the tax."""
    label: TaxLabel
    """How it was last applied."""
    target: int
    """What was taxed."""
    amount: int
    """The tax."""


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """What was paid with one method, sales - returns."""

    payment_method_code: str
    """Payment method."""
    label: TenderLabel
    """How it was last used."""
    amount: int
    """What was applied - what was refunded."""
    count: int
    """Payments - refunds."""
    share_bps: int
    """Share of all payments in basis points; 0 where these are not more than 0."""


@dataclass(frozen=True, slots=True)
class CashDrawer:
    """What should be in the drawers, and what was counted."""

    expected: int
    """Cash applied and not refunded + all cash movements, signed."""
    counted: int | None
    """What was counted; None until every opening has been."""
    cash_in: Figure
    """Cash put in."""
    cash_out: Figure
    """Cash taken out; its amount is negative or 0."""

    @property
    def difference(self) -> int | None:
        """Counted - expected; None without a count."""
        return None if self.counted is None else self.counted - self.expected


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesReport:
    """What was sold. net + tax = sum of payments."""

    gross: Figure
    """Sales with tax, before discounts."""
    line_discounts: Figure
    """Line discounts of sales."""
    subtotal_discounts: Figure
    """Subtotal discounts of sales."""
    returns: Figure
    """Returns with tax."""
    tax: Figure
    """Taxes of sales - taxes of returns, internal ones included."""
    net: Figure
    """Gross - discounts - returns - tax; units and count of sales - returns."""
    taxes: tuple[TaxRow, ...]
    """Taxes by code."""
    payments: tuple[PaymentRow, ...]
    """Payments by method."""
    cash_drawer: CashDrawer
    """The drawers."""
    transaction_count: int
    """Transactions received, of all kinds."""


def compose(
    figures: Mapping[FigureKey, Figure],
    taxes: Mapping[str, TaxLabel],
    tenders: Mapping[str, TenderLabel],
    counted_cash: int | None,
) -> SalesReport:
    """The report of summed figures; counted_cash is None until every opening reported was counted."""

    def total(name: FigureName) -> Figure:
        return figures.get(FigureKey(name), NOTHING)

    gross, returns, tax = total(FigureName.GROSS), total(FigureName.RETURNS), total(FigureName.TAX)
    line_discounts, subtotal_discounts = total(FigureName.LINE_DISCOUNTS), total(FigureName.SUBTOTAL_DISCOUNTS)
    net = gross.amount - line_discounts.amount - subtotal_discounts.amount - returns.amount - tax.amount
    cash_in, cash_out = total(FigureName.CASH_IN), total(FigureName.CASH_OUT)
    expected = total(FigureName.CASH).amount + cash_in.amount + cash_out.amount
    return SalesReport(
        gross=gross,
        line_discounts=line_discounts,
        subtotal_discounts=subtotal_discounts,
        returns=returns,
        tax=tax,
        net=Figure(net, gross.quantity - returns.quantity, gross.count - returns.count),
        taxes=tuple(_tax_rows(figures, taxes)),
        payments=tuple(_payment_rows(figures, tenders)),
        cash_drawer=CashDrawer(expected, counted_cash, cash_in, cash_out),
        transaction_count=total(FigureName.TRANSACTIONS).count,
    )


def share_bps(amount: int, total: int) -> int:
    """The share of amount in total, half-up; 0 where the total is not more than 0."""
    return half_up_ratio(amount * BPS, total) if total > 0 else 0


def _tax_rows(figures: Mapping[FigureKey, Figure], taxes: Mapping[str, TaxLabel]) -> Iterator[TaxRow]:
    for code in sorted(_codes(figures, FigureName.TAX_OF_CODE) | _codes(figures, FigureName.TAX_TARGET)):
        target = figures.get(FigureKey(FigureName.TAX_TARGET, code), NOTHING)
        amount = figures.get(FigureKey(FigureName.TAX_OF_CODE, code), NOTHING)
        yield TaxRow(code, taxes[code], target.amount, amount.amount)


def _payment_rows(figures: Mapping[FigureKey, Figure], tenders: Mapping[str, TenderLabel]) -> Iterator[PaymentRow]:
    rows = {code: figures[FigureKey(FigureName.PAYMENT, code)] for code in sorted(_codes(figures, FigureName.PAYMENT))}
    total = sum(figure.amount for figure in rows.values())
    for code, figure in rows.items():
        yield PaymentRow(code, tenders[code], figure.amount, figure.count, share_bps(figure.amount, total))


def _codes(figures: Mapping[FigureKey, Figure], name: FigureName) -> set[str]:
    return {key.code for key, figure in figures.items() if key.name is name and figure}
