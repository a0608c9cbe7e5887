"""Carts and transactions as documents."""

import json
from dataclasses import replace

import pytest

from services.cart.domain import checkout
from services.cart.domain.cart import Cart
from services.cart.domain.discount import Discount, DiscountKind
from services.cart.domain.document import from_document, to_document
from services.cart.domain.record_document import record_from_document, record_to_document
from services.cart.domain.undo import RefundRequest, Standing, void
from tests.services.cart.domain.trade import LATER, TILL, Numbers, cart_with, new_cart, paid_cart, sale


def discounted_cart() -> Cart:
    """A cart with discounts of both kinds, on a line and on the subtotal."""
    cart = cart_with(("A", 2), ("LOCKED", 1))
    line = replace(cart.lines[0], discounts=(Discount(DiscountKind.PERCENT, 1000), Discount(DiscountKind.AMOUNT, 5)))
    return replace(cart, lines=(line, cart.lines[1]), subtotal_discounts=(Discount(DiscountKind.AMOUNT, 50),))


@pytest.mark.parametrize(
    "cart",
    [
        new_cart(),
        checkout.cancel_line(cart_with(("A", 2), ("B", 1)), 1).cart,
        paid_cart(("A", 2), ("LOCKED", 1)),
        checkout.finalise(paid_cart(("A", 2)), Numbers(), LATER).cart,
        checkout.cancel(new_cart(), Numbers(), LATER).cart,
        discounted_cart(),
    ],
    ids=["idle", "cancelled-line", "paid", "completed", "cancelled", "discounted"],
)
def test_a_cart_survives_its_document(cart):
    """A cart is found again from the text of its document."""
    assert from_document(json.loads(json.dumps(to_document(cart)))) == cart


def test_a_record_survives_its_document():
    """Sales, cancelled sales and voids are found again from the text of their documents."""
    numbers = Numbers()
    sold = sale(numbers, ("A", 2), ("B", 1))
    voided = void(sold, Standing(), TILL, [RefundRequest("cash", 420)], numbers, LATER).record
    cancelled = checkout.cancel(cart_with(("A", 2)), numbers, LATER).record
    assert cancelled is not None
    for record in (sold, voided, cancelled):
        assert record_from_document(json.loads(json.dumps(record_to_document(record)))) == record
