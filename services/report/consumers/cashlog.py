"""Cash movements: each is kept, and added to the figures of the cash drawer."""

from __future__ import annotations

from pos.event.v1.cash_log_pb2 import CashLog
from trunkline.events.event import ConsumerTransaction, Event

from services.report.consumers.convert import cash_movement_of, place_of
from services.report.domain.contribution import contribution_of_cash
from services.report.storage import figures, logs, openings
from services.wire.dates import from_timestamp


def apply_cash_movement(tx: ConsumerTransaction, event: Event) -> None:
    """Adds a cash movement to the figures of its opening."""
    log: CashLog = event.message
    place = place_of(event.envelope.tenant_id, log)
    logs.add_cash_movement(tx.connection, place, log.movement_no, event.envelope.payload)
    openings.note_cash_movement(tx.connection, place, from_timestamp(log.create_time))
    figures.add(tx.connection, place, contribution_of_cash(cash_movement_of(log)).figures)
