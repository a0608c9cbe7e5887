"""Taxes of a cart: floors of what was taxed, once per tax code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.kernel.money import BPS, floor_contained_rate, floor_rate
from services.kernel.tax_kind import TaxKind


@dataclass(frozen=True, slots=True)
class TaxRule:
    """A tax as it was when a line was added."""

    tax_code: str
    """Code of the tax."""
    kind: TaxKind
    """How it relates to prices."""
    rate_bps: int
    """Rate in basis points, 0 to 10,000; 0 with EXEMPT."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate_bps <= BPS or (self.kind is TaxKind.EXEMPT and self.rate_bps):
            raise ValueError("a rate is 0 to 10,000 bps, and 0 where exempt")

    def tax_on(self, target: int) -> int:
        """The tax on target, which is not negative."""
        if self.kind is TaxKind.EXTERNAL:
            return floor_rate(target, self.rate_bps)
        if self.kind is TaxKind.INTERNAL:
            return floor_contained_rate(target, self.rate_bps)
        return 0


@dataclass(frozen=True, slots=True)
class TaxAmount:
    """The tax of one code in one cart."""

    rule: TaxRule
    """What was applied."""
    target: int
    """What was taxed: line amounts less their shares of the subtotal discounts."""
    amount: int
    """The tax."""


def taxes_of(targets: Iterable[tuple[TaxRule, int]]) -> tuple[TaxAmount, ...]:
    """One tax per code, by code, on the sum of the code's targets."""
    sums: dict[TaxRule, int] = {}
    for rule, target in targets:
        sums[rule] = sums.get(rule, 0) + target
    by_code = sorted(sums.items(), key=lambda entry: entry[0].tax_code)
    return tuple(TaxAmount(rule, target, rule.tax_on(target)) for rule, target in by_code)


def external_tax(taxes: Iterable[TaxAmount]) -> int:
    """What the taxes add to the total."""
    return sum(tax.amount for tax in taxes if tax.rule.kind is TaxKind.EXTERNAL)
