"""Transactions, and what was done with them since. Every function runs inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import sqlalchemy as sa

from services.cart.domain.record_document import record_from_document, record_to_document
from services.cart.domain.seal import Seal
from services.cart.domain.transaction import TransactionId, TransactionRecord
from services.cart.domain.undo import Standing, transaction_not_found
from services.cart.storage.tables import PLATFORM, TRANSACTION
from services.kernel.ids import TerminalId

_T = TRANSACTION.c


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """A transaction, and what was done with it since."""

    record: TransactionRecord
    """The transaction."""
    standing: Standing
    """What undid it, if anything."""


def add(connection: sa.Connection, record: TransactionRecord) -> None:
    """Adds a new transaction."""
    terminal = record.transaction_id.terminal_id
    connection.execute(
        sa.insert(TRANSACTION).values(
            tenant_id=terminal.tenant_id,
            store_code=terminal.store_code,
            terminal_no=terminal.terminal_no,
            transaction_no=record.transaction_id.transaction_no,
            business_date=record.opening.business_date,
            business_counter=record.opening.business_counter,
            create_time=record.create_time,
            document=json.dumps(record_to_document(record), ensure_ascii=False, separators=(",", ":")),
        )
    )


def get(connection: sa.Connection, transaction_id: TransactionId) -> StoredTransaction:
    """The transaction; NotFound / TRANSACTION_NOT_FOUND."""
    row = connection.execute(sa.select(TRANSACTION).where(*_is(transaction_id))).first()
    if row is None:
        raise transaction_not_found(transaction_id)
    return _stored(row)


def is_confirmed(connection: sa.Connection, topic: str, transaction_id: TransactionId) -> bool:
    """Whether every service that receives the transaction's event has confirmed it."""
    columns = PLATFORM.outbox.c
    query = sa.select(columns.confirmed).where(
        columns.topic == topic,
        columns.key == transaction_id.terminal_id.key,
        columns.number == transaction_id.transaction_no,
    )
    return bool(connection.scalar(query))


def page(
    connection: sa.Connection,
    terminal_id: TerminalId,
    *,
    first: date | None,
    last: date | None,
    before: int | None,
    limit: int,
) -> Sequence[StoredTransaction]:
    """Transactions of a terminal, newest first, below a number."""
    query = sa.select(TRANSACTION).where(*_of(terminal_id))
    if first is not None:
        query = query.where(_T.business_date >= first)
    if last is not None:
        query = query.where(_T.business_date <= last)
    if before is not None:
        query = query.where(_T.transaction_no < before)
    return [_stored(row) for row in connection.execute(query.order_by(_T.transaction_no.desc()).limit(limit))]


def mark_voided(connection: sa.Connection, transaction_id: TransactionId, by: TransactionId) -> None:
    """Notes the transaction that voids this one."""
    _update(connection, transaction_id, voided_by_no=by.transaction_no)


def mark_returned(connection: sa.Connection, transaction_id: TransactionId, by: TransactionId | None) -> None:
    """Notes the return of this one, or that its return is voided."""
    terminal_no, number = (by.terminal_id.terminal_no, by.transaction_no) if by else (None, None)
    _update(connection, transaction_id, returned_by_terminal_no=terminal_no, returned_by_no=number)


def counted(connection: sa.Connection, terminal_id: TerminalId, business_counter: int) -> Seal:
    """What an opening of a terminal has come to."""
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(_T.transaction_no), 0)).where(
        *_of(terminal_id), _T.business_counter == business_counter
    )
    row = connection.execute(query).one()
    return Seal(row[0], row[1])


def _update(connection: sa.Connection, transaction_id: TransactionId, **values: int | None) -> None:
    connection.execute(sa.update(TRANSACTION).where(*_is(transaction_id)).values(**values))


def _of(terminal_id: TerminalId) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _T.tenant_id == terminal_id.tenant_id,
        _T.store_code == terminal_id.store_code,
        _T.terminal_no == terminal_id.terminal_no,
    )


def _is(transaction_id: TransactionId) -> tuple[sa.ColumnElement[bool], ...]:
    return (*_of(transaction_id.terminal_id), _T.transaction_no == transaction_id.transaction_no)


def _stored(row: sa.Row[Any]) -> StoredTransaction:
    terminal = TerminalId(row.tenant_id, row.store_code, row.terminal_no)
    voided_by = TransactionId(terminal, row.voided_by_no) if row.voided_by_no is not None else None
    returned_by = None
    if row.returned_by_no is not None:
        returned_by = TransactionId(replace(terminal, terminal_no=row.returned_by_terminal_no), row.returned_by_no)
    return StoredTransaction(record_from_document(json.loads(row.document)), Standing(voided_by, returned_by))
