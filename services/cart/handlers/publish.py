"""A transaction is stored and published in one step: there is no other way to make one."""

from __future__ import annotations

from trunkline.storage import Transaction

from services.cart.domain.cart import Cart
from services.cart.domain.checkout import Change
from services.cart.domain.numbering import TransactionNumbers
from services.cart.domain.transaction import TransactionRecord, record_of
from services.cart.handlers.convert_transaction import to_log
from services.cart.storage import transactions
from services.kernel.transaction_kind import TransactionKind

STEP = 250
"""Lines and payments after which a cart is looked at again: at most a kilobyte each, for which the limit has room."""
_SOME_NUMBERS = TransactionNumbers(transaction_no=1, receipt_no=1)


def commit(tx: Transaction, record: TransactionRecord) -> None:
    """Stores a transaction and publishes its log on `tranlog`."""
    transactions.add(tx.connection, record)
    terminal = record.transaction_id.terminal_id
    tx.publish(to_log(record), key=terminal.key, subject=record.subject, tenant_id=terminal.tenant_id)


def foresee(tx: Transaction, before: Cart, change: Change) -> None:
    """Refuses a cart that has grown so large that it could not be published: it could neither be sold nor cancelled."""
    cart = change.cart
    if _size(cart) // STEP > _size(before) // STEP:
        tx.foresee(to_log(record_of(TransactionKind.SALE, cart, change.bill, _SOME_NUMBERS, tx.now)))


def _size(cart: Cart) -> int:
    return len(cart.lines) + len(cart.payments)
