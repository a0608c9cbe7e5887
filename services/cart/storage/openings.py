"""Numbers of terminals and seals of openings. Every function runs inside the caller's transaction."""

from __future__ import annotations

import sqlalchemy as sa

from services.cart.domain.numbering import ReceiptRange, TransactionNumbers, next_numbers
from services.cart.domain.seal import Seal, check_unsealed
from services.cart.storage.tables import OPENING_SEAL, TERMINAL_NUMBER
from services.kernel.ids import TerminalId


def _of(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    return tuple(table.c[name] == sa.bindparam(f"_{name}") for name in ("tenant_id", "store_code", "terminal_no"))


# Built once: a statement made for every call costs more than running it.
_NUMBERS = sa.select(TERMINAL_NUMBER.c.transaction_no, TERMINAL_NUMBER.c.receipt_no).where(*_of(TERMINAL_NUMBER))
_COUNT_ON = (
    sa.update(TERMINAL_NUMBER)
    .where(*_of(TERMINAL_NUMBER))
    .values(transaction_no=sa.bindparam("_transaction_no"), receipt_no=sa.bindparam("_receipt_no"))
)
_SEAL = sa.select(OPENING_SEAL.c.transaction_count, OPENING_SEAL.c.last_transaction_no).where(
    *_of(OPENING_SEAL), OPENING_SEAL.c.business_counter == sa.bindparam("_business_counter")
)


def take_numbers(connection: sa.Connection, terminal_id: TerminalId, allowed: ReceiptRange) -> TransactionNumbers:
    """The next numbers of a terminal; a transaction that is undone gives them back."""
    here = _bound(terminal_id)
    row = connection.execute(_NUMBERS, here).first()
    numbers = next_numbers(TransactionNumbers(row.transaction_no, row.receipt_no) if row else None, allowed)
    if row is None:
        values = {"transaction_no": numbers.transaction_no, "receipt_no": numbers.receipt_no}
        connection.execute(sa.insert(TERMINAL_NUMBER), {**_key(terminal_id), **values})
    else:
        values = {"_transaction_no": numbers.transaction_no, "_receipt_no": numbers.receipt_no}
        connection.execute(_COUNT_ON, {**here, **values})
    return numbers


def seal_of(connection: sa.Connection, terminal_id: TerminalId, business_counter: int) -> Seal | None:
    """The seal of an opening; None if it has none."""
    row = connection.execute(_SEAL, {**_bound(terminal_id), "_business_counter": business_counter}).first()
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


def _bound(terminal_id: TerminalId) -> dict[str, str | int]:
    return {f"_{name}": value for name, value in _key(terminal_id).items()}
