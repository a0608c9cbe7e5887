"""Cash movements in the journal."""

from __future__ import annotations

from pos.event.v1.cash_log_pb2 import CashLog
from pos.type.v1 import cash_movement_kind_pb2
from trunkline.events.event import ConsumerTransaction, Event

from services.journal.consumers.convert import occurrence_of, position_of
from services.journal.domain.entry import cash_entry
from services.journal.storage import entries
from services.kernel.cash_movement_kind import CashMovementKind
from services.wire.kinds import from_enum


def apply_cash_movement(tx: ConsumerTransaction, event: Event) -> None:
    """Adds the row of a cash movement."""
    log: CashLog = event.message
    kind = from_enum(cash_movement_kind_pb2.CashMovementKind, CashMovementKind, log.kind)
    entry = cash_entry(occurrence_of(event), kind, movement_no=log.movement_no, amount=log.amount_minor_units)
    entries.add(tx.connection, entry, position_of(event), event.envelope.payload)
