"""Movements of stock: what changes it, by how much, from what to what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.kernel.transaction_kind import TransactionKind


class MovementKind(StrEnum):
    """Why stock changes: the first four by a transaction, the others by hand."""

    SALE = "SALE"
    VOID_SALE = "VOID_SALE"
    RETURN = "RETURN"
    VOID_RETURN = "VOID_RETURN"
    PURCHASE = "PURCHASE"
    ADJUSTMENT = "ADJUSTMENT"
    INITIAL = "INITIAL"
    DAMAGE = "DAMAGE"
    TRANSFER_IN = "TRANSFER_IN"
    TRANSFER_OUT = "TRANSFER_OUT"


SIGN_BY_HAND = {
    MovementKind.PURCHASE: 1,
    MovementKind.ADJUSTMENT: 1,
    MovementKind.INITIAL: 1,
    MovementKind.DAMAGE: -1,
    MovementKind.TRANSFER_IN: 1,
    MovementKind.TRANSFER_OUT: -1,
}
"""Whether a movement by hand adds or takes; an ADJUSTMENT of fewer units than none takes."""


@dataclass(frozen=True, slots=True)
class Level:
    """How much of an item a store has."""

    quantity: int = 0
    """Units; may be negative."""
    movement_no: int = 0
    """Number of the last movement of the item in the store; 0 if it was never moved."""


@dataclass(frozen=True, slots=True)
class SoldLine:
    """One line of a transaction."""

    item_code: str
    """What was sold."""
    quantity: int
    """Units."""
    cancelled: bool
    """The line moves nothing."""


@dataclass(frozen=True, slots=True)
class StockChange:
    """A change that is to be made."""

    item_code: str
    """Of which item."""
    kind: MovementKind
    """Why."""
    change: int
    """By how many units, signed."""


@dataclass(frozen=True, slots=True)
class Movement:
    """A change that was made."""

    item_code: str
    """Of which item."""
    movement_no: int
    """Number of the movement of the item in the store, from 1 without holes."""
    kind: MovementKind
    """Why."""
    change: int
    """By how many units, signed."""
    before: int
    """Units before."""
    after: int
    """Units after: before + change."""


def changes_of_transaction(kind: TransactionKind, lines: Iterable[SoldLine]) -> list[StockChange]:
    """One change for each line that is not cancelled, in order; a cancelled sale changes nothing."""
    if not kind.stock_sign:
        return []
    return [
        StockChange(line.item_code, MovementKind(kind.value), kind.stock_sign * line.quantity)
        for line in lines
        if not line.cancelled
    ]


def change_by_hand(item_code: str, kind: MovementKind, quantity: int) -> StockChange:
    """A change by hand; quantity is more than 0, or with ADJUSTMENT anything but 0."""
    if kind not in SIGN_BY_HAND:
        raise ValueError(f"{kind} is not made by hand")
    if quantity == 0 or (quantity < 0 and kind is not MovementKind.ADJUSTMENT):
        raise ValueError("a movement has more than 0 units; only an adjustment may have fewer")
    return StockChange(item_code, kind, SIGN_BY_HAND[kind] * quantity)


def moved(levels: Mapping[str, Level], changes: Sequence[StockChange]) -> list[Movement]:
    """The changes made one after the other on levels, which holds the items that were ever moved."""
    now = dict(levels)
    movements = []
    for change in changes:
        level = now.get(change.item_code, Level())
        after = Level(level.quantity + change.change, level.movement_no + 1)
        now[change.item_code] = after
        movements.append(
            Movement(change.item_code, after.movement_no, change.kind, change.change, level.quantity, after.quantity)
        )
    return movements


def levels_after(movements: Iterable[Movement]) -> dict[str, Level]:
    """The level of every item that moved, after its last movement."""
    return {movement.item_code: Level(movement.after, movement.movement_no) for movement in movements}
