"""Cash movements in the database, never changed. Every function runs inside the caller's transaction."""

from __future__ import annotations

import sqlalchemy as sa

from services.terminal.domain.records import CashMovement
from services.terminal.storage.tables import CASH_MOVEMENT


def add(connection: sa.Connection, movement: CashMovement) -> None:
    """Adds a movement; its opening holds its business date."""
    values = {
        "tenant_id": movement.terminal_id.tenant_id,
        "store_code": movement.terminal_id.store_code,
        "terminal_no": movement.terminal_id.terminal_no,
        "movement_no": movement.movement_no,
        "business_counter": movement.opening.business_counter,
        "kind": movement.kind,
        "amount": movement.amount,
        "comment": movement.comment,
        "is_initial_float": movement.is_initial_float,
        "staff_id": movement.staff.staff_id,
        "staff_name": movement.staff.name,
        "create_time": movement.create_time,
    }
    connection.execute(sa.insert(CASH_MOVEMENT).values(values))
