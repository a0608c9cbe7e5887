"""Openings and closings: what a close counted is what a daily report must have received."""

from __future__ import annotations

from pos.event.v1.open_close_log_pb2 import OpenCloseLog
from trunkline.events.event import ConsumerTransaction, Event
from trunkline.events.unreadable import Unreadable

from services.report.consumers.convert import closing_of, place_of
from services.report.storage import openings
from services.wire.dates import from_timestamp


def apply_open_close(tx: ConsumerTransaction, event: Event) -> None:
    """Notes that a terminal opened, or closed and what it counted."""
    log: OpenCloseLog = event.message
    place, create_time = place_of(event.envelope.tenant_id, log), from_timestamp(log.create_time)
    if log.kind == OpenCloseLog.KIND_OPEN:
        openings.note_opened(tx.connection, place, create_time)
    elif log.kind == OpenCloseLog.KIND_CLOSE:
        counted = log.counted_cash_minor_units if log.HasField("counted_cash_minor_units") else None
        openings.note_closed(tx.connection, place, create_time, closing_of(log), counted)
    else:
        raise Unreadable(f"pos.event.v1.OpenCloseLog.Kind {log.kind} is not known")
