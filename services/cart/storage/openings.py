"""Numbers of terminals and seals of openings. Every function runs inside the caller's transaction."""

from __future__ import annotations

import sqlalchemy as sa

from services.cart.domain.numbering import ReceiptRange, TransactionNumbers, next_numbers
from services.cart.domain.seal import Seal, check_unsealed
from services.cart.storage.tables import OPENING_SEAL, TERMINAL_NUMBER
from services.kernel.ids import TerminalId


def take_numbers(connection: sa.Connection, terminal_id: TerminalId, allowed: ReceiptRange) -> TransactionNumbers:
    """The next numbers of a terminal; a transaction that is undone gives them back."""
    table = TERMINAL_NUMBER.c
    here = _of(TERMINAL_NUMBER, terminal_id)
    row = connection.execute(sa.select(table.transaction_no, table.receipt_no).where(*here)).first()
    numbers = next_numbers(TransactionNumbers(row.transaction_no, row.receipt_no) if row else None, allowed)
    values = {"transaction_no": numbers.transaction_no, "receipt_no": numbers.receipt_no}
    if row is None:
        connection.execute(sa.insert(TERMINAL_NUMBER).values(**_key(terminal_id), **values))
    else:
        connection.execute(sa.update(TERMINAL_NUMBER).where(*here).values(**values))
    return numbers


def seal_of(connection: sa.Connection, terminal_id: TerminalId, business_counter: int) -> Seal | None:
    """The seal of an opening; None if it has none."""
    table = OPENING_SEAL.c
    query = sa.select(table.transaction_count, table.last_transaction_no).where(
        *_of(OPENING_SEAL, terminal_id), table.business_counter == business_counter
    )
    row = connection.execute(query).first()
    return Seal(row.transaction_count, row.last_transaction_no) if row else None


def require_unsealed(connection: sa.Connection, terminal_id: TerminalId, business_counter: int) -> None:
    """Refuses whatever would happen in a sealed opening; WrongState / OPENING_SEALED."""
    check_unsealed(seal_of(connection, terminal_id, business_counter), terminal_id, business_counter)


def add_seal(connection: sa.Connection, terminal_id: TerminalId, business_counter: int, seal: Seal) -> None:
    """Seals an opening that has no seal."""
    connection.execute(
        sa.insert(OPENING_SEAL).values(
            **_key(terminal_id),
            business_counter=business_counter,
            transaction_count=seal.transaction_count,
            last_transaction_no=seal.last_transaction_no,
        )
    )


def _key(terminal_id: TerminalId) -> dict[str, str | int]:
    return {
        "tenant_id": terminal_id.tenant_id,
        "store_code": terminal_id.store_code,
        "terminal_no": terminal_id.terminal_no,
    }


def _of(table: sa.Table, terminal_id: TerminalId) -> tuple[sa.ColumnElement[bool], ...]:
    return tuple(table.c[name] == value for name, value in _key(terminal_id).items())
