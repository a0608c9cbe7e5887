"""Arithmetic of discounts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cart.domain.discount import Discount, DiscountKind, line_discount_amounts, subtotal_discount_amounts
from services.kernel.failure import Refused


def percent(percents: int) -> Discount:
    """A discount of so many percent."""
    return Discount(DiscountKind.PERCENT, percents * 100)


def off(minor_units: int) -> Discount:
    """A discount of an amount."""
    return Discount(DiscountKind.AMOUNT, minor_units)


DISCOUNTS = st.lists(
    st.builds(Discount, st.just(DiscountKind.PERCENT), st.integers(1, 10_000))
    | st.builds(Discount, st.just(DiscountKind.AMOUNT), st.integers(1, 5_000)),
    max_size=5,
)


@pytest.mark.parametrize(
    ("price", "quantity", "discounts", "amounts"),
    [
        (98, 3, [percent(33)], (96,)),
        (1000, 2, [off(50), percent(10)], (50, 200)),
        (1000, 2, [percent(10), percent(20)], (200, 360)),
        (5, 1, [percent(50)], (3,)),
        (100, 1, [percent(100)], (100,)),
        (100, 1, [], ()),
    ],
)
def test_known_line_discounts(price, quantity, discounts, amounts):
    """Percents come first, per unit and half-up on what is left; then amounts, whatever the order given."""
    assert line_discount_amounts(price, quantity, discounts) == amounts


@pytest.mark.parametrize(
    ("base", "discounts", "amounts"),
    [
        (730, [off(50)], (50,)),
        (1000, [percent(10), percent(20)], (100, 180)),
        (1000, [off(100), percent(10)], (100, 100)),
        (5, [percent(50)], (3,)),
    ],
)
def test_known_subtotal_discounts(base, discounts, amounts):
    """Each percent of a subtotal is half-up on what the earlier left; then amounts."""
    assert subtotal_discount_amounts(base, discounts) == amounts


@pytest.mark.parametrize(
    ("price", "quantity", "discounts", "discount", "limit"),
    [(100, 2, [off(201)], "201", "200"), (100, 1, [percent(50), off(51)], "101", "100"), (0, 5, [off(1)], "1", "0")],
)
def test_more_than_there_is_is_refused(price, quantity, discounts, discount, limit):
    """Discounts beyond the line are refused, never cut down."""
    with pytest.raises(Refused) as refusal:
        line_discount_amounts(price, quantity, discounts)
    assert refusal.value.reason == "DISCOUNT_TOO_LARGE"
    assert refusal.value.metadata == {"discount": discount, "limit": limit}


@given(st.integers(0, 10**6), st.integers(1, 100), DISCOUNTS)
def test_discounts_stay_within_the_line(price, quantity, discounts):
    """What is not refused lies between nothing and the whole line, one amount for each discount."""
    try:
        amounts = line_discount_amounts(price, quantity, discounts)
    except Refused:
        return
    assert len(amounts) == len(discounts)
    assert all(amount >= 0 for amount in amounts)
    assert sum(amounts) <= price * quantity


@given(st.integers(0, 10**6), DISCOUNTS)
def test_a_subtotal_is_a_line_of_one(base, discounts):
    """On one unit, line and subtotal discounts are the same arithmetic."""
    try:
        amounts = line_discount_amounts(base, 1, discounts)
    except Refused:
        with pytest.raises(Refused):
            subtotal_discount_amounts(base, discounts)
    else:
        assert subtotal_discount_amounts(base, discounts) == amounts


@pytest.mark.parametrize("rate_bps", [0, -1, 10_001])
def test_a_bad_rate_cannot_be_built(rate_bps):
    """A discount takes more than nothing and no more than all."""
    with pytest.raises(ValueError, match="rate"):
        Discount(DiscountKind.PERCENT, rate_bps)
