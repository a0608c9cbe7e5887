"""The logs that figures were made from, as they came. A number is received once: a second log of it is an error."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from services.report.domain.scope import Place
from services.report.storage.tables import RECEIVED_CASH_MOVEMENT, RECEIVED_TRANSACTION

_ADD_TRANSACTION = sa.insert(RECEIVED_TRANSACTION)
_ADD_CASH_MOVEMENT = sa.insert(RECEIVED_CASH_MOVEMENT)


def add_transaction(connection: sa.Connection, place: Place, transaction_no: int, log: bytes) -> None:
    """Keeps a transaction log."""
    connection.execute(_ADD_TRANSACTION, {**_terminal(place), "transaction_no": transaction_no, "log": log})


def add_cash_movement(connection: sa.Connection, place: Place, movement_no: int, log: bytes) -> None:
    """Keeps a cash log."""
    connection.execute(_ADD_CASH_MOVEMENT, {**_terminal(place), "movement_no": movement_no, "log": log})


def transactions(connection: sa.Connection, tenant_id: str) -> Iterator[bytes]:
    """All transaction logs of a tenant."""
    return _logs(connection, RECEIVED_TRANSACTION, tenant_id)


def cash_movements(connection: sa.Connection, tenant_id: str) -> Iterator[bytes]:
    """All cash logs of a tenant."""
    return _logs(connection, RECEIVED_CASH_MOVEMENT, tenant_id)


def _logs(connection: sa.Connection, table: sa.Table, tenant_id: str) -> Iterator[bytes]:
    for row in connection.execute(sa.select(table.c.log).where(table.c.tenant_id == tenant_id)):
        yield row.log


def _terminal(place: Place) -> dict[str, object]:
    return {
        "tenant_id": place.terminal_id.tenant_id,
        "store_code": place.terminal_id.store_code,
        "terminal_no": place.terminal_id.terminal_no,
        "business_date": place.opening.business_date,
    }
