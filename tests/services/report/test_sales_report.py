"""Reports of what was received."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from pos.report.v1 import report_service_pb2 as pb
from pos.report.v1 import report_service_pb2_grpc as pb_grpc
from pos.report.v1.sales_report_pb2 import SalesReport
from pos.type.v1 import tax_kind_pb2, tender_kind_pb2
from pos.type.v1 import transaction_kind_pb2 as kinds
from pos.type.v1.report_kind_pb2 import REPORT_KIND_FLASH

from services.kernel.failure import Refused
from services.report.storage.tables import FIGURE
from services.wire.dates import to_date
from tests.services.callers import admin, refusal, till
from tests.services.logs import DAY, cash, closed, opened, payment, transaction

NEXT_DAY = DAY + timedelta(days=1)


def flash(**scope) -> pb.GetSalesReportRequest:
    """A flash report of store 0001 on the first day, or of another scope."""
    if "from_business_date" not in scope:
        scope.setdefault("business_date", to_date(DAY))
    return pb.GetSalesReportRequest(kind=REPORT_KIND_FLASH, store_code="0001", **scope)


async def report(stub: pb_grpc.ReportServiceAsyncStub, **scope) -> SalesReport:
    """The flash report."""
    return (await stub.GetSalesReport(flash(**scope))).report


def headline(report: SalesReport) -> dict[str, tuple[int, int, int]]:
    """Amount, quantity and count of the headline figures."""
    names = ("gross", "line_discounts", "subtotal_discounts", "returns", "tax", "net")
    figures = {name: getattr(report, name) for name in names}
    return {name: (one.amount.minor_units, one.quantity, one.count) for name, one in figures.items()}


SALE = {
    "gross": (816, 5, 1), "line_discounts": (70, 5, 1), "subtotal_discounts": (100, 5, 1), "returns": (0, 0, 0),
    "tax": (58, 5, 1), "net": (588, 5, 1),
}  # fmt: skip
NOTHING = dict.fromkeys(SALE, (0, 0, 0))


async def test_the_worked_sale(reports, feed):
    """A sale listed at 800 with 70 line and 100 subtotal discount, taxes 42 and 16, paid 646."""
    await feed.receive(transaction())
    got = await report(reports)
    assert headline(got) == SALE
    assert [
        (one.tax_code, one.kind, one.rate_bps, one.target.minor_units, one.amount.minor_units) for one in got.taxes
    ] == [
        ("01", tax_kind_pb2.TAX_KIND_EXTERNAL, 1000, 164, 16),
        ("02", tax_kind_pb2.TAX_KIND_INTERNAL, 1000, 466, 42),
    ]
    (paid,) = got.payments
    assert (paid.payment_method_code, paid.description, paid.kind) == (
        "01",
        "Tender 01",
        tender_kind_pb2.TENDER_KIND_CASH,
    )
    assert (paid.amount.minor_units, paid.count, paid.share_bps) == (646, 1, 10_000)
    assert got.gross.amount.currency_code == "JPY"
    assert (got.kind, got.transaction_count, got.HasField("terminal_no")) == (REPORT_KIND_FLASH, 1, False)


async def test_after_its_return(reports, feed):
    """A returned sale keeps its gross and its discounts; net and tax are nothing."""
    await feed.receive(transaction(), transaction(2, kinds.TRANSACTION_KIND_RETURN))
    got = await report(reports)
    assert headline(got) == SALE | {"returns": (646, 5, 1), "tax": (0, 0, 0), "net": (0, 0, 0)}
    assert ([*got.taxes], [*got.payments], got.transaction_count) == ([], [], 2)


@pytest.mark.parametrize(
    "undone",
    [
        [kinds.TRANSACTION_KIND_SALE, kinds.TRANSACTION_KIND_VOID_SALE],
        [kinds.TRANSACTION_KIND_CANCELLED_SALE],
        [kinds.TRANSACTION_KIND_RETURN, kinds.TRANSACTION_KIND_VOID_RETURN],
    ],
)
async def test_what_was_undone_leaves_nothing(reports, feed, undone):
    """A void takes all of its original back, and a cancelled sale counts nowhere but among what was received."""
    await feed.receive(*(transaction(number, kind) for number, kind in enumerate(undone, 1)))
    got = await report(reports)
    assert headline(got) == NOTHING
    assert (got.cash_drawer.expected.minor_units, got.transaction_count) == (0, len(undone))


async def test_the_order_of_events_of_terminals_does_not_matter(reports, feed):
    """A return made on another terminal may arrive before its sale."""
    await feed.receive(transaction(1, kinds.TRANSACTION_KIND_RETURN, terminal_no=2))
    await feed.receive(transaction())
    assert headline(await report(reports))["net"] == (0, 0, 0)


async def test_payments_by_method(reports, feed):
    """Each method has its amount, how often it was used, and its share; it is called as when it was last used."""
    mixed = transaction(2)
    del mixed.payments[:]
    mixed.payments.append(payment(400))
    mixed.payments.append(payment(246, "11", tender_kind_pb2.TENDER_KIND_CASHLESS))
    mixed.payments[0].description = "Notes and coins"
    await feed.receive(transaction(terminal_no=2), mixed)
    late = transaction(1, terminal_no=3)
    await feed.receive(late)
    rows = [
        (one.payment_method_code, one.description, one.amount.minor_units, one.count, one.share_bps)
        for one in (await report(reports)).payments
    ]
    assert rows == [("01", "Notes and coins", 1692, 3, 8731), ("11", "Tender 11", 246, 1, 1269)]


async def test_the_cash_drawer(reports, feed):
    """Expected is cash applied and all movements; what was counted is there once every opening was counted."""
    await feed.receive(opened(), cash(1, 5000, initial_float=True), transaction(), cash(2, 300), cash(3, -1000))
    drawer = (await report(reports)).cash_drawer
    assert (drawer.expected.minor_units, drawer.cash_in.minor_units, drawer.cash_in_count) == (4946, 5300, 2)
    assert (drawer.cash_out.minor_units, drawer.cash_out_count) == (-1000, 1)
    assert not drawer.HasField("counted")
    assert not drawer.HasField("difference")
    await feed.receive(closed(cash_movements=3, counted=4900))
    drawer = (await report(reports)).cash_drawer
    assert (drawer.counted.minor_units, drawer.difference.minor_units) == (4900, -46)
    await feed.receive(opened(terminal_no=2))
    assert not (await report(reports)).cash_drawer.HasField("counted")


async def test_scopes(reports, feed):
    """A report covers a store, a terminal or an opening, and a day or a range of days."""
    await feed.receive(
        transaction(1),
        transaction(2, open_counter=2, business_counter=2),
        transaction(1, terminal_no=2),
        transaction(3, day=NEXT_DAY, business_counter=3),
    )
    counts = {
        "store": (await report(reports)).gross.count,
        "terminal": (await report(reports, terminal_no=1)).gross.count,
        "opening": (await report(reports, terminal_no=1, open_counter=2)).gross.count,
        "range": (
            await report(reports, from_business_date=to_date(DAY), to_business_date=to_date(NEXT_DAY))
        ).gross.count,
        "next day": (await report(reports, business_date=to_date(NEXT_DAY), terminal_no=2)).gross.count,
    }
    assert counts == {"store": 3, "terminal": 2, "opening": 1, "range": 4, "next day": 0}


@pytest.mark.parametrize(
    ("first", "last"), [(NEXT_DAY, DAY), (DAY, DAY + timedelta(days=366))], ids=["backwards", "too long"]
)
async def test_refuses_a_period_that_is_none(reports, first, last):
    """A range does not end before it begins, and has at most 366 days."""
    refused = await refusal(report(reports, from_business_date=to_date(first), to_business_date=to_date(last)))
    metadata = {"from_business_date": str(first), "to_business_date": str(last)}
    assert refused == ("INVALID_ARGUMENT", "pos.report/PERIOD_INVALID", metadata)


async def test_an_event_that_comes_again_counts_once(reports, feed):
    """However often an event arrives, it is in the figures once."""
    event = feed.numbers.envelope(transaction())
    await feed.deliver(event)
    await feed.deliver(event, event)
    assert headline(await report(reports)) == SALE


async def test_a_number_received_twice_is_an_error(feed):
    """Another event with the number of a transaction that is here is not counted as if it were new."""
    await feed.receive(transaction())
    with pytest.raises(sa.exc.IntegrityError):
        await feed.receive(transaction())


@pytest.mark.parametrize("field", ["total_with_tax_minor_units", "quantity", "payments", "taxes"])
async def test_a_log_that_contradicts_itself_is_refused(reports, feed, field):
    """A transaction whose parts do not add up reaches no figure."""
    broken = transaction()
    if field in {"payments", "taxes"}:
        broken.ClearField(field)
    else:
        setattr(broken, field, 999)
    with pytest.raises(Refused, match="LOG_INVALID"):
        await feed.receive(broken)
    assert (await report(reports)).transaction_count == 0


async def test_cost_does_not_grow_with_transactions(node, feed):
    """A thousand transactions leave as many figures to be summed as ten."""

    def figures(connection: sa.Connection) -> int | None:
        return connection.scalar(sa.select(sa.func.count()).select_from(FIGURE))

    await feed.receive(*(transaction(number) for number in range(1, 11)))
    before = await node.storage.database.read(figures)
    await feed.receive(*(transaction(number) for number in range(11, 1001)))
    assert await node.storage.database.read(figures) == before


async def test_tenants_have_their_own_reports(system, reports, feed):
    """What one tenant sold is in no report of another."""
    await feed.receive(transaction())
    other = pb_grpc.ReportServiceStub(admin(system, "other").channel("report"))
    assert headline(await report(other)) == NOTHING


async def test_a_terminal_gets_no_report_of_its_choice(system, node):
    """GetSalesReport is for the back office."""
    assert (await refusal(report(pb_grpc.ReportServiceStub(till(system).channel("report")))))[0] == "PERMISSION_DENIED"
