"""Payment methods."""

import pytest

from services.kernel.failure import InvalidInput
from services.kernel.tender_kind import TenderKind
from services.payment.domain.payment_method import PaymentMethod


def method(*, can_deposit_over: bool, can_change: bool) -> PaymentMethod:
    """A payment method that takes more than is due, or gives change, or not."""
    return PaymentMethod(
        payment_method_code="cash", description="Cash", kind=TenderKind.CASH, can_refund=True,
        can_deposit_over=can_deposit_over, can_change=can_change, limit_amount=0, active=True,
    )  # fmt: skip


@pytest.mark.parametrize(("can_deposit_over", "can_change"), [(True, True), (True, False), (False, False)])
def test_excess_is_change_or_forfeited_or_refused(can_deposit_over, can_change):
    """A method may give change, forfeit the excess, or take none."""
    built = method(can_deposit_over=can_deposit_over, can_change=can_change)
    assert (built.can_deposit_over, built.can_change) == (can_deposit_over, can_change)


def test_change_needs_excess():
    """A method that takes no more than is due has nothing to give back."""
    with pytest.raises(InvalidInput) as refusal:
        method(can_deposit_over=False, can_change=True)
    assert refusal.value.reason == "CHANGE_WITHOUT_DEPOSIT_OVER"
    assert refusal.value.metadata == {"payment_method_code": "cash"}
