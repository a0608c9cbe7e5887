"""The tills' own book."""

from __future__ import annotations

from deploy.local.ledger import RETURN, SALE, VOID_RETURN, VOID_SALE, Ledger, Transaction, figures_of


def sale(number: int, **changes) -> Transaction:
    """A sale of two units of `a` at 50, with 10 external tax, paid in cash."""
    fields = {
        "kind": SALE,
        "terminal_no": 1,
        "transaction_no": number,
        "total": 100,
        "total_with_tax": 110,
        "tax": 10,
        "quantity": 2,
        "payments": {"cash": 110},
        "units": {"a": 2},
    }
    return Transaction(**{**fields, **changes})


def test_sums_sales():
    """Amounts, units, tenders and the drawer are summed over the sales and the cash that was moved."""
    figures = figures_of(Ledger([sale(1), sale(2, payments={"card": 110})], [1000, -200]))
    assert figures.amounts == {
        "sales with tax": 220,
        "returns with tax": 0,
        "tax": 20,
        "net": 200,
        "goods at their prices": 200,
        "paid: card": 110,
        "paid: cash": 110,
        "cash moved by hand": 800,
        "cash in the drawers": 910,
    }
    assert figures.counts["units of a"] == 4
    assert (figures.counts["sales"], figures.counts["transactions"]) == (2, 2)


def test_a_void_leaves_nothing():
    """A voided sale leaves no amount and no unit, but both of its transactions."""
    one = sale(1)
    figures = figures_of(Ledger([one, one.undone(VOID_SALE, 1, 2, one.payments)]))
    assert set(figures.amounts.values()) == {0}
    assert (figures.counts["sales"], figures.counts["units of a"], figures.counts["transactions"]) == (0, 0, 2)


def test_a_return_stands_beside_its_sale():
    """A return takes tax, goods and money back, and leaves the sale in the sales."""
    one = sale(1, payments={"card": 110})
    figures = figures_of(Ledger([one, one.undone(RETURN, 2, 1, {"cash": 110})]))
    assert (figures.amounts["sales with tax"], figures.amounts["returns with tax"]) == (110, 110)
    assert (figures.amounts["paid: card"], figures.amounts["paid: cash"], figures.amounts["net"]) == (110, -110, 0)
    assert (figures.counts["units returned"], figures.counts["units of a"]) == (2, 0)


def test_a_voided_return_leaves_the_sale():
    """After the void of its return a sale is as if it had never been taken back."""
    one = sale(1)
    back = one.undone(RETURN, 1, 2, {"cash": 110})
    figures = figures_of(Ledger([one, back, back.undone(VOID_RETURN, 1, 3, back.payments)]))
    alone = figures_of(Ledger([one]))
    assert figures.amounts == alone.amounts
    assert {**figures.counts, "transactions": 1} == alone.counts
