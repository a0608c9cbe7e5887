"""Transactions: each is kept, and added to the running figures."""

from __future__ import annotations

from pos.event.v1.transaction_log_pb2 import TransactionLog
from trunkline.events.event import ConsumerTransaction, Event

from services.report.consumers.convert import place_of, transaction_of
from services.report.domain.check import check_transaction
from services.report.domain.contribution import contribution_of
from services.report.storage import figures, labels, logs, openings
from services.wire.dates import from_timestamp


def apply_transaction(tx: ConsumerTransaction, event: Event) -> None:
    """Adds what a transaction contributes to the figures of its opening."""
    log: TransactionLog = event.message
    place, transaction = place_of(event.envelope.tenant_id, log), transaction_of(log)
    check_transaction(event.envelope.subject, transaction)
    contribution = contribution_of(transaction)
    logs.add_transaction(tx.connection, place, log.transaction_no, event.envelope.payload)
    openings.note_transaction(tx.connection, place, log.transaction_no)
    figures.add(tx.connection, place, contribution.figures)
    labels.keep(tx.connection, place.terminal_id, contribution, from_timestamp(log.create_time))
