"""Signs of kinds, and what a failure tells."""

import pytest

from services.kernel.cash_movement_kind import CashMovementKind
from services.kernel.failure import DomainFailure, Refused
from services.kernel.transaction_kind import TransactionKind


@pytest.mark.parametrize(
    ("kind", "sales", "returns", "money", "stock"),
    [
        (TransactionKind.SALE, 1, 0, 1, -1),
        (TransactionKind.VOID_SALE, -1, 0, -1, 1),
        (TransactionKind.RETURN, 0, 1, -1, 1),
        (TransactionKind.VOID_RETURN, 0, -1, 1, -1),
        (TransactionKind.CANCELLED_SALE, 0, 0, 0, 0),
    ],
)
def test_signs_of_transactions(kind, sales, returns, money, stock):
    """A void undoes what its original did, everywhere; a cancelled sale does nothing."""
    assert (kind.sales_sign, kind.returns_sign, kind.money_sign, kind.stock_sign) == (sales, returns, money, stock)


def test_signs_of_cash_movements():
    """Cash in adds to the drawer, cash out takes from it."""
    assert (CashMovementKind.CASH_IN.sign, CashMovementKind.CASH_OUT.sign) == (1, -1)


def test_a_failure_tells_its_parts():
    """A failure carries its reason, and its dynamic parts as text."""
    failure = Refused("BALANCE_DUE", "the cart is not paid", balance=146)
    assert isinstance(failure, DomainFailure)
    assert (failure.reason, failure.message, failure.metadata) == (
        "BALANCE_DUE", "the cart is not paid", {"balance": "146"},
    )  # fmt: skip
    assert str(failure) == "BALANCE_DUE: the cart is not paid"
