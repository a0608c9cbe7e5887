"""Entries in the database: only added, never changed. Every function runs inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from services.journal.domain.entry import Entry, EntryKind, Occurrence
from services.journal.domain.search import Bounds, Mark, Search
from services.journal.storage.tables import ENTRY
from services.kernel.failure import NotFound
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff

_E = ENTRY.c
# Made once: putting a statement together costs more than running it.
_ADD = sa.insert(ENTRY)
_SHOWN = [column for column in ENTRY.columns if column is not _E.payload]
_THERE = sa.select(_E.entry_id).where(
    _E.tenant_id == sa.bindparam("tenant_id"), _E.entry_id == sa.bindparam("entry_id")
)


@dataclass(frozen=True, slots=True)
class Position:
    """The place of an event among those of its key."""

    topic: str
    """Topic it came on."""
    key: str
    """What order is kept by."""
    number: int
    """Its number, from 1."""


def add(connection: sa.Connection, entry: Entry, position: Position, payload: bytes) -> None:
    """Adds the row of an event, unless it is there. payload: as it came, with what this release does not know of it."""
    values = {**_values(entry, position), "payload": payload}
    if connection.execute(_THERE, {name: values[name] for name in ("tenant_id", "entry_id")}).first() is None:
        connection.execute(_ADD, values)


def get(connection: sa.Connection, tenant_id: str, entry_id: str) -> Entry:
    """The entry; NotFound / ENTRY_NOT_FOUND."""
    row = connection.execute(sa.select(*_SHOWN).where(_E.tenant_id == tenant_id, _E.entry_id == entry_id)).first()
    if row is None:
        raise NotFound("ENTRY_NOT_FOUND", "there is no such entry", entry_id=entry_id)
    return _stored(row).entry


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry, and where it stands in a list."""

    entry: Entry
    """The entry."""
    mark: Mark
    """Where a page that ends with it goes on."""


def page(connection: sa.Connection, search: Search, *, after: Mark | None, limit: int) -> list[StoredEntry]:
    """Entries of a store, newest first, after a mark."""
    query = sa.select(*_SHOWN).where(_E.tenant_id == search.tenant_id, _E.store_code == search.store_code)
    if search.terminal_nos:
        query = query.where(_E.terminal_no.in_(search.terminal_nos))
    if search.kinds:
        query = query.where(_E.kind.in_(search.kinds))
    query = query.where(
        *_between(_E.business_date, search.business_dates),
        *_between(_E.transaction_no, search.transaction_nos),
        *_between(_E.receipt_no, search.receipt_nos),
    )
    order = (_E.create_time, _E.number, _E.entry_id)
    if after is not None:
        end = zip((after.create_time, after.number, after.entry_id), order, strict=True)
        # A tuple does not give its values the types of the columns they are compared with.
        query = query.where(sa.tuple_(*order) < sa.tuple_(*(sa.literal(value, column.type) for value, column in end)))
    rows = connection.execute(query.order_by(*(column.desc() for column in order)).limit(limit))
    return [_stored(row) for row in rows]


def _between(column: sa.ColumnElement[Any], bounds: Bounds[Any]) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if bounds.first is not None:
        conditions.append(column >= bounds.first)
    if bounds.last is not None:
        conditions.append(column <= bounds.last)
    return conditions


def _values(entry: Entry, position: Position) -> dict[str, Any]:
    occurrence = entry.occurrence
    terminal, opening, staff = occurrence.terminal_id, occurrence.opening, occurrence.staff
    return {
        "tenant_id": terminal.tenant_id,
        "entry_id": occurrence.entry_id,
        "topic": position.topic,
        "key": position.key,
        "number": position.number,
        "kind": entry.kind,
        "store_code": terminal.store_code,
        "terminal_no": terminal.terminal_no,
        "business_date": opening.business_date,
        "open_counter": opening.open_counter,
        "business_counter": opening.business_counter,
        "transaction_no": entry.transaction_no,
        "receipt_no": entry.receipt_no,
        "movement_no": entry.movement_no,
        "report_no": entry.report_no,
        "create_time": occurrence.create_time,
        "amount_with_tax": entry.amount_with_tax,
        "currency_code": occurrence.currency_code,
        "quantity": entry.quantity,
        "staff_id": staff.staff_id,
        "staff_name": staff.name,
    }


def _stored(row: sa.Row[Any]) -> StoredEntry:
    occurrence = Occurrence(
        entry_id=row.entry_id,
        terminal_id=TerminalId(row.tenant_id, row.store_code, row.terminal_no),
        opening=Opening(row.business_date, row.open_counter, row.business_counter),
        create_time=row.create_time,
        staff=SignedInStaff(row.staff_id, row.staff_name),
        currency_code=row.currency_code,
    )
    entry = Entry(
        occurrence=occurrence,
        kind=EntryKind(row.kind),
        transaction_no=row.transaction_no,
        receipt_no=row.receipt_no,
        movement_no=row.movement_no,
        report_no=row.report_no,
        amount_with_tax=row.amount_with_tax,
        quantity=row.quantity,
    )
    return StoredEntry(entry, Mark(row.create_time, row.number, row.entry_id))
