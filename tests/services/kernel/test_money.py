"""Rounding and bounds of money."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel import money
from services.kernel.failure import InvalidInput

AMOUNTS = st.integers(-money.MAX_MINOR_UNITS, money.MAX_MINOR_UNITS)
RATES = st.integers(0, money.BPS)


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(0, 7, 0), (1, 2, 1), (-1, 2, -1), (3, 2, 2), (-3, 2, -2), (149, 100, 1), (-149, 100, -1), (7, 1, 7)],
)
def test_halves_go_away_from_zero(numerator, denominator, rounded):
    """A half is rounded away from zero on both sides, anything less towards the nearest."""
    assert money.half_up_ratio(numerator, denominator) == rounded


@given(AMOUNTS, st.integers(1, 10**9))
def test_half_up_is_nearest_and_odd(numerator, denominator):
    """The rounded ratio is never more than half away from the true one, and changes sign with it."""
    rounded = money.half_up_ratio(numerator, denominator)
    assert abs(Fraction(numerator, denominator) - rounded) <= Fraction(1, 2)
    assert money.half_up_ratio(-numerator, denominator) == -rounded


@pytest.mark.parametrize("denominator", [0, -1])
def test_a_ratio_needs_a_positive_denominator(denominator):
    """A ratio to nothing, or to less, is a defect of the caller."""
    with pytest.raises(ValueError, match="positive"):
        money.half_up_ratio(1, denominator)


@given(st.integers(0, money.MAX_MINOR_UNITS), RATES)
def test_floored_rates_are_floors(amount, rate_bps):
    """An added rate and a contained one are the floors of their exact values."""
    assert money.floor_rate(amount, rate_bps) == Fraction(amount * rate_bps, 10_000) // 1
    assert money.floor_contained_rate(amount, rate_bps) == Fraction(amount * rate_bps, 10_000 + rate_bps) // 1


@given(st.integers(0, money.MAX_MINOR_UNITS), RATES)
def test_a_rate_never_takes_more_than_the_amount(amount, rate_bps):
    """A rate of at most 100 % stays within the amount."""
    assert 0 <= money.half_up_rate(amount, rate_bps) <= amount


@pytest.mark.parametrize(("currency_code", "exponent"), [("JPY", 0), ("USD", 2), ("KWD", 3)])
def test_known_currencies_have_their_exponent(currency_code, exponent):
    """The minor unit of a known currency has its decimal places."""
    assert money.currency_exponent(currency_code) == exponent


@pytest.mark.parametrize("currency_code", ["XXX", "jpy", ""])
def test_an_unknown_currency_is_refused(currency_code):
    """Money is not kept in a currency whose minor unit is not known."""
    with pytest.raises(InvalidInput) as refusal:
        money.currency_exponent(currency_code)
    assert refusal.value.reason == "CURRENCY_UNKNOWN"
    assert refusal.value.metadata == {"currency_code": currency_code}


@pytest.mark.parametrize("minor_units", [-1, money.MAX_MINOR_UNITS + 1, 2**63 - 1])
def test_amounts_outside_their_bounds_are_refused(minor_units):
    """No amount is below its minimum or above the largest there is."""
    with pytest.raises(InvalidInput) as refusal:
        money.check_amount(minor_units, "unit_price")
    assert refusal.value.reason == "MONEY_INVALID"
    assert refusal.value.metadata == {"field": "unit_price", "minor_units": str(minor_units)}


def test_amounts_within_their_bounds_pass():
    """Both bounds belong to the range."""
    assert money.check_amount(0, "unit_price") == 0
    assert money.check_amount(money.MAX_MINOR_UNITS, "unit_price") == money.MAX_MINOR_UNITS
