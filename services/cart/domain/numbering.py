"""Numbers of transactions and receipts: per terminal, without holes; receipts wrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

RECEIPT_LOWEST = 111_111
RECEIPT_HIGHEST = 999_999


@dataclass(frozen=True, slots=True)
class ReceiptRange:
    """The numbers that receipts of a terminal run through, both ends included."""

    first: int = RECEIPT_LOWEST
    """Number of the first receipt, and of the one after the last."""
    last: int = RECEIPT_HIGHEST
    """Highest number."""

    def __post_init__(self) -> None:
        if not RECEIPT_LOWEST <= self.first <= self.last <= RECEIPT_HIGHEST:
            raise ValueError("receipt numbers run within 111111 to 999999")


@dataclass(frozen=True, slots=True)
class TransactionNumbers:
    """The numbers of one transaction of a terminal."""

    transaction_no: int
    """From 1 without holes."""
    receipt_no: int
    """Within the range of the time."""


TakeNumbers = Callable[[], TransactionNumbers]
"""Takes the next numbers of the terminal; called once, and only when the transaction is certain."""


def next_receipt_no(last: int | None, allowed: ReceiptRange) -> int:
    """The number after last; the first of the range after its end, or where last is outside it."""
    if last is None or not allowed.first <= last < allowed.last:
        return allowed.first
    return last + 1


def next_numbers(last: TransactionNumbers | None, allowed: ReceiptRange) -> TransactionNumbers:
    """The numbers after last; None where the terminal has made no transaction yet."""
    if last is None:
        return TransactionNumbers(1, next_receipt_no(None, allowed))
    return TransactionNumbers(last.transaction_no + 1, next_receipt_no(last.receipt_no, allowed))
