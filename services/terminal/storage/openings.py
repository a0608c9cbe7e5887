"""Openings and their closes in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import sqlalchemy as sa

from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.terminal.domain.records import CloseRecord, OpenRecord
from services.terminal.storage.tables import OPENING


@dataclass(frozen=True, slots=True)
class ListedOpening:
    """An opening as it stands now."""

    terminal_id: TerminalId
    """Whose it is."""
    opening: Opening
    """Which one."""
    close: CloseRecord | None
    """How it ended; None while it is OPENED."""


def add(connection: sa.Connection, record: OpenRecord) -> None:
    """Adds a new opening."""
    values = {
        **_key(record.terminal_id, record.opening),
        "business_date": record.opening.business_date,
        "open_counter": record.opening.open_counter,
        "initial_float": record.initial_float,
        "open_staff_id": record.staff.staff_id,
        "open_staff_name": record.staff.name,
        "open_time": record.create_time,
    }
    connection.execute(sa.insert(OPENING).values(values))


def close(connection: sa.Connection, record: CloseRecord) -> None:
    """Writes how an opening ended."""
    where = (OPENING.c[name] == value for name, value in _key(record.terminal_id, record.opening).items())
    values = {
        "close_staff_id": record.staff.staff_id,
        "close_staff_name": record.staff.name,
        "close_time": record.create_time,
        "transaction_count": record.transaction_count,
        "last_transaction_no": record.last_transaction_no,
        "cash_movement_count": record.cash_movement_count,
        "last_cash_movement_time": record.last_cash_movement_time,
        "counted_cash": record.counted_cash,
    }
    connection.execute(sa.update(OPENING).where(*where).values(values))


def of_day(connection: sa.Connection, tenant_id: str, store_code: str, business_date: date) -> list[ListedOpening]:
    """All openings of a store on one business date, by terminal and counter."""
    query = sa.select(OPENING).where(
        OPENING.c.tenant_id == tenant_id,
        OPENING.c.store_code == store_code,
        OPENING.c.business_date == business_date,
    )
    rows = connection.execute(query.order_by(OPENING.c.terminal_no, OPENING.c.business_counter))
    return [_listed(row) for row in rows]


def _key(terminal_id: TerminalId, opening: Opening) -> dict[str, Any]:
    return {
        "tenant_id": terminal_id.tenant_id,
        "store_code": terminal_id.store_code,
        "terminal_no": terminal_id.terminal_no,
        "business_counter": opening.business_counter,
    }


def _listed(row: Any) -> ListedOpening:
    terminal_id = TerminalId(row.tenant_id, row.store_code, row.terminal_no)
    opening = Opening(row.business_date, row.open_counter, row.business_counter)
    if row.close_time is None:
        return ListedOpening(terminal_id, opening, None)
    record = CloseRecord(
        terminal_id=terminal_id,
        opening=opening,
        staff=SignedInStaff(row.close_staff_id, row.close_staff_name),
        transaction_count=row.transaction_count,
        last_transaction_no=row.last_transaction_no,
        cash_movement_count=row.cash_movement_count,
        last_cash_movement_time=row.last_cash_movement_time,
        counted_cash=row.counted_cash,
        create_time=row.close_time,
    )
    return ListedOpening(terminal_id, opening, record)
