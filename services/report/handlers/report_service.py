"""ReportService on the wire."""

from __future__ import annotations

import sqlalchemy as sa
from pos.report.v1 import report_service_pb2 as pb
from pos.report.v1 import report_service_pb2_grpc as pb_grpc
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.kernel.report_kind import ReportKind
from services.report.domain.daily import OpeningId, check_daily, counted_cash, missing
from services.report.domain.issue import IssuedReport
from services.report.domain.neighbours import Terminals
from services.report.domain.sales import SalesReport, compose
from services.report.domain.scope import Scope
from services.report.handlers.convert import from_kind, from_request, to_log, to_report
from services.report.storage import figures, labels, openings, report_numbers
from services.wire.dates import to_timestamp
from services.wire.failures import refusals
from services.wire.money import tenant_currency
from services.wire.reach import own_terminal, require_store

Openings = dict[OpeningId, bool]
"""Openings of the terminals, and whether each is closed."""


class ReportServicer(pb_grpc.ReportServiceServicer):
    """Reports what was sold."""

    def __init__(self, database: Database, unit: UnitOfWork, terminals: Terminals) -> None:
        self._database = database
        self._unit = unit
        self._terminals = terminals

    @refusals
    async def GetSalesReport(self, request: pb.GetSalesReportRequest, context: Context) -> pb.GetSalesReportResponse:
        """Gets a sales report."""
        kind, scope = from_kind(request.kind), from_request(require_store(request.store_code), request)
        known = await self._known(kind, scope)
        report = await self._database.read(lambda connection: _report(connection, scope, known))
        return pb.GetSalesReportResponse(report=to_report(kind, scope, report, tenant_currency()))

    @refusals
    async def IssueSalesReport(
        self, request: pb.IssueSalesReportRequest, context: Context
    ) -> pb.IssueSalesReportResponse:
        """Issues a sales report on the caller's terminal."""
        kind, till, currency = from_kind(request.kind), await self._terminals.till(own_terminal()), tenant_currency()
        scope = till.scope(whole_store=request.whole_store)
        known = await self._known(kind, scope)

        def work(tx: Transaction) -> pb.IssueSalesReportResponse:
            report = _report(tx.connection, scope, known)
            issued = IssuedReport(
                kind=kind,
                report_no=report_numbers.take(tx.connection, till.terminal_id),
                till=till,
                whole_store=request.whole_store,
                create_time=tx.now,
                currency_code=currency,
                report=report,
            )
            _publish(tx, issued)
            return pb.IssueSalesReportResponse(
                report_no=issued.report_no,
                create_time=to_timestamp(issued.create_time),
                report=to_report(kind, scope, report, currency),
            )

        return await self._unit.run(work)

    async def _known(self, kind: ReportKind, scope: Scope) -> Openings | None:
        """The openings that a daily report is checked by; None for a report that is not checked."""
        return await self._terminals.openings(scope) if kind is ReportKind.DAILY else None


def _report(connection: sa.Connection, scope: Scope, known: Openings | None) -> SalesReport:
    received = openings.received(connection, scope)
    if known is not None:
        check_daily(missing(known, received))
    taxes, tenders = labels.of(connection, scope)
    return compose(figures.summed(connection, scope), taxes, tenders, counted_cash(received.values()))


def _publish(tx: Transaction, issued: IssuedReport) -> None:
    terminal_id = issued.till.terminal_id
    tx.publish(
        to_log(issued),
        key=terminal_id.key,
        subject=terminal_id.report_subject(issued.report_no),
        tenant_id=terminal_id.tenant_id,
    )
