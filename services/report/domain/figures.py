"""Figures of reports: signed sums that a void takes back whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Figure:
    """A sum of money, of units and of occurrences."""

    amount: int = 0
    """Minor units, signed."""
    quantity: int = 0
    """Units of the lines concerned, signed."""
    count: int = 0
    """Transactions concerned (payments, cash movements), signed."""

    def __add__(self, other: Figure) -> Figure:
        return Figure(self.amount + other.amount, self.quantity + other.quantity, self.count + other.count)

    def __sub__(self, other: Figure) -> Figure:
        return self + other.times(-1)

    def times(self, sign: int) -> Figure:
        """The figure with this sign: +1, -1, or 0 for nothing."""
        return Figure(sign * self.amount, sign * self.quantity, sign * self.count)

    def __bool__(self) -> bool:
        return self != NOTHING


NOTHING = Figure()
"""Nothing at all; a figure without a row is this."""


class FigureName(StrEnum):
    """What is kept running. TAX_OF_CODE, TAX_TARGET and PAYMENT have a code each; the others have none."""

    GROSS = "GROSS"
    LINE_DISCOUNTS = "LINE_DISCOUNTS"
    SUBTOTAL_DISCOUNTS = "SUBTOTAL_DISCOUNTS"
    RETURNS = "RETURNS"
    TAX = "TAX"
    TAX_OF_CODE = "TAX_OF_CODE"
    TAX_TARGET = "TAX_TARGET"
    PAYMENT = "PAYMENT"
    CASH = "CASH"
    CASH_IN = "CASH_IN"
    CASH_OUT = "CASH_OUT"
    TRANSACTIONS = "TRANSACTIONS"


@dataclass(frozen=True, slots=True, order=True)
class FigureKey:
    """Which figure."""

    name: FigureName
    """What is summed."""
    code: str = ""
    """Tax code or payment method code; empty where the name says it all."""


def summed(figures: Iterable[tuple[FigureKey, Figure]]) -> dict[FigureKey, Figure]:
    """The sum per key, without what came to nothing."""
    sums: dict[FigureKey, Figure] = {}
    for key, figure in figures:
        sums[key] = sums.get(key, NOTHING) + figure
    return {key: figure for key, figure in sums.items() if figure}
