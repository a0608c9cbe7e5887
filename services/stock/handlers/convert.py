"""Stock between the domain and the wire."""

from __future__ import annotations

from pos.stock.v1 import stock_pb2

from services.stock.domain.movement import MovementKind
from services.stock.storage.movements import StoredMovement, StoredStock
from services.wire.dates import to_timestamp
from services.wire.kinds import from_enum, to_enum


def to_stock(store_code: str, stock: StoredStock) -> stock_pb2.Stock:
    """How much of an item a store has."""
    return stock_pb2.Stock(
        store_code=store_code,
        item_code=stock.item_code,
        quantity=stock.quantity,
        update_time=to_timestamp(stock.update_time) if stock.update_time else None,
    )


def to_movement(store_code: str, stored: StoredMovement) -> stock_pb2.Movement:
    """One movement."""
    movement, cause = stored.movement, stored.cause
    return stock_pb2.Movement(
        movement_no=movement.movement_no,
        store_code=store_code,
        item_code=movement.item_code,
        kind=to_enum(stock_pb2.Movement.Kind, movement.kind),
        change=movement.change,
        before=movement.before,
        after=movement.after,
        comment=cause.comment,
        terminal_no=cause.terminal_no,
        transaction_no=cause.transaction_no,
        create_time=to_timestamp(cause.create_time),
    )


def from_kind(number: int) -> MovementKind:
    """Why stock changes."""
    return from_enum(stock_pb2.Movement.Kind, MovementKind, number)
