"""What was received of each opening, and what its close counted. Every function runs in the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from trunkline.storage import Instant

from services.kernel.opening import Opening
from services.report.domain.daily import OpeningId, ReceivedOpening, Tally
from services.report.domain.scope import Place, Scope
from services.report.storage.keys import at, here, key_of, within
from services.report.storage.tables import OPENING

_O = OPENING.c
_HERE = sa.update(OPENING).where(*at(OPENING))
_number, _time = sa.bindparam("number", type_=sa.BigInteger), sa.bindparam("time", type_=Instant)
_TRANSACTION = _HERE.values(
    transaction_count=_O.transaction_count + 1,
    last_transaction_no=sa.case((_O.last_transaction_no > _number, _O.last_transaction_no), else_=_number),
)
_CASH_MOVEMENT = _HERE.values(
    cash_movement_count=_O.cash_movement_count + 1,
    last_cash_movement_time=sa.case((_O.last_cash_movement_time > _time, _O.last_cash_movement_time), else_=_time),
)
_OPENED = _HERE.values(open_time=_time)


def note_transaction(connection: sa.Connection, place: Place, transaction_no: int) -> None:
    """Counts a transaction that was received."""
    _change(connection, place, _TRANSACTION, number=transaction_no)


def note_cash_movement(connection: sa.Connection, place: Place, create_time: datetime) -> None:
    """Counts a cash movement that was received."""
    _change(connection, place, _CASH_MOVEMENT, time=create_time)


def note_opened(connection: sa.Connection, place: Place, create_time: datetime) -> None:
    """Notes an open log."""
    _change(connection, place, _OPENED, time=create_time)


def note_closed(
    connection: sa.Connection, place: Place, create_time: datetime, closing: Tally, counted_cash: int | None
) -> None:
    """Notes a close log."""
    closed = _HERE.values(
        close_time=create_time,
        closing_transaction_count=closing.transaction_count,
        closing_last_transaction_no=closing.last_transaction_no,
        closing_cash_movement_count=closing.cash_movement_count,
        closing_last_cash_movement_time=closing.last_cash_movement_time,
        counted_cash=counted_cash,
    )
    _change(connection, place, closed)


def received(connection: sa.Connection, scope: Scope) -> dict[OpeningId, ReceivedOpening]:
    """The openings of a scope that anything was received of."""
    rows = connection.execute(sa.select(OPENING).where(*within(OPENING, scope)))
    return {
        OpeningId(row.terminal_no, Opening(row.business_date, row.open_counter, row.business_counter)): ReceivedOpening(
            Tally(
                transaction_count=row.transaction_count,
                last_transaction_no=row.last_transaction_no,
                cash_movement_count=row.cash_movement_count,
                last_cash_movement_time=row.last_cash_movement_time,
            ),
            _closing(row) if row.close_time is not None else None,
            row.counted_cash,
        )
        for row in rows
    }


def _closing(row: sa.Row[Any]) -> Tally:
    return Tally(
        transaction_count=row.closing_transaction_count,
        last_transaction_no=row.closing_last_transaction_no,
        cash_movement_count=row.closing_cash_movement_count,
        last_cash_movement_time=row.closing_last_cash_movement_time,
    )


def _change(connection: sa.Connection, place: Place, change: sa.Update, **values: Any) -> None:
    """Changes the row of a place, which the first log of the opening makes, whichever it is."""
    values |= here(place)
    if connection.execute(change, values).rowcount:
        return
    connection.execute(
        sa.insert(OPENING).values(
            **key_of(place),
            business_counter=place.opening.business_counter,
            transaction_count=0,
            last_transaction_no=0,
            cash_movement_count=0,
        )
    )
    connection.execute(change, values)
