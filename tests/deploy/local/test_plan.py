"""What customers are planned to do."""

from __future__ import annotations

from collections import Counter

import pytest

from deploy.local.goods import GOODS
from deploy.local.plan import plan_day


def test_same_seed_same_day():
    """A day follows from its seed, so that one that failed can be traded again."""
    assert plan_day(50, GOODS, 7) == plan_day(50, GOODS, 7)
    assert plan_day(50, GOODS, 7) != plan_day(50, GOODS, 8)


@pytest.mark.parametrize("sales", [1, 37, 500])
def test_has_exactly_the_sales_asked_for(sales):
    """Baskets that are given up come beside the sales, never instead of them."""
    assert sum(basket.outcome == "sale" for basket in plan_day(sales, GOODS, 3)) == sales


def test_a_long_day_has_everything():
    """In a day of five hundred sales every kind of thing that can happen to a sale happens."""
    day = plan_day(500, GOODS, 1)
    assert {basket.outcome for basket in day} == {"sale", "given up", "empty"}
    assert {basket.afterwards for basket in day} == {"", "void", "return", "return and void"}
    assert len({basket.tender for basket in day}) == 6
    for what in ("corrected", "cancelled", "forgotten", "cash_movement"):
        assert any(getattr(basket, what) for basket in day), what


def test_always_leaves_something_to_sell():
    """The only line of a sale is never cancelled."""
    day = [basket for basket in plan_day(500, GOODS, 2) if basket.cancelled]
    assert all(len(basket.lines) > 1 for basket in day)
    assert Counter(basket.cancelled <= len(basket.lines) for basket in day) == {True: len(day)}
