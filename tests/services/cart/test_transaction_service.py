"""TransactionService through its whole chain: what is read, voided and returned."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio
from pos.cart.v1 import transaction_service_pb2 as pb
from pos.cart.v1.transaction_pb2 import Transaction, TransactionReference, TransactionSummary
from pos.cart.v1.transaction_service_pb2_grpc import TransactionServiceStub
from pos.event.v1.transaction_log_pb2 import TransactionLog
from pos.payment.v1 import payment_method_service_pb2, payment_method_service_pb2_grpc
from pos.type.v1.date_pb2 import Date
from pos.type.v1.transaction_kind_pb2 import (
    TRANSACTION_KIND_RETURN,
    TRANSACTION_KIND_SALE,
    TRANSACTION_KIND_VOID_RETURN,
    TRANSACTION_KIND_VOID_SALE,
)
from trunkline.errors import ServiceError

from tests.services.callers import refusal
from tests.services.cart.goods import CARD, yen
from tests.services.cart.shop import DAY, NEXT_DAY, Lane, Shop, line, tender

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATE = "FAILED_PRECONDITION"


def payments(log: TransactionLog) -> list[tuple[str, int, int, int, int]]:
    """Code, deposit, what was applied, change and what was forfeited."""
    return [
        (
            one.payment_method_code,
            one.deposit_minor_units,
            one.applied_minor_units,
            one.change_minor_units,
            one.forfeited_minor_units,
        )
        for one in log.payments
    ]


async def test_a_void_undoes_a_sale(lane):
    """A void repeats the sale under its own numbers, names it, and gives each payment back without its change."""
    sale = await lane.sell(("card", 20), ("cash", 120), ("cash", 200))
    lane.shop.clock.advance(30)
    answer = await lane.void(sale, tender("cash", 200), tender("card", 20))
    assert answer == pb.VoidTransactionResponse(
        transaction_no=2, receipt_no=111_112, kind=TRANSACTION_KIND_VOID_SALE, total_with_tax=yen(220)
    )
    sold, void = await lane.published()
    assert payments(sold) == [("card", 20, 20, 0, 0), ("cash", 120, 120, 0, 0), ("cash", 200, 80, 120, 0)]
    assert payments(void) == [("card", 20, 20, 0, 0), ("cash", 120, 120, 0, 0), ("cash", 80, 80, 0, 0)]
    expected = TransactionLog(
        kind=TRANSACTION_KIND_VOID_SALE, transaction_no=2, receipt_no=111_112, payments=void.payments,
        origin=TransactionLog.Origin(
            terminal_no=lane.terminal_no, transaction_no=1, business_date=DAY, open_counter=1
        ),
    )  # fmt: skip
    expected.create_time.FromDatetime(lane.shop.clock.now())
    same = TransactionLog()
    same.CopyFrom(sold)
    for differs in ("payments", "change_minor_units"):
        same.ClearField(differs)
    same.MergeFrom(expected)
    assert void == same
    by = TransactionReference(terminal_no=lane.terminal_no, transaction_no=2)
    assert await lane.look(1) == Transaction(log=sold, voided_by=by)
    assert await lane.look(2) == Transaction(log=void)


async def test_a_return_at_another_terminal(shop, lane):
    """Any terminal of the store takes a sale back, under its own numbers and opening, to tenders of its choice."""
    sale = await lane.sell(("voucher", 500))
    beside = await shop.lane()
    await beside.open()
    await beside.close()
    await beside.reopen(NEXT_DAY)
    answer = await beside.take_back(sale, tender("cash", 120), tender("card", 100), seller=lane.terminal_no)
    assert answer == pb.ReturnTransactionResponse(transaction_no=1, receipt_no=111_111, total_with_tax=yen(220))
    (sold,), (back,) = await lane.published(), await beside.published()
    assert (back.kind, back.terminal_no) == (TRANSACTION_KIND_RETURN, beside.terminal_no)
    assert (back.business_date, back.open_counter, back.business_counter) == (NEXT_DAY, 1, 2)
    assert (back.lines, back.taxes, back.total_with_tax_minor_units) == (sold.lines, sold.taxes, 220)
    assert payments(back) == [("cash", 120, 120, 0, 0), ("card", 100, 100, 0, 0)]
    assert back.origin == TransactionLog.Origin(
        terminal_no=lane.terminal_no, transaction_no=1, business_date=DAY, open_counter=1
    )
    by = TransactionReference(terminal_no=beside.terminal_no, transaction_no=1)
    assert await lane.look(1) == Transaction(log=sold, returned_by=by)


async def test_the_void_of_a_return_makes_the_sale_returnable(shop, lane):
    """What stands in the way of a void or a return is gone once it is voided itself, also on another terminal."""
    beside = await shop.lane()
    await beside.open()
    await lane.sell()
    await beside.take_back(1, seller=lane.terminal_no)
    taken = (STATE, "pos.cart/ALREADY_RETURNED", {"transaction": lane.transaction(1)})
    assert await refusal(lane.take_back(1)) == taken
    assert await refusal(lane.void(1)) == taken
    answer = await beside.void(1)
    assert (answer.kind, answer.total_with_tax) == (TRANSACTION_KIND_VOID_RETURN, yen(220))
    assert (await beside.published())[-1].origin.transaction_no == 1
    assert not (await lane.look(1)).HasField("returned_by")
    assert (await beside.look(1)).voided_by.transaction_no == 2
    again = await lane.take_back(1)
    assert (await lane.look(1)).returned_by.transaction_no == again.transaction_no == 2
    await lane.void(2)
    assert (await lane.void(1)).kind == TRANSACTION_KIND_VOID_SALE
    assert await refusal(lane.take_back(1)) == (STATE, "pos.cart/ALREADY_VOIDED", {"transaction": lane.transaction(1)})


async def test_goods_for_nothing_are_undone(lane):
    """A sale that took no money is returned and voided without tenders."""
    cart_id = await lane.new_cart()
    await lane.add(cart_id, line("Z"))
    await lane.subtotal(cart_id)
    await lane.finalise(cart_id)
    back = pb.ReturnTransactionRequest(terminal_no=lane.terminal_no, transaction_no=1)
    assert (await lane.transactions.ReturnTransaction(back)).total_with_tax == yen(0)
    for number in (2, 1):
        await lane.transactions.VoidTransaction(pb.VoidTransactionRequest(transaction_no=number))
    assert [len(log.payments) for log in await lane.published()] == [0, 0, 0, 0]


async def test_a_void_asks_no_tender(shop, lane):
    """A void gives back what was paid, even to a method that is not in use any more and takes no refunds."""
    methods = payment_method_service_pb2_grpc.PaymentMethodServiceStub(shop.office("payment"))
    coupon = type(CARD)()
    coupon.CopyFrom(CARD)
    coupon.payment_method_code, coupon.can_refund = "coupon", False
    await methods.CreatePaymentMethod(payment_method_service_pb2.CreatePaymentMethodRequest(payment_method=coupon))
    await lane.sell(("coupon", 220))
    retire = payment_method_service_pb2.UpdatePaymentMethodRequest(payment_method_code="coupon", active=False)
    await methods.UpdatePaymentMethod(retire)
    assert (await lane.void(1, tender("coupon", 220))).transaction_no == 2


@pytest.mark.parametrize("ways", [("void", "void"), ("return", "return"), ("void", "return")])
async def test_of_two_at_once_one_undoes(lane, ways):
    """However two calls for one sale meet, one of them undoes it, the other is refused and burns no number."""
    await lane.sell()
    calls = {"void": lane.void, "return": lane.take_back}
    outcomes = await asyncio.gather(*(calls[way](1) for way in ways), return_exceptions=True)
    (failure,) = [one for one in outcomes if isinstance(one, ServiceError)]
    assert failure.reason in {"ALREADY_VOIDED", "ALREADY_RETURNED"}
    assert [log.transaction_no for log in await lane.published()] == [1, 2]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def past(shop: Shop) -> Lane:
    """A terminal with a sale and its void on one day, a sale and its return on the next."""
    lane = await shop.lane()
    await lane.open()
    await lane.void(await lane.sell())
    await lane.close()
    await lane.reopen(NEXT_DAY)
    await lane.take_back(await lane.sell())
    return lane


async def test_lists_what_became_of_transactions(shop, past):
    """The list has the log's headline and the standing of each transaction, for tills and the back office alike."""
    request = pb.ListTransactionsRequest(store_code="0001", terminal_no=past.terminal_no)
    listed = await past.transactions.ListTransactions(request)
    assert await TransactionServiceStub(shop.office("cart")).ListTransactions(request) == listed
    logs = {log.transaction_no: log for log in await past.published()}
    assert list(listed.transactions) == [
        TransactionSummary(
            store_code="0001", terminal_no=past.terminal_no, transaction_no=number, receipt_no=111_110 + number,
            kind=kind, business_date=day, open_counter=1, create_time=logs[number].create_time, staff_id="s1",
            total_with_tax=yen(220), quantity=2, voided=number == 1, returned=number == 3,
        )
        for number, kind, day in (
            (4, TRANSACTION_KIND_RETURN, NEXT_DAY),
            (3, TRANSACTION_KIND_SALE, NEXT_DAY),
            (2, TRANSACTION_KIND_VOID_SALE, DAY),
            (1, TRANSACTION_KIND_SALE, DAY),
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last", "numbers"),
    [
        (None, None, [4, 3, 2, 1]),
        (NEXT_DAY, None, [4, 3]),
        (None, DAY, [2, 1]),
        (DAY, NEXT_DAY, [4, 3, 2, 1]),
        (NEXT_DAY, DAY, []),
        (Date(year=2026, month=3, day=3), None, []),
    ],
)
async def test_pages_by_date(past, first, last, numbers):
    """Each bound counts on its own; pages follow one another without holes, newest first."""
    found, token, pages = [], "", 0
    while token or not pages:
        request = pb.ListTransactionsRequest(
            store_code="0001", terminal_no=past.terminal_no, from_business_date=first, to_business_date=last,
            page_size=3, page_token=token,
        )  # fmt: skip
        page = await past.transactions.ListTransactions(request)
        found += [one.transaction_no for one in page.transactions]
        token, pages = page.next_page_token, pages + 1
    assert (found, pages) == (numbers, 2 if len(numbers) > 3 else 1)


async def test_a_page_token_fits_its_list_only(past):
    """A token opens the next page of the list it was made for, and of no other."""
    request = pb.ListTransactionsRequest(store_code="0001", terminal_no=past.terminal_no, page_size=1)
    request.page_token = (await past.transactions.ListTransactions(request)).next_page_token
    assert (await past.transactions.ListTransactions(request)).transactions[0].transaction_no == 3
    request.to_business_date.CopyFrom(DAY)
    refused = await refusal(past.transactions.ListTransactions(request))
    assert refused == ("INVALID_ARGUMENT", "pos.type/PAGE_TOKEN_INVALID", {})
