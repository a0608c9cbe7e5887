"""Transactions: the goods of their lines leave the store or come back."""

from __future__ import annotations

from pos.event.v1.transaction_log_pb2 import TransactionLog
from pos.type.v1 import transaction_kind_pb2
from trunkline.events.event import ConsumerTransaction, Event

from services.kernel.transaction_kind import TransactionKind
from services.stock.domain.movement import SoldLine, changes_of_transaction
from services.stock.storage import movements
from services.stock.storage.movements import Cause
from services.wire.kinds import from_enum


def apply_transaction(tx: ConsumerTransaction, event: Event) -> None:
    """Moves the stock of all lines of a transaction together."""
    log: TransactionLog = event.message
    kind = from_enum(transaction_kind_pb2.TransactionKind, TransactionKind, log.kind)
    changes = changes_of_transaction(
        kind, [SoldLine(line.item_code, line.quantity, line.cancelled) for line in log.lines]
    )
    cause = Cause(create_time=tx.now, terminal_no=log.terminal_no, transaction_no=log.transaction_no)
    movements.move(tx.connection, event.envelope.tenant_id, log.store_code, changes, cause)
