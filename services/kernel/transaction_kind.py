"""Kinds of transactions, and the sign each has in sales, returns, money and stock."""

from __future__ import annotations

from enum import StrEnum


class TransactionKind(StrEnum):
    """What a transaction did."""

    SALE = "SALE"
    CANCELLED_SALE = "CANCELLED_SALE"
    RETURN = "RETURN"
    VOID_SALE = "VOID_SALE"
    VOID_RETURN = "VOID_RETURN"

    @property
    def sales_sign(self) -> int:
        """+1 for a sale, -1 for its void, else 0."""
        return _SALES_SIGN.get(self, 0)

    @property
    def returns_sign(self) -> int:
        """+1 for a return, -1 for its void, else 0."""
        return _RETURNS_SIGN.get(self, 0)

    @property
    def money_sign(self) -> int:
        """+1 where payments come in, -1 where they are given back, 0 where nothing was paid."""
        return self.sales_sign - self.returns_sign

    @property
    def stock_sign(self) -> int:
        """-1 where goods leave the store, +1 where they come back, 0 where nothing moves."""
        return -self.money_sign


_SALES_SIGN = {TransactionKind.SALE: 1, TransactionKind.VOID_SALE: -1}
_RETURNS_SIGN = {TransactionKind.RETURN: 1, TransactionKind.VOID_RETURN: -1}
