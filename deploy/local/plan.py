"""What customers will do on a day, drawn from a seed. Pure: the same seed gives the same day."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from deploy.local.goods import Good

_AFTERWARDS = ("", "void", "return", "return and void")
_AFTERWARDS_WEIGHTS = (90, 4, 4, 2)
_TENDERS = ("cash", "exact cash", "card", "code", "voucher and cash", "card and cash")
_TENDERS_WEIGHTS = (40, 5, 25, 15, 10, 5)
_GIVEN_UP = 0.04
_EMPTY = 0.02
_EVERY_CASH_MOVEMENT = 25


@dataclass(frozen=True, slots=True)
class Basket:
    """What one customer does."""

    lines: tuple[tuple[str, int], ...]
    """Item codes and units, in the order they are scanned."""
    corrected: int = 0
    """Line whose units are changed to one more; 0 none."""
    cancelled: int = 0
    """Line that is cancelled; 0 none."""
    forgotten: str = ""
    """Item that is remembered after the subtotal, so that the cart is resumed; empty none."""
    tender: str = "cash"
    """How it is paid."""
    outcome: str = "sale"
    """`sale`; `given up` with lines in the cart; `empty` before the first line."""
    afterwards: str = ""
    """What is done with the sale at once: `void`, `return`, `return and void` of the return."""
    cash_movement: int = 0
    """Cash put into the drawer afterwards, in minor units; negative: taken out; 0: neither."""


def plan_day(sales: int, goods: Sequence[Good], seed: int) -> list[Basket]:
    """A day of so many sales. Baskets that are given up come beside them."""
    dice = random.Random(seed)
    baskets: list[Basket] = []
    for number in range(1, sales + 1):
        drawn = dice.random()
        if drawn < _EMPTY:
            baskets.append(Basket((), outcome="empty"))
        elif drawn < _EMPTY + _GIVEN_UP:
            baskets.append(Basket(_lines(dice, goods), outcome="given up"))
        baskets.append(_sale(dice, goods, number))
    return baskets


def _sale(dice: random.Random, goods: Sequence[Good], number: int) -> Basket:
    lines = _lines(dice, goods)
    return Basket(
        lines,
        corrected=dice.randint(1, len(lines)) if dice.random() < 0.1 else 0,
        # One line must be left, or there is nothing to pay.
        cancelled=len(lines) if len(lines) > 1 and dice.random() < 0.1 else 0,
        forgotten=dice.choice(goods).item_code if dice.random() < 0.05 else "",
        tender=dice.choices(_TENDERS, _TENDERS_WEIGHTS)[0],
        afterwards=dice.choices(_AFTERWARDS, _AFTERWARDS_WEIGHTS)[0],
        cash_movement=dice.choice((10_000, -3_000)) if number % _EVERY_CASH_MOVEMENT == 0 else 0,
    )


def _lines(dice: random.Random, goods: Sequence[Good]) -> tuple[tuple[str, int], ...]:
    count = dice.choices((1, 2, 3, 4, 5, 8), (20, 25, 20, 15, 15, 5))[0]
    return tuple((dice.choice(goods).item_code, dice.choices((1, 2, 3, 6), (70, 18, 8, 4))[0]) for _ in range(count))
