"""Arithmetic of discounts on a line and on the subtotal: percents first, then amounts, never more than there is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.kernel.failure import Refused
from services.kernel.money import BPS, check_amount, half_up_rate


class DiscountKind(StrEnum):
    """How a discount is given."""

    PERCENT = "PERCENT"
    AMOUNT = "AMOUNT"


@dataclass(frozen=True, slots=True)
class Discount:
    """A discount as it was asked for."""

    kind: DiscountKind
    """Whether value is a rate or an amount."""
    value: int
    """PERCENT: basis points, 1 to 10,000. AMOUNT: minor units, at least 1."""

    def __post_init__(self) -> None:
        if self.kind is DiscountKind.AMOUNT:
            check_amount(self.value, "discount", minimum=1)
        elif not 1 <= self.value <= BPS:
            raise ValueError("a discount rate is 1 to 10,000 bps")


def line_discount_amounts(unit_price: int, quantity: int, discounts: Sequence[Discount]) -> tuple[int, ...]:
    """What each discount takes off the line, in the order given.

    A percent is taken per unit, of what the earlier percents left of the price.
    """
    return _amounts(unit_price, quantity, discounts)


def subtotal_discount_amounts(base: int, discounts: Sequence[Discount]) -> tuple[int, ...]:
    """What each discount takes off the base, in the order given; a percent, of what the earlier ones left."""
    return _amounts(base, 1, discounts)


def _amounts(unit: int, quantity: int, discounts: Sequence[Discount]) -> tuple[int, ...]:
    amounts = [0] * len(discounts)
    left = unit
    for index in _of_kind(discounts, DiscountKind.PERCENT):
        off = half_up_rate(left, discounts[index].value)
        left -= off
        amounts[index] = off * quantity
    for index in _of_kind(discounts, DiscountKind.AMOUNT):
        amounts[index] = discounts[index].value
    if sum(amounts) > unit * quantity:
        raise Refused(
            "DISCOUNT_TOO_LARGE", "discounts exceed what they are taken from",
            discount=sum(amounts), limit=unit * quantity,
        )  # fmt: skip
    return tuple(amounts)


def _of_kind(discounts: Sequence[Discount], kind: DiscountKind) -> Iterable[int]:
    return (index for index, discount in enumerate(discounts) if discount.kind is kind)
