"""A daily report waits for every terminal and for every log that a close counted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pos.report.v1 import report_service_pb2 as pb
from pos.type.v1.report_kind_pb2 import REPORT_KIND_DAILY

from services.wire.dates import to_date
from tests.services.callers import refusal
from tests.services.logs import DAY, cash, closed, opened, transaction

WHERE = {"business_date": "2026-01-05", "terminal_no": "1", "open_counter": "1"}


def daily(**scope) -> pb.GetSalesReportRequest:
    """A daily report of store 0001 on the first day, or of another scope."""
    if "from_business_date" not in scope:
        scope.setdefault("business_date", to_date(DAY))
    return pb.GetSalesReportRequest(kind=REPORT_KIND_DAILY, store_code="0001", **scope)


@pytest.fixture
async def whole(terminals, feed) -> None:
    """One terminal that opened, traded and closed, and all of it has been received."""
    terminals.opened()
    await feed.receive(opened(), cash(), transaction(), closed())


async def test_a_whole_day_is_reported(reports, whole):
    """With every close matched by what was received, the report is given, its count included."""
    got = (await reports.GetSalesReport(daily())).report
    assert (got.kind, got.gross.count, got.cash_drawer.difference.minor_units) == (REPORT_KIND_DAILY, 1, 0)


async def test_a_day_on_which_nothing_opened_is_whole(reports):
    """Nothing is waited for where nothing opened."""
    assert (await reports.GetSalesReport(daily())).report.transaction_count == 0


async def test_refuses_while_a_terminal_is_open(reports, terminals, whole):
    """One open terminal of the store is enough; it is named, and other scopes do not wait for it."""
    terminals.opened(terminal_no=2, closed=False)
    refused = ("FAILED_PRECONDITION", "pos.report/TERMINAL_OPEN", WHERE | {"terminal_no": "2"})
    assert await refusal(reports.GetSalesReport(daily())) == refused
    assert (await reports.GetSalesReport(daily(terminal_no=1))).report.gross.count == 1


async def test_refuses_while_a_terminal_has_opened_again(reports, terminals, whole):
    """A second opening of the day is waited for as the first was."""
    terminals.opened(open_counter=2, closed=False)
    refused = ("FAILED_PRECONDITION", "pos.report/TERMINAL_OPEN", WHERE | {"open_counter": "2"})
    assert await refusal(reports.GetSalesReport(daily())) == refused
    assert (await reports.GetSalesReport(daily(terminal_no=1, open_counter=1))).report.gross.count == 1


async def test_refuses_what_was_received_of_an_opening_nobody_told_of(reports, feed, whole):
    """A sale of an opening that the terminal service did not list yet is no finished day."""
    await feed.receive(transaction(2, open_counter=2, business_counter=2))
    assert (await refusal(reports.GetSalesReport(daily())))[1] == "pos.report/TERMINAL_OPEN"


@pytest.mark.parametrize(
    ("logs", "missing"),
    [
        ([], {"missing": "close"}),
        ([opened(), cash(), transaction()], {"missing": "close"}),
        ([cash(), closed()], {"missing": "transactions", "expected": "1", "received": "0"}),
        ([cash(), transaction(), closed(transactions=2, last_no=2)],
         {"missing": "transactions", "expected": "2", "received": "1"}),
        ([cash(), transaction(1), closed(last_no=2)],
         {"missing": "transactions", "expected": "2", "received": "1"}),
        ([transaction(), closed()], {"missing": "cash_movements", "expected": "1", "received": "0"}),
        ([cash(), cash(2), transaction(), closed(cash_movements=3)],
         {"missing": "cash_movements", "expected": "3", "received": "2"}),
    ],
    ids=["everything", "close", "transactions", "one transaction", "last number", "cash movements", "one movement"],
)  # fmt: skip
async def test_refuses_until_all_logs_are_here(reports, terminals, feed, logs, missing):
    """What the close counted and what was received must agree; what does not is named with both numbers."""
    terminals.opened()
    await feed.receive(*logs)
    refused = ("FAILED_PRECONDITION", "pos.report/LOGS_MISSING", WHERE | missing)
    assert await refusal(reports.GetSalesReport(daily())) == refused


async def test_is_given_once_the_missing_log_comes(reports, terminals, feed):
    """The refusal is over with the last log, however late and in whatever order of topics."""
    terminals.opened()
    await feed.receive(closed(), cash())
    assert (await refusal(reports.GetSalesReport(daily())))[1] == "pos.report/LOGS_MISSING"
    await feed.receive(transaction())
    assert (await reports.GetSalesReport(daily())).report.gross.count == 1


async def test_a_range_waits_for_each_of_its_days(reports, terminals, whole):
    """All days of a long range are checked; the one that is not over is named."""
    last = DAY + timedelta(days=40)
    request = daily(from_business_date=to_date(DAY), to_business_date=to_date(last))
    assert (await reports.GetSalesReport(request)).report.gross.count == 1
    terminals.opened(day=last, closed=False)
    refused = ("FAILED_PRECONDITION", "pos.report/TERMINAL_OPEN", WHERE | {"business_date": str(last)})
    assert await refusal(reports.GetSalesReport(request)) == refused
