"""What a cart costs: line amounts, subtotal discounts shared out, taxes, totals. Computed anew at every change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.cart.domain.cart import Cart, Line
from services.cart.domain.discount import line_discount_amounts, subtotal_discount_amounts
from services.cart.domain.tax import TaxAmount, external_tax, taxes_of
from services.kernel.allocation import allocate
from services.kernel.failure import Refused
from services.kernel.money import MAX_MINOR_UNITS


@dataclass(frozen=True, slots=True)
class PricedLine:
    """A line and what it comes to."""

    line: Line
    """The line."""
    discount: int
    """Sum of its discounts."""
    amount: int
    """unit price * quantity - discount."""
    allocated: int = 0
    """Its share of the subtotal discounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a cart comes to; cancelled lines count nowhere."""

    line_count: int
    """Lines."""
    quantity: int
    """Units."""
    line_discount: int
    """Sum of the lines' discounts."""
    subtotal_discount: int
    """Sum of the subtotal discounts."""
    total: int
    """Line amounts - subtotal discounts."""
    total_with_tax: int
    """total + external taxes."""
    paid: int
    """What payments have applied."""
    balance: int
    """total_with_tax - paid."""
    change: int
    """What was given back of deposits."""


@dataclass(frozen=True, slots=True)
class Bill:
    """Everything computed from a cart."""

    lines: tuple[PricedLine, ...]
    """All lines by number."""
    taxes: tuple[TaxAmount, ...]
    """Taxes of the lines that are not cancelled, by code."""
    totals: Totals
    """The sums."""


def bill_of(cart: Cart) -> Bill:
    """The bill of the cart, or a refusal if its discounts exceed what they are taken from."""
    priced = [price_line(line) for line in cart.lines]
    base = [entry for entry in priced if _in_discount_base(entry.line)]
    discount = sum(subtotal_discount_amounts(sum(entry.amount for entry in base), cart.subtotal_discounts))
    lines = _allocate(priced, base, discount) if discount else tuple(priced)
    active = [entry for entry in lines if not entry.line.cancelled]
    taxes = taxes_of((entry.line.item.tax, entry.amount - entry.allocated) for entry in active)
    return Bill(lines, taxes, _totals(cart, active, discount, external_tax(taxes)))


def price_line(line: Line) -> PricedLine:
    """The line with its amount."""
    listed = line.item.unit_price * line.quantity
    discount = sum(line_discount_amounts(line.item.unit_price, line.quantity, line.discounts)) if line.discounts else 0
    return PricedLine(line, discount, listed - discount)


def _in_discount_base(line: Line) -> bool:
    return not line.cancelled and not line.item.discount_restricted


def _allocate(priced: Iterable[PricedLine], base: Sequence[PricedLine], discount: int) -> tuple[PricedLine, ...]:
    shares = allocate(discount, [entry.amount for entry in base])
    by_line = {entry.line.line_no: share for entry, share in zip(base, shares, strict=True)}
    return tuple(
        PricedLine(entry.line, entry.discount, entry.amount, by_line.get(entry.line.line_no, 0)) for entry in priced
    )


def _totals(cart: Cart, active: Sequence[PricedLine], subtotal_discount: int, external: int) -> Totals:
    total = sum(entry.amount for entry in active) - subtotal_discount
    paid = sum(payment.applied for payment in cart.payments)
    listed = sum(entry.amount + entry.discount for entry in active)
    if max(listed, total + external) > MAX_MINOR_UNITS:
        raise Refused("TOTAL_TOO_LARGE", "the cart comes to more than can be sold", limit=MAX_MINOR_UNITS)
    return Totals(
        line_count=len(active),
        quantity=sum(entry.line.quantity for entry in active),
        line_discount=sum(entry.discount for entry in active),
        subtotal_discount=subtotal_discount,
        total=total,
        total_with_tax=total + external,
        paid=paid,
        balance=total + external - paid,
        change=sum(payment.change for payment in cart.payments),
    )
