"""Transactions in the journal."""

from __future__ import annotations

from pos.event.v1.transaction_log_pb2 import TransactionLog
from pos.type.v1 import transaction_kind_pb2
from trunkline.events.event import ConsumerTransaction, Event

from services.journal.consumers.convert import occurrence_of, position_of
from services.journal.domain.entry import transaction_entry
from services.journal.storage import entries
from services.kernel.transaction_kind import TransactionKind
from services.wire.kinds import from_enum


def apply_transaction(tx: ConsumerTransaction, event: Event) -> None:
    """Adds the row of a transaction."""
    log: TransactionLog = event.message
    entry = transaction_entry(
        occurrence_of(event),
        from_enum(transaction_kind_pb2.TransactionKind, TransactionKind, log.kind),
        transaction_no=log.transaction_no,
        receipt_no=log.receipt_no,
        total_with_tax=log.total_with_tax_minor_units,
        quantity=log.quantity,
    )
    entries.add(tx.connection, entry, position_of(event), event.envelope.payload)
