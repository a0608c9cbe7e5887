"""What TransactionService refuses, through its whole chain, with real neighbours."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio
from pos.cart.v1 import transaction_service_pb2 as pb
from pos.cart.v1.transaction_service_pb2_grpc import TransactionServiceStub
from pos.type.v1.date_pb2 import Date
from pos.type.v1.money_pb2 import Money
from trunkline.call import acting_for

from tests.services.callers import Refusal, refusal, send, service
from tests.services.cart.goods import furnish
from tests.services.cart.shop import NEXT_DAY, Lane, Shop, tender

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATE, MISSING = "FAILED_PRECONDITION", "NOT_FOUND"
USD = Money(currency_code="USD", minor_units=1)
DOLLARS = ("INVALID_ARGUMENT", "pos.type/CURRENCY_MISMATCH", {"currency_code": "USD", "expected": "JPY"})
SALE, VOIDED, VOID, RETURNED, RETURN, CANCELLED, UNDONE_RETURN, VOID_RETURN = 1, 2, 3, 4, 5, 6, 8, 9
"""What the transactions of the past are, by number."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def past(shop: Shop) -> Lane:
    """A terminal with one transaction of every kind; each came to 220 in cash."""
    lane = await shop.lane()
    await lane.open()
    await lane.sell()
    await lane.void(await lane.sell())
    await lane.take_back(await lane.sell())
    await lane.new_cart("cancelled")
    sale = await lane.sell()
    await lane.void((await lane.take_back(sale)).transaction_no)
    assert len(await lane.published()) == VOID_RETURN
    return lane


def void(number: int, *payments: pb.TenderAmount) -> pb.VoidTransactionRequest:
    """A void; of 220 in cash unless told otherwise."""
    return pb.VoidTransactionRequest(transaction_no=number, payments=payments or [tender("cash", 220)])


def back(number: int, *payments: pb.TenderAmount) -> pb.ReturnTransactionRequest:
    """A return; of 220 in cash unless told otherwise."""
    return pb.ReturnTransactionRequest(transaction_no=number, payments=payments or [tender("cash", 220)])


def here(request: Any, lane: Lane) -> Any:
    """The request; a return, of a sale of this terminal."""
    mine = type(request)()
    mine.CopyFrom(request)
    if isinstance(mine, pb.ReturnTransactionRequest):
        mine.terminal_no = lane.terminal_no
    return mine


OTHER_TENDERS: Refusal = (STATE, "pos.cart/TENDERS_DIFFER", {})


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (void(77), (MISSING, "pos.cart/TRANSACTION_NOT_FOUND", {})),
        (void(2**63 - 1), (MISSING, "pos.cart/TRANSACTION_NOT_FOUND", {})),
        (void(VOIDED), (STATE, "pos.cart/ALREADY_VOIDED", {})),
        (void(RETURNED), (STATE, "pos.cart/ALREADY_RETURNED", {})),
        (void(UNDONE_RETURN), (STATE, "pos.cart/ALREADY_VOIDED", {})),
        (void(VOID), (STATE, "pos.cart/NOT_VOIDABLE", {"kind": "VOID_SALE"})),
        (void(VOID_RETURN), (STATE, "pos.cart/NOT_VOIDABLE", {"kind": "VOID_RETURN"})),
        (void(CANCELLED), (STATE, "pos.cart/NOT_VOIDABLE", {"kind": "CANCELLED_SALE"})),
        (pb.VoidTransactionRequest(transaction_no=SALE), OTHER_TENDERS),
        (void(SALE, tender("cash", 219)), OTHER_TENDERS),
        (void(SALE, tender("card", 220)), OTHER_TENDERS),
        (void(SALE, tender("cash", 220), tender("card", 1)), OTHER_TENDERS),
        (void(SALE, pb.TenderAmount(payment_method_code="cash", amount=USD)), DOLLARS),
        (back(77), (MISSING, "pos.cart/TRANSACTION_NOT_FOUND", {})),
        (back(VOIDED), (STATE, "pos.cart/ALREADY_VOIDED", {})),
        (back(RETURNED), (STATE, "pos.cart/ALREADY_RETURNED", {})),
        (back(VOID), (STATE, "pos.cart/NOT_RETURNABLE", {"kind": "VOID_SALE"})),
        (back(RETURN), (STATE, "pos.cart/NOT_RETURNABLE", {"kind": "RETURN"})),
        (back(VOID_RETURN), (STATE, "pos.cart/NOT_RETURNABLE", {"kind": "VOID_RETURN"})),
        (back(CANCELLED), (STATE, "pos.cart/NOT_RETURNABLE", {"kind": "CANCELLED_SALE"})),
        (
            back(SALE, tender("none", 220)),
            (MISSING, "pos.cart/PAYMENT_METHOD_NOT_FOUND", {"payment_method_code": "none"}),
        ),
        (
            back(SALE, tender("retired", 220)),
            (STATE, "pos.cart/PAYMENT_METHOD_INACTIVE", {"payment_method_code": "retired"}),
        ),
        (
            back(SALE, tender("voucher", 220)),
            (STATE, "pos.cart/REFUND_NOT_ALLOWED", {"payment_method_code": "voucher"}),
        ),
        (
            back(SALE, tender("cash", 100), tender("card", 119)),
            (STATE, "pos.cart/REFUND_SUM_WRONG", {"refunded": "219", "due": "220"}),
        ),
        (back(SALE, tender("cash", 221)), (STATE, "pos.cart/REFUND_SUM_WRONG", {"refunded": "221", "due": "220"})),
        (
            pb.ReturnTransactionRequest(transaction_no=SALE),
            (STATE, "pos.cart/REFUND_SUM_WRONG", {"refunded": "0", "due": "220"}),
        ),
        (back(SALE, pb.TenderAmount(payment_method_code="cash", amount=USD)), DOLLARS),
    ],
)
async def test_refuses_and_changes_nothing(past, request_, expected):
    """I9: a refusal has its status, reason and metadata; nothing is changed, numbered, answered or published."""
    before = await past.shop.stored()
    status, reason, metadata = await refusal(send(past.transactions, here(request_, past)))
    # Those that tell nothing else name the transaction.
    named = {} if expected[2].keys() - {"kind"} else {"transaction": past.transaction(request_.transaction_no)}
    assert (status, reason, metadata) == (*expected[:2], {**named, **expected[2]})
    assert await past.shop.stored() == before


@pytest.mark.parametrize(
    "request_",
    [
        void(0),
        void(1, tender("cash", 0)),
        void(1, pb.TenderAmount(payment_method_code="cash")),
        void(1, *[tender("cash", 1)] * 101),
        back(1, tender("cash", -1)),
        pb.GetTransactionRequest(store_code="0001", terminal_no=1),
        pb.ListTransactionsRequest(store_code="0001"),
        pb.ListTransactionsRequest(store_code="0001", terminal_no=1, page_size=501),
    ],
)
async def test_refuses_what_the_contract_rules_out(past, request_):
    """I9: requests beyond the contract's bounds reach no transaction."""
    refused = await refusal(send(past.transactions, here(request_, past)))
    assert refused[:2] == ("INVALID_ARGUMENT", "trunk/REQUEST_INVALID")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (
            pb.GetTransactionRequest(store_code="0001", terminal_no=9000, transaction_no=7),
            (
                MISSING,
                "pos.cart/TRANSACTION_NOT_FOUND",
                {"transaction": "tenants/acme/stores/0001/terminals/9000/transactions/7"},
            ),
        ),
        (
            pb.GetTransactionRequest(store_code="0002", terminal_no=1, transaction_no=1),
            ("PERMISSION_DENIED", "pos.type/STORE_FOREIGN", {"store_code": "0002"}),
        ),
        (
            pb.ListTransactionsRequest(store_code="0002", terminal_no=1),
            ("PERMISSION_DENIED", "pos.type/STORE_FOREIGN", {"store_code": "0002"}),
        ),
        (
            pb.ListTransactionsRequest(store_code="0001", terminal_no=1, page_token="eA=="),
            ("INVALID_ARGUMENT", "pos.type/PAGE_TOKEN_INVALID", {}),
        ),
        (
            pb.ListTransactionsRequest(
                store_code="0001", terminal_no=1, from_business_date=Date(year=2026, month=2, day=30)
            ),
            ("INVALID_ARGUMENT", "pos.type/DATE_INVALID", {"date": "2026-02-30"}),
        ),
    ],
)
async def test_refuses_to_read(past, request_, expected):
    """A read is refused with what it named."""
    assert await refusal(send(past.transactions, request_)) == expected


async def test_needs_a_terminal_that_is_ready(shop):
    """Neither a void nor a return is made on a terminal that is not OPENED or has nobody signed in."""
    lane = await shop.lane()
    await lane.open()
    await lane.sell()
    who, requests = {"terminal": lane.key}, [here(void(1), lane), here(back(1), lane)]
    await lane.sign_out()
    before = await shop.stored()
    for request in requests:
        assert await refusal(send(lane.transactions, request)) == (STATE, "pos.cart/STAFF_NOT_SIGNED_IN", who)
    assert await shop.stored() == before
    await lane.sign_in()
    await lane.close()
    before = await shop.stored()
    for request in requests:
        assert await refusal(send(lane.transactions, request)) == (STATE, "pos.cart/TERMINAL_NOT_OPEN", who)
    assert await shop.stored() == before


async def test_a_void_ends_with_its_opening(lane):
    """After the next opening a transaction can only be returned; the return belongs to the new opening."""
    await lane.sell()
    await lane.close()
    await lane.reopen(NEXT_DAY)
    refused = await refusal(lane.void(1))
    assert refused == (STATE, "pos.cart/OPENING_OVER", {"transaction": lane.transaction(1)})
    assert (await lane.take_back(1)).transaction_no == 2
    log = (await lane.published())[-1]
    assert (log.business_date, log.open_counter, log.business_counter) == (NEXT_DAY, 1, 2)
    assert (log.origin.transaction_no, log.origin.business_date.day) == (1, 1)


async def test_nobody_else_finds_a_transaction(shop, lane):
    """To another store or tenant a sale looks like none; another terminal cannot void it."""
    await lane.sell()
    await furnish(shop.system, "zeta")
    number = lane.terminal_no
    beside = await shop.lane()
    elsewhere = await shop.lane("0002", terminal_no=number)
    theirs = await shop.lane("0001", "zeta", terminal_no=number)
    request = here(back(1), lane)
    for stranger in (beside, elsewhere, theirs):
        await stranger.open()
        missing = (MISSING, "pos.cart/TRANSACTION_NOT_FOUND", {"transaction": stranger.transaction(1)})
        assert await refusal(stranger.void(1)) == missing
        if stranger is not beside:
            assert await refusal(stranger.transactions.ReturnTransaction(request)) == missing
    look = pb.GetTransactionRequest(store_code="0001", terminal_no=number, transaction_no=1)
    for stub in (theirs.transactions, TransactionServiceStub(shop.office("cart", "zeta"))):
        assert (await refusal(stub.GetTransaction(look)))[1] == "pos.cart/TRANSACTION_NOT_FOUND"
        listed = await stub.ListTransactions(pb.ListTransactionsRequest(store_code="0001", terminal_no=number))
        assert not listed.transactions
    assert not (await lane.look(1)).HasField("returned_by")


async def test_everybody_keeps_to_their_own(shop, past):
    """The back office voids nothing, a terminal seals nothing, and a service needs a tenant to seal for."""
    denied = ("PERMISSION_DENIED", "trunk/ACCESS_DENIED")
    office = TransactionServiceStub(shop.office("cart"))
    for request in (void(SALE), here(back(SALE), past)):
        assert (await refusal(send(office, request)))[:2] == denied
    seal = pb.SealOpeningRequest(store_code="0001", terminal_no=past.terminal_no, business_counter=1)
    for stub in (office, past.transactions, TransactionServiceStub(service(shop.system, "stock").channel("cart"))):
        assert (await refusal(stub.SealOpening(seal)))[:2] == denied
    reader = TransactionServiceStub(service(shop.system, "stock").channel("cart"))
    with acting_for("acme"):
        look = pb.GetTransactionRequest(store_code="0001", terminal_no=past.terminal_no, transaction_no=SALE)
        assert (await reader.GetTransaction(look)).transaction.log.transaction_no == SALE
