"""Integer arithmetic on money: minor units, basis points, rounding. Never a float."""

from __future__ import annotations

from services.kernel.failure import InvalidInput

BPS = 10_000
"""Basis points in a whole: 10 % is 1000."""

MAX_MINOR_UNITS = 10**15
"""No amount is larger, either way; sums of many still fit 64 bits."""

CURRENCY_EXPONENTS = {
    "AUD": 2, "BHD": 3, "CAD": 2, "CHF": 2, "CNY": 2, "EUR": 2, "GBP": 2, "HKD": 2, "INR": 2,
    "JPY": 0, "KRW": 0, "KWD": 3, "NZD": 2, "SGD": 2, "THB": 2, "TWD": 2, "USD": 2, "VND": 0,
}  # fmt: skip
"""Decimal places of the minor unit, by ISO 4217 code."""


def half_up_ratio(numerator: int, denominator: int) -> int:
    """The ratio numerator ÷ denominator, rounded to the nearest integer, .5 away from zero."""
    if denominator <= 0:
        raise ValueError("denominator must be positive")
    rounded = (2 * abs(numerator) + denominator) // (2 * denominator)
    return rounded if numerator >= 0 else -rounded


def half_up_rate(amount: int, rate_bps: int) -> int:
    """rate_bps of amount, rounded half-up."""
    return half_up_ratio(amount * rate_bps, BPS)


def floor_rate(amount: int, rate_bps: int) -> int:
    """rate_bps of amount, floored: a rate that is added to the amount."""
    return amount * rate_bps // BPS


def floor_contained_rate(amount: int, rate_bps: int) -> int:
    """The part of amount that a rate contained in it makes up, floored."""
    return amount * rate_bps // (BPS + rate_bps)


def currency_exponent(currency_code: str) -> int:
    """Decimal places of the currency's minor unit."""
    try:
        return CURRENCY_EXPONENTS[currency_code]
    except KeyError:
        raise InvalidInput(
            "CURRENCY_UNKNOWN", "the currency's minor unit is not known", currency_code=currency_code
        ) from None


def check_amount(minor_units: int, field: str, *, minimum: int = 0, maximum: int = MAX_MINOR_UNITS) -> int:
    """The amount, or a refusal if it is outside its bounds."""
    if not minimum <= minor_units <= maximum:
        raise InvalidInput(
            "MONEY_INVALID", f"{field} must be from {minimum} to {maximum}", field=field, minor_units=minor_units
        )
    return minor_units
