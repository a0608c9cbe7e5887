"""Movements of stock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.transaction_kind import TransactionKind
from services.stock.domain.movement import (
    Level,
    MovementKind,
    SoldLine,
    change_by_hand,
    changes_of_transaction,
    levels_after,
    moved,
)

LINES = (SoldLine("A", 2, cancelled=False), SoldLine("B", 9, cancelled=True), SoldLine("A", 3, cancelled=False))


@pytest.mark.parametrize(
    ("kind", "sign"),
    [
        (TransactionKind.SALE, -1),
        (TransactionKind.VOID_SALE, 1),
        (TransactionKind.RETURN, 1),
        (TransactionKind.VOID_RETURN, -1),
    ],
)
def test_each_line_moves_by_the_kind_of_its_transaction(kind, sign):
    """Sales and voids of returns take, returns and voids of sales give back; cancelled lines move nothing."""
    changes = changes_of_transaction(kind, LINES)
    assert [(change.item_code, change.kind.value, change.change) for change in changes] == [
        ("A", kind.value, 2 * sign), ("A", kind.value, 3 * sign),
    ]  # fmt: skip


def test_a_cancelled_sale_moves_nothing():
    """What was not sold is still there."""
    assert changes_of_transaction(TransactionKind.CANCELLED_SALE, LINES) == []


@pytest.mark.parametrize(
    ("kind", "quantity", "change"),
    [
        (MovementKind.PURCHASE, 5, 5),
        (MovementKind.INITIAL, 5, 5),
        (MovementKind.TRANSFER_IN, 5, 5),
        (MovementKind.TRANSFER_OUT, 5, -5),
        (MovementKind.DAMAGE, 5, -5),
        (MovementKind.ADJUSTMENT, 5, 5),
        (MovementKind.ADJUSTMENT, -5, -5),
    ],
)
def test_movements_by_hand(kind, quantity, change):
    """The kind says whether units are added or taken; an adjustment goes both ways."""
    assert change_by_hand("A", kind, quantity).change == change


@pytest.mark.parametrize(
    ("kind", "quantity"),
    [(MovementKind.PURCHASE, 0), (MovementKind.DAMAGE, -1), (MovementKind.ADJUSTMENT, 0), (MovementKind.SALE, 1)],
)
def test_what_is_no_movement_by_hand(kind, quantity):
    """Nothing, less than nothing, and sales are not recorded by hand."""
    with pytest.raises(ValueError, match=r"hand|units"):
        change_by_hand("A", kind, quantity)


def test_movements_of_one_item_follow_each_other():
    """Two lines of an item move it one after the other, each with its own before and after; stock may go negative."""
    movements = moved({"A": Level(4, 7)}, changes_of_transaction(TransactionKind.SALE, LINES))
    assert [(one.movement_no, one.before, one.change, one.after) for one in movements] == [
        (8, 4, -2, 2), (9, 2, -3, -1),
    ]  # fmt: skip
    assert levels_after(movements) == {"A": Level(-1, 9)}


def test_an_item_that_was_never_moved_starts_at_nothing():
    """The first movement has number 1 and 0 units before it."""
    (movement,) = moved({}, [change_by_hand("NEW", MovementKind.INITIAL, 30)])
    assert (movement.movement_no, movement.before, movement.after) == (1, 0, 30)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(-9, 9).filter(bool)), max_size=20))
def test_levels_are_the_sum_of_movements(drawn):
    """After any movements each level is the sum of its changes, and numbers have no holes."""
    changes = [change_by_hand(code, MovementKind.ADJUSTMENT, quantity) for code, quantity in drawn]
    movements = moved({}, changes)
    for code, level in levels_after(movements).items():
        own = [one for one in movements if one.item_code == code]
        assert level == Level(sum(one.change for one in own), len(own))
        assert [one.movement_no for one in own] == list(range(1, len(own) + 1))
        assert all(one.after == one.before + one.change for one in own)
