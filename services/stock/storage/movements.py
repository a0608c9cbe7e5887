"""Stock and what moved it. Every function runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.stock.domain.movement import Level, Movement, MovementKind, StockChange, levels_after, moved
from services.stock.storage.tables import MOVEMENT, STOCK

_S = STOCK.c
_M = MOVEMENT.c
# Made once: putting a statement together costs more than running it.
_IN_STORE = (_S.tenant_id == sa.bindparam("at_tenant_id"), _S.store_code == sa.bindparam("at_store_code"))
_LEVELS = (
    sa.select(_S.item_code, _S.quantity, _S.movement_no)
    .where(*_IN_STORE, _S.item_code.in_(sa.bindparam("codes", expanding=True)))
    .order_by(_S.item_code)
    .with_for_update()  # where writers work side by side, none must pass another here
)
_CHANGE = sa.update(STOCK).where(*_IN_STORE, _S.item_code == sa.bindparam("code"))
_ADD = sa.insert(STOCK)
_ADD_MOVEMENT = sa.insert(MOVEMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why and when something moved."""

    create_time: datetime
    """When."""
    comment: str = ""
    """Why, in words."""
    terminal_no: int = 0
    """Terminal of the transaction that caused it; 0 if none did."""
    transaction_no: int = 0
    """Number of that transaction; 0 if none did."""


@dataclass(frozen=True, slots=True)
class StoredStock:
    """How much of an item a store has."""

    item_code: str
    """The item."""
    quantity: int
    """Units."""
    update_time: datetime | None
    """When it was last moved; None if never."""


@dataclass(frozen=True, slots=True)
class StoredMovement:
    """A movement and its cause."""

    movement: Movement
    """The movement."""
    cause: Cause
    """Why and when."""


def move(
    connection: sa.Connection, tenant_id: str, store_code: str, changes: Sequence[StockChange], cause: Cause
) -> list[StoredMovement]:
    """Makes all changes, one after the other, and keeps a movement of each."""
    store = {"tenant_id": tenant_id, "store_code": store_code}
    codes = list(dict.fromkeys(change.item_code for change in changes))
    levels = _levels(connection, store, codes)
    stored = [StoredMovement(movement, cause) for movement in moved(levels, changes)]
    if stored:
        after = levels_after(one.movement for one in stored)
        _change(connection, store, {code: after[code] for code in codes if code in levels}, cause.create_time)
        _add(connection, store, {code: after[code] for code in codes if code not in levels}, cause.create_time)
        connection.execute(_ADD_MOVEMENT, [{**store, **_values(one)} for one in stored])
    return stored


def get(connection: sa.Connection, tenant_id: str, store_code: str, item_code: str) -> StoredStock:
    """The stock of an item; 0 if it was never moved."""
    here = (_S.tenant_id == tenant_id, _S.store_code == store_code, _S.item_code == item_code)
    row = connection.execute(sa.select(_S.quantity, _S.update_time).where(*here)).first()
    return StoredStock(item_code, row.quantity, row.update_time) if row else StoredStock(item_code, 0, None)


def page(connection: sa.Connection, tenant_id: str, store_code: str, *, after: str, limit: int) -> list[StoredStock]:
    """The stock of a store by item, after one."""
    query = sa.select(_S.item_code, _S.quantity, _S.update_time).where(
        _S.tenant_id == tenant_id, _S.store_code == store_code, _S.item_code > after
    )
    return [StoredStock(**row._mapping) for row in connection.execute(query.order_by(_S.item_code).limit(limit))]


def movements(
    connection: sa.Connection, tenant_id: str, store_code: str, item_code: str, *, before: int | None, limit: int
) -> list[StoredMovement]:
    """Movements of an item, newest first, below a number."""
    query = sa.select(MOVEMENT).where(_M.tenant_id == tenant_id, _M.store_code == store_code, _M.item_code == item_code)
    if before is not None:
        query = query.where(_M.movement_no < before)
    return [_stored(row) for row in connection.execute(query.order_by(_M.movement_no.desc()).limit(limit))]


def _levels(connection: sa.Connection, store: dict[str, str], codes: Sequence[str]) -> dict[str, Level]:
    rows = connection.execute(_LEVELS, {**_at(store), "codes": codes})
    return {row.item_code: Level(row.quantity, row.movement_no) for row in rows}


def _change(connection: sa.Connection, store: dict[str, str], levels: dict[str, Level], now: datetime) -> None:
    """Writes the levels of items that were moved before."""
    if levels:
        connection.execute(_CHANGE, [{**_at(store), "code": code, **_row(levels[code], now)} for code in levels])


def _add(connection: sa.Connection, store: dict[str, str], levels: dict[str, Level], now: datetime) -> None:
    """Writes the levels of items that were never moved before."""
    if levels:
        connection.execute(_ADD, [{**store, "item_code": code, **_row(levels[code], now)} for code in levels])


def _at(store: dict[str, str]) -> dict[str, str]:
    return {f"at_{name}": value for name, value in store.items()}


def _row(level: Level, now: datetime) -> dict[str, Any]:
    return {"quantity": level.quantity, "movement_no": level.movement_no, "update_time": now}


def _values(stored: StoredMovement) -> dict[str, Any]:
    movement, cause = stored.movement, stored.cause
    return {
        "item_code": movement.item_code,
        "movement_no": movement.movement_no,
        "kind": movement.kind,
        "change": movement.change,
        "before": movement.before,
        "after": movement.after,
        "comment": cause.comment,
        "terminal_no": cause.terminal_no,
        "transaction_no": cause.transaction_no,
        "create_time": cause.create_time,
    }


def _stored(row: sa.Row[Any]) -> StoredMovement:
    movement = Movement(
        row.item_code, row.movement_no, MovementKind(row.kind), row.change, row._mapping["before"], row.after
    )
    cause = Cause(
        create_time=row.create_time,
        comment=row.comment,
        terminal_no=row.terminal_no,
        transaction_no=row.transaction_no,
    )
    return StoredMovement(movement, cause)
