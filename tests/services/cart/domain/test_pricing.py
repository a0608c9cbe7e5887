"""What a cart costs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cart.domain import checkout
from services.cart.domain.cart import Cart, Line
from services.cart.domain.checkout import LineRequest
from services.cart.domain.discount import Discount, DiscountKind
from services.cart.domain.pricing import bill_of
from services.kernel.failure import Refused
from services.kernel.money import MAX_MINOR_UNITS
from services.kernel.tax_kind import TaxKind
from tests.services.cart.domain.trade import CASH, OFFERS, TAXES, cart_with, new_cart, sold_item


def amounts_off(*minor_units: int) -> tuple[Discount, ...]:
    """Discounts of amounts."""
    return tuple(Discount(DiscountKind.AMOUNT, amount) for amount in minor_units)


def discount_line(cart: Cart, line_no: int, *discounts: Discount) -> Cart:
    """The cart with other discounts on one line."""
    line = replace(cart.line(line_no), discounts=discounts)
    return replace(cart, lines=tuple(line if old.line_no == line_no else old for old in cart.lines))


def sums(cart: Cart) -> tuple[int, int]:
    """Total without and with tax."""
    totals = bill_of(cart).totals
    return totals.total, totals.total_with_tax


def taxes(cart: Cart) -> dict[str, tuple[int, int]]:
    """Target and tax per code."""
    return {tax.rule.tax_code: (tax.target, tax.amount) for tax in bill_of(cart).taxes}


def test_the_worked_example():
    """The example of the rules comes out to the yen at every step."""
    cart = cart_with(("A", 2))
    assert sums(cart) == (200, 220)
    cart = discount_line(cart, 1, *amounts_off(10))
    assert sums(cart) == (190, 209)
    cart = checkout.add_lines(cart, [LineRequest("B", 3)], OFFERS).cart
    assert sums(cart) == (790, 809)
    assert taxes(cart)["02"] == (600, 54)
    cart = discount_line(cart, 2, Discount(DiscountKind.PERCENT, 1000))
    assert sums(cart) == (730, 749)
    cart = checkout.subtotal(cart).cart
    cart = replace(cart, subtotal_discounts=amounts_off(50))
    assert sums(cart) == (680, 697)
    assert [line.allocated for line in bill_of(cart).lines] == [13, 37]
    assert taxes(cart) == {"01": (177, 17), "02": (503, 45)}
    cart = replace(cart, subtotal_discounts=amounts_off(100))
    assert sums(cart) == (630, 646)
    assert [line.allocated for line in bill_of(cart).lines] == [26, 74]
    assert taxes(cart) == {"01": (164, 16), "02": (466, 42)}
    paid = checkout.add_payment(cart, CASH, 1000)
    assert paid.bill.totals.change == 354
    assert paid.bill.totals.balance == 0


def test_cancelled_lines_count_nowhere():
    """A cancelled line keeps its amount and leaves every sum, tax and count."""
    bill = checkout.cancel_line(cart_with(("A", 2), ("B", 3)), 2).bill
    assert [(line.amount, line.line.cancelled) for line in bill.lines] == [(200, False), (600, True)]
    assert (bill.totals.total, bill.totals.quantity, bill.totals.line_count) == (200, 2, 1)
    assert [tax.rule.tax_code for tax in bill.taxes] == ["01"]


def test_restricted_lines_bear_no_share():
    """A subtotal discount is taken from unrestricted lines, and their amounts alone are its base."""
    cart = cart_with(("LOCKED", 1), ("A", 2))
    bill = bill_of(replace(cart, subtotal_discounts=(Discount(DiscountKind.PERCENT, 1000),)))
    assert [line.allocated for line in bill.lines] == [0, 20]
    with pytest.raises(Refused) as refusal:
        bill_of(replace(cart, subtotal_discounts=amounts_off(201)))
    assert refusal.value.reason == "DISCOUNT_TOO_LARGE"


def test_a_change_that_a_discount_no_longer_fits_is_refused():
    """A subtotal discount is computed anew at every change; where it does not fit, the change fails."""
    cart = replace(cart_with(("A", 2), ("B", 1)), subtotal_discounts=amounts_off(250))
    assert checkout.change_quantity(cart, 1, 1).bill.totals.total == 50
    with pytest.raises(Refused):
        checkout.cancel_line(cart, 1)


def test_sums_beyond_the_largest_amount_are_refused():
    """A cart never comes to more than an amount can be."""
    dear = {"A": checkout.Offer(sold_item("A", MAX_MINOR_UNITS, "00"))}
    cart = checkout.add_lines(new_cart(), [LineRequest("A", 1)], dear).cart
    with pytest.raises(Refused) as more_units:
        checkout.change_quantity(cart, 1, 1_000_000)
    with pytest.raises(Refused) as more_lines:
        checkout.add_lines(cart, [LineRequest("A", 1, unit_price=1)], dear)
    for refusal in (more_units.value, more_lines.value):
        assert (refusal.reason, refusal.metadata) == ("TOTAL_TOO_LARGE", {"limit": str(MAX_MINOR_UNITS)})


LINES = st.lists(
    st.tuples(
        st.sampled_from(sorted(TAXES)), st.integers(0, 10**6), st.integers(1, 50), st.booleans(), st.booleans(),
        st.integers(0, 10_000),
    ),
    max_size=12,
)  # fmt: skip


@given(LINES, st.integers(0, 10_000))
def test_bills_add_up(drawn, subtotal_bps):
    """Totals, shares and taxes agree with each other, whatever is in the cart."""
    lines = tuple(
        Line(
            line_no=number, quantity=quantity, cancelled=cancelled,
            item=sold_item("X", price, code, restricted=restricted),
            discounts=(Discount(DiscountKind.PERCENT, bps),) if bps else (),
        )
        for number, (code, price, quantity, restricted, cancelled, bps) in enumerate(drawn, 1)
    )  # fmt: skip
    discounts = (Discount(DiscountKind.PERCENT, subtotal_bps),) if subtotal_bps else ()
    bill = bill_of(replace(new_cart(), lines=lines, subtotal_discounts=discounts))
    active = [line for line in bill.lines if not line.line.cancelled]
    totals = bill.totals
    assert sum(line.allocated for line in bill.lines) == totals.subtotal_discount
    assert all(0 <= line.allocated <= line.amount for line in active)
    assert all(line.allocated == 0 for line in bill.lines if line.line.cancelled or line.line.item.discount_restricted)
    assert (
        sum(line.amount for line in active) - totals.subtotal_discount
        == totals.total
        == totals.balance - sum(tax.amount for tax in bill.taxes if tax.rule.kind is TaxKind.EXTERNAL)
    )
    assert sum(tax.target for tax in bill.taxes) == totals.total >= 0
