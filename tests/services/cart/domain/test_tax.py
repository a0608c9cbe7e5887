"""Taxes of a cart."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cart.domain.tax import TaxAmount, TaxRule, external_tax, taxes_of
from services.kernel.money import MAX_MINOR_UNITS
from services.kernel.tax_kind import TaxKind
from tests.services.cart.domain.trade import TAXES

TARGETS = st.lists(
    st.tuples(st.sampled_from(sorted(TAXES.values(), key=lambda rule: rule.tax_code)), st.integers(0, 10**9)),
    max_size=20,
)


@pytest.mark.parametrize(
    ("tax_code", "target", "tax"),
    [("01", 190, 19), ("01", 177, 17), ("01", 166, 16), ("02", 600, 54), ("02", 503, 45), ("02", 464, 42),
     ("11", 98, 7), ("12", 108, 8), ("00", 500, 0), ("01", 0, 0), ("02", 9, 0), ("02", 11, 1)],
)  # fmt: skip
def test_known_taxes(tax_code, target, tax):
    """External and internal taxes are floored; exempt is none."""
    assert TAXES[tax_code].tax_on(target) == tax


@given(st.integers(0, MAX_MINOR_UNITS), st.integers(0, 10_000))
def test_taxes_are_exact_floors(target, rate_bps):
    """A tax is the floor of its exact value, however large the target."""
    rate = Fraction(rate_bps, 10_000)
    assert TaxRule("x", TaxKind.EXTERNAL, rate_bps).tax_on(target) == (target * rate) // 1
    assert TaxRule("x", TaxKind.INTERNAL, rate_bps).tax_on(target) == (target * rate / (1 + rate)) // 1


@given(TARGETS)
def test_one_tax_per_code_on_the_sum(targets):
    """Each code is taxed once, on the sum of its targets, and codes come in order."""
    taxes = taxes_of(targets)
    assert [tax.rule.tax_code for tax in taxes] == sorted({rule.tax_code for rule, _ in targets})
    for tax in taxes:
        assert tax.target == sum(target for rule, target in targets if rule == tax.rule)
        assert tax.amount == tax.rule.tax_on(tax.target)


def test_only_external_taxes_add_to_the_total():
    """Internal taxes are in the prices already."""
    taxes = [TaxAmount(TAXES["01"], 177, 17), TaxAmount(TAXES["02"], 503, 45), TaxAmount(TAXES["11"], 98, 7)]
    assert external_tax(taxes) == 24


@pytest.mark.parametrize(("kind", "rate_bps"), [("EXTERNAL", -1), ("INTERNAL", 10_001), ("EXEMPT", 1)])
def test_a_bad_tax_cannot_be_built(kind, rate_bps):
    """Rates lie between nothing and all, and exempt has none."""
    with pytest.raises(ValueError, match="rate"):
        TaxRule("x", TaxKind(kind), rate_bps)
