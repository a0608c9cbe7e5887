"""A transaction is stored and published in one step: there is no other way to make one."""

from __future__ import annotations

from trunkline.storage import Transaction

from services.cart.domain.transaction import TransactionRecord
from services.cart.handlers.convert_transaction import to_log
from services.cart.storage import transactions


def commit(tx: Transaction, record: TransactionRecord) -> None:
    """Stores a transaction and publishes its log on `tranlog`."""
    transactions.add(tx.connection, record)
    terminal = record.transaction_id.terminal_id
    tx.publish(to_log(record), key=terminal.key, subject=record.subject, tenant_id=terminal.tenant_id)
