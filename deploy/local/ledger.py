"""The till's own book: what the answers of cart and terminal said was sold. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

SALE, CANCELLED_SALE, RETURN, VOID_SALE, VOID_RETURN = "SALE", "CANCELLED_SALE", "RETURN", "VOID_SALE", "VOID_RETURN"
SIGNS = {SALE: 1, VOID_SALE: -1, RETURN: -1, VOID_RETURN: 1, CANCELLED_SALE: 0}
"""Which way goods and money go: 1 to the customer and into the till, -1 back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One transaction, as its terminal was answered. Amounts are minor units and not negative."""

    kind: str
    """What it did."""
    terminal_no: int
    """Terminal that made it."""
    transaction_no: int
    """Its number there."""
    total: int = 0
    """Goods at their prices, with internal and without external tax."""
    total_with_tax: int = 0
    """What was to be paid."""
    tax: int = 0
    """Internal and external taxes."""
    quantity: int = 0
    """Units of all lines."""
    payments: Mapping[str, int] = field(default_factory=dict)
    """Tender → what was applied or refunded."""
    units: Mapping[str, int] = field(default_factory=dict)
    """Item → units."""

    def undone(self, kind: str, terminal_no: int, transaction_no: int, payments: Mapping[str, int]) -> Transaction:
        """The transaction that takes this one back."""
        return replace(self, kind=kind, terminal_no=terminal_no, transaction_no=transaction_no, payments=payments)


@dataclass(slots=True)
class Ledger:
    """All that happened on a day."""

    transactions: list[Transaction] = field(default_factory=list)
    """In the order they were answered."""
    cash_movements: list[int] = field(default_factory=list)
    """Signed amounts of cash put in and taken out, initial floats included."""


@dataclass(slots=True)
class Figures:
    """Sums of a day, by name; what a service does not know is missing."""

    amounts: dict[str, int] = field(default_factory=dict)
    """Minor units."""
    counts: dict[str, int] = field(default_factory=dict)
    """Numbers of things."""

    def merged(self) -> dict[str, int]:
        """All of them; names do not clash."""
        return {**self.amounts, **self.counts}


def figures_of(ledger: Ledger, cash: str = "cash") -> Figures:
    """What report, journal and stock must come to. A void takes its original back."""
    done = ledger.transactions
    payments: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for one in done:
        for code, amount in one.payments.items():
            payments[code] += SIGNS[one.kind] * amount
        for item, quantity in one.units.items():
            units[item] += SIGNS[one.kind] * quantity
    sales = [(SIGNS[one.kind], one) for one in done if one.kind in {SALE, VOID_SALE}]
    returns = [(-SIGNS[one.kind], one) for one in done if one.kind in {RETURN, VOID_RETURN}]
    moved = sum(ledger.cash_movements)
    amounts = {
        "sales with tax": sum(sign * one.total_with_tax for sign, one in sales),
        "returns with tax": sum(sign * one.total_with_tax for sign, one in returns),
        "tax": sum(SIGNS[one.kind] * one.tax for one in done),
        "net": sum(SIGNS[one.kind] * (one.total_with_tax - one.tax) for one in done),
        "goods at their prices": sum(SIGNS[one.kind] * one.total for one in done),
        **{f"paid: {code}": amount for code, amount in sorted(payments.items())},
        "cash moved by hand": moved,
        "cash in the drawers": moved + payments[cash],
    }
    counts = {
        "sales": sum(sign for sign, _ in sales),
        "units sold": sum(sign * one.quantity for sign, one in sales),
        "returns": sum(sign for sign, _ in returns),
        "units returned": sum(sign * one.quantity for sign, one in returns),
        "transactions": len(done),
        "cash movements": len(ledger.cash_movements),
        **{f"units of {item}": quantity for item, quantity in sorted(units.items())},
    }
    return Figures(amounts, counts)
