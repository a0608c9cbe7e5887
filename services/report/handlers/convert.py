"""Reports between the wire and the domain."""

from __future__ import annotations

from pos.event.v1 import report_log_pb2
from pos.report.v1 import report_service_pb2, sales_report_pb2
from pos.type.v1 import report_kind_pb2, tax_kind_pb2, tender_kind_pb2

from services.kernel.report_kind import ReportKind
from services.report.domain.figures import Figure
from services.report.domain.issue import IssuedReport
from services.report.domain.sales import CashDrawer, PaymentRow, SalesReport, TaxRow
from services.report.domain.scope import Scope
from services.wire.dates import from_date, to_date, to_timestamp
from services.wire.kinds import from_enum, to_enum
from services.wire.money import to_money


def from_kind(number: int) -> ReportKind:
    """Which report."""
    return from_enum(report_kind_pb2.ReportKind, ReportKind, number)


def from_request(tenant_id: str, request: report_service_pb2.GetSalesReportRequest) -> Scope:
    """What is to be reported."""
    single = request.HasField("business_date")
    return Scope(
        tenant_id=tenant_id,
        store_code=request.store_code,
        first=from_date(request.business_date if single else request.from_business_date),
        last=from_date(request.business_date if single else request.to_business_date),
        terminal_no=request.terminal_no if request.HasField("terminal_no") else None,
        open_counter=request.open_counter if request.HasField("open_counter") else None,
    )


def to_report(kind: ReportKind, scope: Scope, report: SalesReport, currency: str) -> sales_report_pb2.SalesReport:
    """A sales report."""
    return sales_report_pb2.SalesReport(
        kind=to_enum(report_kind_pb2.ReportKind, kind),
        store_code=scope.store_code,
        from_business_date=to_date(scope.first),
        to_business_date=to_date(scope.last),
        terminal_no=scope.terminal_no,
        open_counter=scope.open_counter,
        gross=_figure(report.gross, currency),
        line_discounts=_figure(report.line_discounts, currency),
        subtotal_discounts=_figure(report.subtotal_discounts, currency),
        returns=_figure(report.returns, currency),
        tax=_figure(report.tax, currency),
        net=_figure(report.net, currency),
        taxes=[_tax(row, currency) for row in report.taxes],
        payments=[_payment(row, currency) for row in report.payments],
        cash_drawer=_drawer(report.cash_drawer, currency),
        transaction_count=report.transaction_count,
    )


def to_log(issued: IssuedReport) -> report_log_pb2.ReportLog:
    """The report as it is published."""
    opening, report = issued.till.last_opening(), issued.report
    return report_log_pb2.ReportLog(
        kind=to_enum(report_kind_pb2.ReportKind, issued.kind),
        store_code=issued.till.terminal_id.store_code,
        terminal_no=issued.till.terminal_id.terminal_no,
        report_no=issued.report_no,
        business_date=to_date(opening.business_date),
        open_counter=opening.open_counter,
        business_counter=opening.business_counter,
        whole_store=issued.whole_store,
        staff_id=issued.till.staff.staff_id,
        staff_name=issued.till.staff.name,
        create_time=to_timestamp(issued.create_time),
        currency_code=issued.currency_code,
        gross_minor_units=report.gross.amount,
        line_discount_minor_units=report.line_discounts.amount,
        subtotal_discount_minor_units=report.subtotal_discounts.amount,
        return_minor_units=report.returns.amount,
        tax_minor_units=report.tax.amount,
        net_minor_units=report.net.amount,
        sale_count=report.gross.count,
        return_count=report.returns.count,
        quantity=report.net.quantity,
    )


def _figure(figure: Figure, currency: str) -> sales_report_pb2.Figure:
    return sales_report_pb2.Figure(
        amount=to_money(figure.amount, currency), quantity=figure.quantity, count=figure.count
    )


def _tax(row: TaxRow, currency: str) -> sales_report_pb2.TaxFigure:
    return sales_report_pb2.TaxFigure(
        tax_code=row.tax_code,
        kind=to_enum(tax_kind_pb2.TaxKind, row.label.kind),
        rate_bps=row.label.rate_bps,
        target=to_money(row.target, currency),
        amount=to_money(row.amount, currency),
    )


def _payment(row: PaymentRow, currency: str) -> sales_report_pb2.PaymentFigure:
    return sales_report_pb2.PaymentFigure(
        payment_method_code=row.payment_method_code,
        description=row.label.description,
        kind=to_enum(tender_kind_pb2.TenderKind, row.label.kind),
        amount=to_money(row.amount, currency),
        count=row.count,
        share_bps=row.share_bps,
    )


def _drawer(drawer: CashDrawer, currency: str) -> sales_report_pb2.CashDrawer:
    return sales_report_pb2.CashDrawer(
        expected=to_money(drawer.expected, currency),
        counted=None if drawer.counted is None else to_money(drawer.counted, currency),
        difference=None if drawer.difference is None else to_money(drawer.difference, currency),
        cash_in=to_money(drawer.cash_in.amount, currency),
        cash_in_count=drawer.cash_in.count,
        cash_out=to_money(drawer.cash_out.amount, currency),
        cash_out_count=drawer.cash_out.count,
    )
