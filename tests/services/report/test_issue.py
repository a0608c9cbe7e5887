"""Reports issued on a terminal are numbered and published."""

from __future__ import annotations

import pytest
from pos.event.v1.report_log_pb2 import ReportLog
from pos.report.v1 import report_service_pb2 as pb
from pos.report.v1 import report_service_pb2_grpc as pb_grpc
from pos.terminal.v1.terminal_pb2 import Terminal
from pos.type.v1.report_kind_pb2 import REPORT_KIND_DAILY, REPORT_KIND_FLASH

from services.wire.dates import to_date, to_timestamp
from tests.services.callers import admin, assert_replayed, refusal, till
from tests.services.logs import DAY, cash, closed, opened, transaction
from tests.services.published import envelopes, events

FLASH = pb.IssueSalesReportRequest(kind=REPORT_KIND_FLASH)
DAILY = pb.IssueSalesReportRequest(kind=REPORT_KIND_DAILY)
STORE = pb.IssueSalesReportRequest(kind=REPORT_KIND_FLASH, whole_store=True)


@pytest.fixture(autouse=True)
def trading(terminals) -> None:
    """Terminal 1 is open for its second time on the day, its twelfth ever."""
    terminals.terminal = Terminal(
        store_code="0001", terminal_no=1, state=Terminal.STATE_OPENED, business_date=to_date(DAY), open_counter=2,
        business_counter=12, staff_id="s1", staff_name="Hanako",
    )  # fmt: skip


async def test_publishes_what_it_answers(node, terminal, feed, clock):
    """The log has the headline figures, the numbers of the terminal and who was signed in."""
    await feed.receive(transaction(), transaction(1, terminal_no=2))
    answer = await terminal.IssueSalesReport(FLASH)
    assert (answer.report_no, answer.report.terminal_no, answer.report.gross.count) == (1, 1, 1)
    assert await events(node) == [
        ReportLog(
            kind=REPORT_KIND_FLASH, store_code="0001", terminal_no=1, report_no=1, business_date=to_date(DAY),
            open_counter=2, business_counter=12, staff_id="s1", staff_name="Hanako",
            create_time=to_timestamp(clock.now()), currency_code="JPY", gross_minor_units=816,
            line_discount_minor_units=70, subtotal_discount_minor_units=100, tax_minor_units=58, net_minor_units=588,
            sale_count=1, quantity=5,
        )
    ]  # fmt: skip
    (envelope,) = await envelopes(node)
    assert (envelope.topic, envelope.key, envelope.number) == ("reportlog", "acme/0001/1", 1)
    assert envelope.subject == "tenants/acme/stores/0001/terminals/1/reports/1"


async def test_the_whole_store(node, terminal, feed):
    """On a terminal all terminals of its store may be reported."""
    await feed.receive(transaction(), transaction(1, terminal_no=2))
    answer = await terminal.IssueSalesReport(STORE)
    assert (answer.report.gross.count, answer.report.HasField("terminal_no")) == (2, False)
    (log,) = await events(node)
    assert (log.whole_store, log.terminal_no, log.sale_count) == (True, 1, 2)


async def test_numbers_run_per_terminal(system, terminal, terminals):
    """Each terminal counts its reports from 1 without holes, whatever their kind."""
    other = pb_grpc.ReportServiceStub(till(system, 2).channel("report"))
    numbers = [(await stub.IssueSalesReport(FLASH)).report_no for stub in (terminal, other, terminal)]
    assert [*numbers, (await terminal.IssueSalesReport(DAILY)).report_no] == [1, 1, 2, 3]


async def test_a_repeat_issues_nothing(node, terminal, feed):
    """A repeat with the same key gets the first answer, figures included, even after another sale."""
    await feed.receive(transaction())
    await assert_replayed(terminal, FLASH, STORE)
    assert len(await events(node)) == 1


async def test_before_anything_was_received(node, terminal):
    """An empty report is a report of nothing, in the tenant's currency."""
    assert (await terminal.IssueSalesReport(FLASH)).report.net.amount.currency_code == "JPY"
    (log,) = await events(node)
    assert (log.currency_code, log.gross_minor_units) == ("JPY", 0)


async def test_a_daily_report_of_the_terminal_waits_for_it_alone(node, terminal, terminals, feed):
    """Another terminal that is open holds up the store's report, not this terminal's; a refusal burns no number."""
    terminals.opened()
    terminals.opened(terminal_no=2, closed=False)
    await feed.receive(opened(), cash(), transaction(), closed())
    store = pb.IssueSalesReportRequest(kind=REPORT_KIND_DAILY, whole_store=True)
    assert (await refusal(terminal.IssueSalesReport(store)))[1] == "pos.report/TERMINAL_OPEN"
    assert (await terminal.IssueSalesReport(DAILY)).report_no == 1
    assert [log.kind for log in await events(node)] == [REPORT_KIND_DAILY]


async def test_refuses_a_daily_report_with_logs_missing(node, terminal, terminals):
    """What GetSalesReport refuses is refused here, and nothing is published."""
    terminals.opened()
    assert (await refusal(terminal.IssueSalesReport(DAILY)))[1] == "pos.report/LOGS_MISSING"
    assert await events(node) == []


async def test_a_terminal_that_never_opened_has_no_day(terminal, terminals):
    """Without a business date there is nothing to report."""
    terminals.terminal = Terminal(store_code="0001", terminal_no=1, state=Terminal.STATE_IDLE)
    refused = await refusal(terminal.IssueSalesReport(FLASH))
    metadata = {"store_code": "0001", "terminal_no": "1"}
    assert refused == ("FAILED_PRECONDITION", "pos.report/TERMINAL_NEVER_OPENED", metadata)


async def test_the_back_office_issues_none(system, node):
    """Only a terminal issues reports."""
    office = pb_grpc.ReportServiceStub(admin(system).channel("report"))
    assert (await refusal(office.IssueSalesReport(FLASH)))[0] == "PERMISSION_DENIED"
