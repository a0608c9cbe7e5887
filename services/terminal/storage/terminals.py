"""Terminals in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.kernel.terminal_state import TerminalState
from services.terminal.domain.terminal import CashCount, FunctionMode, Terminal, terminal_missing, terminal_taken
from services.terminal.storage.tables import TERMINAL

_PLACE = sa.tuple_(TERMINAL.c.store_code, TERMINAL.c.terminal_no)


def find(connection: sa.Connection, terminal_id: TerminalId) -> Terminal | None:
    """The terminal, if there is one."""
    row = connection.execute(sa.select(TERMINAL).where(*_key(terminal_id))).first()
    return _terminal(row) if row is not None else None


def get(connection: sa.Connection, terminal_id: TerminalId) -> Terminal:
    """The terminal; NotFound / TERMINAL_NOT_FOUND."""
    terminal = find(connection, terminal_id)
    if terminal is None:
        raise terminal_missing(terminal_id)
    return terminal


def page(
    connection: sa.Connection, tenant_id: str, *, store_code: str, after: tuple[str, int], limit: int
) -> list[Terminal]:
    """Terminals by store and number, after one; of all stores where store_code is empty."""
    query = sa.select(TERMINAL).where(TERMINAL.c.tenant_id == tenant_id, after < _PLACE)
    if store_code:
        query = query.where(TERMINAL.c.store_code == store_code)
    rows = connection.execute(query.order_by(TERMINAL.c.store_code, TERMINAL.c.terminal_no).limit(limit))
    return [_terminal(row) for row in rows]


def add(connection: sa.Connection, terminal: Terminal) -> None:
    """Adds a new terminal; AlreadyExists / TERMINAL_EXISTS."""
    terminal_id = terminal.terminal_id
    if find(connection, terminal_id) is not None:
        raise terminal_taken(terminal_id)
    place = {"store_code": terminal_id.store_code, "terminal_no": terminal_id.terminal_no}
    connection.execute(sa.insert(TERMINAL).values(tenant_id=terminal_id.tenant_id, **place, **_values(terminal)))


def replace(connection: sa.Connection, terminal: Terminal) -> None:
    """Writes all fields of a terminal that exists."""
    connection.execute(sa.update(TERMINAL).where(*_key(terminal.terminal_id)).values(**_values(terminal)))


def _key(terminal_id: TerminalId) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        TERMINAL.c.tenant_id == terminal_id.tenant_id,
        TERMINAL.c.store_code == terminal_id.store_code,
        TERMINAL.c.terminal_no == terminal_id.terminal_no,
    )


def _values(terminal: Terminal) -> dict[str, Any]:
    opening, staff = terminal.opening, terminal.staff
    return {
        "description": terminal.description,
        "state": terminal.state,
        "function_mode": terminal.function_mode,
        "business_date": opening.business_date if opening else None,
        "open_counter": opening.open_counter if opening else 0,
        "business_counter": opening.business_counter if opening else 0,
        "staff_id": staff.staff_id if staff else None,
        "staff_name": staff.name if staff else None,
        "movement_no": terminal.movement_no,
        "cash_movement_count": terminal.cash_count.count,
        "last_cash_movement_time": terminal.cash_count.last_time,
    }


def _terminal(row: Any) -> Terminal:
    never_opened = row.business_date is None
    return Terminal(
        terminal_id=TerminalId(row.tenant_id, row.store_code, row.terminal_no),
        description=row.description,
        state=TerminalState(row.state),
        function_mode=FunctionMode(row.function_mode),
        opening=None if never_opened else Opening(row.business_date, row.open_counter, row.business_counter),
        staff=SignedInStaff(row.staff_id, row.staff_name) if row.staff_id is not None else None,
        movement_no=row.movement_no,
        cash_count=CashCount(count=row.cash_movement_count, last_time=row.last_cash_movement_time),
    )
