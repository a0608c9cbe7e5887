"""Rules that need several services to hold: between a terminal, its carts, its transactions and the reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pos.cart.v1 import cart_service_pb2 as cart_pb
from pos.cart.v1.cart_pb2 import Cart
from pos.report.v1.report_service_pb2 import GetSalesReportRequest, IssueSalesReportRequest
from pos.report.v1.report_service_pb2_grpc import ReportServiceStub
from pos.terminal.v1.terminal_service_pb2 import CloseTerminalRequest
from pos.type.v1.report_kind_pb2 import REPORT_KIND_DAILY, REPORT_KIND_FLASH
from trunkline.errors import ServiceError

from tests.services.callers import refusal
from tests.shop.company import Company, company, refused, yen
from tests.shop.running import RunningShop
from tests.shop.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("shop"), pytest.mark.usefixtures("books")]


@pytest.fixture
async def acme(shop: RunningShop) -> AsyncIterator[Company]:
    """A tenant beside the demo shop."""
    async with company(shop, "acme") as found:
        yield found


async def test_no_cart_on_a_closed_terminal(acme: Company):
    """A cart needs an open terminal and somebody signed in: cart asks the terminal service, at every cart anew."""
    counter = await acme.counter("closed")
    create = cart_pb.CreateCartRequest()
    assert await refused(counter.carts.CreateCart(create)) == "FAILED_PRECONDITION pos.cart/TERMINAL_NOT_OPEN"
    await counter.open()
    await counter.sell()
    await counter.till.close(0)
    assert await refused(counter.carts.CreateCart(create)) == "FAILED_PRECONDITION pos.cart/TERMINAL_NOT_OPEN"


async def test_close_waits_for_carts_and_seals_the_opening(acme: Company):
    """A close is refused while a cart is unfinished; after it, nothing of the opening can be changed any more."""
    counter = await acme.counter("sealed")
    await counter.open()
    sold, waiting = await counter.paying(), await counter.paying()
    await counter.till.finish(sold)
    close = CloseTerminalRequest(counted_cash=yen(0))
    code, reason, metadata = await refusal(counter.terminals.CloseTerminal(close))
    assert (code, reason) == ("FAILED_PRECONDITION", "pos.terminal/CARTS_UNFINISHED")
    assert metadata["carts"] == "1"
    await counter.till.give_up(waiting)
    closing = (await counter.terminals.CloseTerminal(close)).closing
    assert (closing.transaction_count, closing.last_transaction_no) == (2, 2)
    sealed = "FAILED_PRECONDITION pos.cart/OPENING_SEALED"
    for cart in (sold, waiting):
        assert await refused(counter.carts.FinalizeCart(cart_pb.FinalizeCartRequest(cart_id=cart.cart_id))) == sealed
        assert await refused(counter.carts.CancelCart(cart_pb.CancelCartRequest(cart_id=cart.cart_id))) == sealed


async def test_a_close_counts_what_was_finished_at_the_same_time(acme: Company):
    """Of carts finished while the terminal closes, each is in the closing's count or is refused: none is between."""
    counter = await acme.counter("race")
    await counter.open()
    carts = [await counter.paying() for _ in range(8)]

    async def finish(cart_id: str) -> bool:
        try:
            await counter.carts.FinalizeCart(cart_pb.FinalizeCartRequest(cart_id=cart_id))
        except ServiceError as error:
            if error.reason != "OPENING_SEALED":
                raise
            return False
        return True

    async def close() -> int:
        while True:
            try:
                answer = await counter.terminals.CloseTerminal(CloseTerminalRequest(counted_cash=yen(0)))
            except ServiceError as error:
                if error.reason != "CARTS_UNFINISHED":
                    raise
            else:
                return answer.closing.transaction_count

    async with asyncio.timeout(30):
        counted, *finished = await asyncio.gather(close(), *(finish(cart.cart_id) for cart in carts))
    assert counted == sum(finished) == len(carts)


async def test_a_void_belongs_to_its_opening(acme: Company):
    """What was sold in an earlier opening cannot be voided any more, but it can be taken back."""
    counter = await acme.counter("later")
    await counter.open()
    sale = await counter.sell()
    await counter.till.close(0)
    await counter.till.open()
    assert await refused(counter.till.void(sale)) == "FAILED_PRECONDITION pos.cart/OPENING_OVER"
    taken_back = await counter.till.take_back(sale, "cash")
    assert taken_back.transaction_no == 2
    await counter.till.close(0)


async def test_a_sale_is_undone_once_at_a_time(acme: Company):
    """Returned, it is neither returned nor voided; when the return is voided, both may be done again, once."""
    counter = await acme.counter("undone")
    await counter.open()
    till, sale = counter.till, await counter.sell()
    taken_back = await till.take_back(sale, "card")
    assert await refused(till.void(sale)) == "FAILED_PRECONDITION pos.cart/ALREADY_RETURNED"
    assert await refused(till.take_back(sale, "cash")) == "FAILED_PRECONDITION pos.cart/ALREADY_RETURNED"
    await till.void(taken_back)
    assert await refused(till.void(taken_back)) == "FAILED_PRECONDITION pos.cart/ALREADY_VOIDED"
    again = await till.take_back(sale, "cash")
    await till.void(again)
    await till.void(sale)
    assert await refused(till.void(sale)) == "FAILED_PRECONDITION pos.cart/ALREADY_VOIDED"
    assert await refused(till.take_back(sale, "cash")) == "FAILED_PRECONDITION pos.cart/ALREADY_VOIDED"
    assert [one.transaction_no for one in counter.ledger.transactions] == [1, 2, 3, 4, 5, 6]
    await till.close(1_000)


async def test_another_terminal_of_the_store_takes_back_but_does_not_void(acme: Company):
    """A return is the store's business; a void, and a cart, are the terminal's own."""
    first, second = await acme.counter("two", 1), await acme.counter("two", 2)
    await first.open()
    await second.open()
    sale, cart = await first.sell(), await first.paying()
    get = cart_pb.GetCartRequest(cart_id=cart.cart_id)
    assert await refused(second.carts.GetCart(get)) == "NOT_FOUND pos.cart/CART_NOT_FOUND"
    # It asks for its own transaction of that number.
    assert await refused(second.till.void(sale)) == "NOT_FOUND pos.cart/TRANSACTION_NOT_FOUND"
    assert (await second.till.take_back(sale, "cash")).transaction_no == 1
    await first.till.give_up(cart)
    await first.till.close(0)
    await second.till.close(0)


async def test_a_daily_report_waits_for_every_terminal(acme: Company):
    """It is refused while a terminal is open, and names it; a flash report is not. Closed, it has what was sold."""
    first, second = await acme.counter("daily", 1), await acme.counter("daily", 2)
    await first.open()
    await second.open()
    sale = await first.sell()
    await first.till.close(0)
    date = first.till.opening.business_date
    office = ReportServiceStub(acme.office.channel("report"))

    def report(kind: int) -> GetSalesReportRequest:
        return GetSalesReportRequest(kind=kind, store_code="daily", business_date=date)  # type: ignore[arg-type]

    code, reason, metadata = await refusal(office.GetSalesReport(report(REPORT_KIND_DAILY)))
    assert (code, reason) == ("FAILED_PRECONDITION", "pos.report/TERMINAL_OPEN")
    assert metadata["terminal_no"] == "2"
    issue = IssueSalesReportRequest(kind=REPORT_KIND_DAILY, whole_store=True)
    assert await refused(second.reports.IssueSalesReport(issue)) == "FAILED_PRECONDITION pos.report/TERMINAL_OPEN"
    assert (await office.GetSalesReport(report(REPORT_KIND_FLASH))).report.gross.count <= 1
    await second.till.close(0)

    async def complete() -> bool:
        try:
            answer = await office.GetSalesReport(report(REPORT_KIND_DAILY))
        except ServiceError as error:
            if error.reason != "LOGS_MISSING":
                raise
            return False
        gross = answer.report.gross
        assert (gross.amount.minor_units, gross.count) == (sale.total_with_tax, 1)
        return True

    await until(complete, "the daily report")


async def test_resumed_and_cancelled_carts(acme: Company):
    """A resumed cart has no payments; an empty one that is cancelled burns no number, a filled one does."""
    counter = await acme.counter("carts")
    await counter.open()
    empty = await counter.till.new_sale()
    await counter.till.give_up(empty)
    resumed = await counter.paying()
    await resumed.resume()
    assert resumed.totals.state == Cart.STATE_ENTERING
    assert resumed.totals.balance.minor_units == 450
    finish = counter.carts.FinalizeCart(cart_pb.FinalizeCartRequest(cart_id=resumed.cart_id))
    assert await refused(finish) == "FAILED_PRECONDITION pos.cart/CART_WRONG_STATE"
    await counter.till.give_up(resumed)
    sale = await counter.sell()
    assert [one.kind for one in counter.ledger.transactions] == ["CANCELLED_SALE", "SALE"]
    assert sale.transaction_no == 2
    await counter.till.close(0)
