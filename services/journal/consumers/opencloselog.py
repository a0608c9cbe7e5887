"""Openings and closings in the journal."""

from __future__ import annotations

from pos.event.v1.open_close_log_pb2 import OpenCloseLog
from trunkline.events.event import ConsumerTransaction, Event
from trunkline.events.unreadable import Unreadable

from services.journal.consumers.convert import occurrence_of, position_of
from services.journal.domain.entry import Entry, close_entry, open_entry
from services.journal.storage import entries


def apply_open_close(tx: ConsumerTransaction, event: Event) -> None:
    """Adds the row of an opening or a closing."""
    entries.add(tx.connection, _entry(event), position_of(event), event.envelope.payload)


def _entry(event: Event) -> Entry:
    log: OpenCloseLog = event.message
    if log.kind == OpenCloseLog.KIND_OPEN:
        given = log.HasField("initial_float_minor_units")
        return open_entry(occurrence_of(event), initial_float=log.initial_float_minor_units if given else None)
    if log.kind == OpenCloseLog.KIND_CLOSE:
        counted = log.HasField("counted_cash_minor_units")
        return close_entry(occurrence_of(event), counted_cash=log.counted_cash_minor_units if counted else None)
    raise Unreadable(f"pos.event.v1.OpenCloseLog.Kind {log.kind} is not known")
