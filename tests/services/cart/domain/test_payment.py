"""Rules of tenders."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cart.domain.payment import apply_payment, find_tender, refund
from services.kernel.failure import InvalidInput, NotFound, Refused
from tests.services.cart.domain.trade import CARD, CASH, TENDERS, VOUCHER


@pytest.mark.parametrize(
    ("tender", "deposit", "balance", "applied", "change", "forfeited"),
    [
        (CASH, 1000, 646, 646, 354, 0),
        (CASH, 600, 646, 600, 0, 0),
        (CASH, 646, 646, 646, 0, 0),
        (CARD, 646, 646, 646, 0, 0),
        (CARD, 1, 646, 1, 0, 0),
        (VOUCHER, 1000, 646, 646, 0, 354),
        (VOUCHER, 5000, 9000, 5000, 0, 0),
    ],
)
def test_what_becomes_of_a_deposit(tender, deposit, balance, applied, change, forfeited):
    """At most the balance is applied; the excess is change where the tender gives it, else forfeited."""
    payment = apply_payment(tender, deposit, balance)
    assert (payment.deposit, payment.applied, payment.change, payment.forfeited) == (
        deposit, applied, change, forfeited,
    )  # fmt: skip
    assert (payment.payment_method_code, payment.description, payment.kind) == (
        tender.payment_method_code, tender.description, tender.kind,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tender", "deposit", "balance", "reason", "metadata"),
    [
        (replace(CASH, active=False), 100, 100, "PAYMENT_METHOD_INACTIVE", {"payment_method_code": "cash"}),
        (CASH, 100, 0, "NOTHING_TO_PAY", {"balance": "0"}),
        (VOUCHER, 5001, 9000, "DEPOSIT_OVER_LIMIT",
         {"payment_method_code": "voucher", "deposit": "5001", "limit": "5000"}),
        (CARD, 700, 646, "DEPOSIT_OVER_BALANCE", {"payment_method_code": "card", "deposit": "700", "balance": "646"}),
    ],
)  # fmt: skip
def test_refused_deposits(tender, deposit, balance, reason, metadata):
    """Each rule of a tender refuses with its own reason."""
    with pytest.raises(Refused) as refusal:
        apply_payment(tender, deposit, balance)
    assert (refusal.value.reason, refusal.value.metadata) == (reason, metadata)


@pytest.mark.parametrize("deposit", [0, -1, 10**15 + 1])
def test_a_deposit_is_a_positive_amount(deposit):
    """Nothing, less, and more than an amount can be, are no deposits."""
    with pytest.raises(InvalidInput) as refusal:
        apply_payment(CASH, deposit, 100)
    assert refusal.value.reason == "MONEY_INVALID"


@given(st.sampled_from([CASH, CARD, VOUCHER]), st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_deposit_is_divided_without_rest(tender, deposit, balance):
    """Applied, change and forfeited make up the deposit, and never overpay."""
    try:
        payment = apply_payment(tender, deposit, balance)
    except Refused:
        assert tender is not CASH
        return
    assert payment.applied + payment.change + payment.forfeited == deposit
    assert 0 < payment.applied <= balance
    assert payment.change == 0 or payment.forfeited == 0


def test_a_refund_gives_the_amount_back():
    """A refund applies what it hands over."""
    payment = refund(CARD, 646)
    assert (payment.deposit, payment.applied, payment.change, payment.forfeited) == (646, 646, 0, 0)


@pytest.mark.parametrize(
    ("tender", "reason"), [(VOUCHER, "REFUND_NOT_ALLOWED"), (replace(CARD, active=False), "PAYMENT_METHOD_INACTIVE")]
)
def test_refused_refunds(tender, reason):
    """Money goes back to active tenders that can be refunded to, only."""
    with pytest.raises(Refused) as refusal:
        refund(tender, 646)
    assert refusal.value.reason == reason


def test_an_unknown_tender_is_refused():
    """A payment method that does not exist takes no money."""
    assert find_tender(TENDERS, "cash") is CASH
    with pytest.raises(NotFound) as refusal:
        find_tender(TENDERS, "beads")
    assert refusal.value.reason == "PAYMENT_METHOD_NOT_FOUND"
    assert refusal.value.metadata == {"payment_method_code": "beads"}
