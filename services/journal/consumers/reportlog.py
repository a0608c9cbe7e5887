"""Issued reports in the journal."""

from __future__ import annotations

from pos.event.v1.report_log_pb2 import ReportLog
from pos.type.v1 import report_kind_pb2
from trunkline.events.event import ConsumerTransaction, Event

from services.journal.consumers.convert import occurrence_of, position_of
from services.journal.domain.entry import report_entry
from services.journal.storage import entries
from services.kernel.report_kind import ReportKind
from services.wire.kinds import from_enum


def apply_report(tx: ConsumerTransaction, event: Event) -> None:
    """Adds the row of a report."""
    log: ReportLog = event.message
    entry = report_entry(
        occurrence_of(event),
        from_enum(report_kind_pb2.ReportKind, ReportKind, log.kind),
        report_no=log.report_no,
        net=log.net_minor_units,
        tax=log.tax_minor_units,
        quantity=log.quantity,
    )
    entries.add(tx.connection, entry, position_of(event), event.envelope.payload)
