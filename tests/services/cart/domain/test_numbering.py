"""Numbers of transactions and receipts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cart.domain.numbering import ReceiptRange, TransactionNumbers, next_numbers, next_receipt_no

RANGES = st.tuples(st.integers(111_111, 999_999), st.integers(111_111, 999_999)).map(
    lambda ends: ReceiptRange(min(ends), max(ends))
)


@pytest.mark.parametrize(
    ("last", "allowed", "following"),
    [
        (None, ReceiptRange(), 111_111),
        (111_111, ReceiptRange(), 111_112),
        (999_999, ReceiptRange(), 111_111),
        (200_010, ReceiptRange(200_000, 200_010), 200_000),
        (150_000, ReceiptRange(200_000, 200_010), 200_000),
        (300_000, ReceiptRange(200_000, 200_010), 200_000),
        (200_000, ReceiptRange(200_000, 200_000), 200_000),
    ],
)
def test_receipts_run_through_their_range(last, allowed, following):
    """Receipt numbers count up, wrap after the last, and start over where the range was changed."""
    assert next_receipt_no(last, allowed) == following


@given(RANGES, st.none() | st.integers(111_111, 999_999))
def test_a_receipt_number_is_always_in_range(allowed, last):
    """Whatever came before, the next number lies in the range."""
    assert allowed.first <= next_receipt_no(last, allowed) <= allowed.last


def test_transactions_count_from_one():
    """Transaction numbers go on when receipt numbers wrap."""
    allowed = ReceiptRange(200_000, 200_001)
    numbers = [next_numbers(None, allowed)]
    for _ in range(3):
        numbers.append(next_numbers(numbers[-1], allowed))
    assert numbers == [
        TransactionNumbers(1, 200_000), TransactionNumbers(2, 200_001), TransactionNumbers(3, 200_000),
        TransactionNumbers(4, 200_001),
    ]  # fmt: skip


@pytest.mark.parametrize(("first", "last"), [(111_110, 999_999), (111_111, 1_000_000), (300_000, 200_000)])
def test_a_bad_range_cannot_be_built(first, last):
    """A range lies within 111111 to 999999 and does not end before it begins."""
    with pytest.raises(ValueError, match="111111"):
        ReceiptRange(first, last)
