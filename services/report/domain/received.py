"""What a report is made from: transactions and cash movements, as far as figures need them."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.tax_kind import TaxKind
from services.kernel.tender_kind import TenderKind
from services.kernel.transaction_kind import TransactionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedLine:
    """One line of a transaction."""

    tax_code: str
    """Its tax."""
    quantity: int
    """Units."""
    line_discount: int
    """Sum of its line discounts."""
    amount: int
    """Price * quantity - line discount."""
    cancelled: bool
    """It counts nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedTax:
    """The tax of one code."""

    tax_code: str
    """Code of the tax."""
    kind: TaxKind
    """How it relates to prices."""
    rate_bps: int
    """Rate in basis points."""
    target: int
    """What was taxed."""
    amount: int
    """The tax."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedPayment:
    """One payment or refund."""

    payment_method_code: str
    """Payment method."""
    description: str
    """Its description when it was used."""
    kind: TenderKind
    """Its kind when it was used."""
    applied: int
    """What it paid, or gave back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedTransaction:
    """One transaction; its amounts get their sign from its kind."""

    kind: TransactionKind
    """What it did."""
    lines: tuple[ReceivedLine, ...]
    """Its lines, cancelled ones included."""
    taxes: tuple[ReceivedTax, ...]
    """Its taxes by code."""
    payments: tuple[ReceivedPayment, ...]
    """Its payments, or refunds."""
    subtotal_discount: int
    """Sum of its subtotal discounts."""
    total_with_tax: int
    """What was paid for it."""
    quantity: int
    """Units of the lines that are not cancelled."""

    @property
    def active_lines(self) -> tuple[ReceivedLine, ...]:
        """The lines that are not cancelled."""
        return tuple(line for line in self.lines if not line.cancelled)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedCashMovement:
    """Cash that moved without a sale."""

    kind: CashMovementKind
    """Which way."""
    amount: int
    """Minor units, signed: cash out is negative."""
