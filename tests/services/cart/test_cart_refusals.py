"""What CartService refuses, through its whole chain, with real neighbours."""

from __future__ import annotations

from typing import Any

import pytest
from pos.cart.v1 import cart_service_pb2 as pb
from pos.cart.v1.cart_service_pb2_grpc import CartServiceStub
from pos.type.v1.money_pb2 import Money

from tests.services.callers import refusal, send, till
from tests.services.cart.goods import furnish, yen
from tests.services.cart.shop import TWO_A, Lane, line

pytestmark = pytest.mark.asyncio(loop_scope="module")

STATE = "FAILED_PRECONDITION"
USD = Money(currency_code="USD", minor_units=1)
DOLLARS = ("INVALID_ARGUMENT", "pos.type/CURRENCY_MISMATCH", {"currency_code": "USD", "expected": "JPY"})
NO_LINE = ("NOT_FOUND", "pos.cart/LINE_NOT_FOUND", {"cart_id": "{cart}", "line_no": "7"})
LINE_GONE = (STATE, "pos.cart/LINE_CANCELLED", {"cart_id": "{cart}", "line_no": "1"})
TOO_LARGE = (STATE, "pos.cart/TOTAL_TOO_LARGE", {"limit": "1000000000000000"})
PAID = (STATE, "pos.cart/NOTHING_TO_PAY", {"balance": "0"})

EVENTS: dict[str, Any] = {
    "ADD_LINE": pb.AddLinesRequest(lines=TWO_A),
    "CHANGE_QUANTITY": pb.ChangeLineQuantityRequest(line_no=1, quantity=3),
    "CANCEL_LINE": pb.CancelLineRequest(line_no=1),
    "SUBTOTAL": pb.SubtotalCartRequest(),
    "ADD_PAYMENT": pb.AddPaymentRequest(payment_method_code="cash", deposit=yen(1)),
    "RESUME": pb.ResumeCartRequest(),
    "FINALISE": pb.FinalizeCartRequest(),
    "CANCEL": pb.CancelCartRequest(),
}
"""Every change of a cart."""
ALLOWED = {
    "idle": {"ADD_LINE", "CANCEL"},
    "entering": {"ADD_LINE", "CHANGE_QUANTITY", "CANCEL_LINE", "SUBTOTAL", "CANCEL"},
    "paying": {"ADD_PAYMENT", "RESUME", "FINALISE", "CANCEL"},
    "completed": set[str](),
    "cancelled": set[str](),
}
"""The changes that each state allows."""


def pay(payment_method_code: str, deposit: int) -> pb.AddPaymentRequest:
    """A payment."""
    return pb.AddPaymentRequest(payment_method_code=payment_method_code, deposit=yen(deposit))


def of(request: Any, cart_id: str) -> Any:
    """The request for a cart."""
    mine = type(request)()
    mine.CopyFrom(request)
    mine.cart_id = cart_id
    return mine


async def bring(lane: Lane, state: str) -> str:
    """A cart in a state, or with all lines cancelled, a line of 10^10, or goods for nothing that wait for payment."""
    special = {"cleared": TWO_A, "dear": [line("C", 1, 10**10)], "free": [line("A", 2, 0)]}
    if state not in special:
        return await lane.new_cart(state)
    cart_id = await lane.new_cart()
    await lane.add(cart_id, *special[state])
    if state == "cleared":
        await lane.carts.CancelLine(pb.CancelLineRequest(cart_id=cart_id, line_no=1))
    if state == "free":
        await lane.subtotal(cart_id)
    return cart_id


@pytest.mark.parametrize(
    ("state", "request_", "expected"),
    [
        (
            "entering",
            pb.AddLinesRequest(lines=[*TWO_A, line("NONE")]),
            ("NOT_FOUND", "pos.cart/ITEM_NOT_FOUND", {"item_code": "NONE"}),
        ),
        (
            "entering",
            pb.AddLinesRequest(lines=[*TWO_A, line("GONE")]),
            (STATE, "pos.cart/ITEM_DELETED", {"item_code": "GONE"}),
        ),
        (
            "entering",
            pb.AddLinesRequest(lines=[pb.AddLinesRequest.NewLine(item_code="A", quantity=1, unit_price=USD)]),
            DOLLARS,
        ),
        ("entering", pb.AddLinesRequest(lines=[line("A", 1_000_000, 10**15)]), TOO_LARGE),
        ("entering", pb.AddLinesRequest(lines=[line("A", 1, 10**15)]), TOO_LARGE),
        ("dear", pb.ChangeLineQuantityRequest(line_no=1, quantity=100_001), TOO_LARGE),
        ("entering", pb.ChangeLineQuantityRequest(line_no=7, quantity=1), NO_LINE),
        ("entering", pb.CancelLineRequest(line_no=7), NO_LINE),
        ("cleared", pb.ChangeLineQuantityRequest(line_no=1, quantity=1), LINE_GONE),
        ("cleared", pb.CancelLineRequest(line_no=1), LINE_GONE),
        (
            "cleared",
            pb.SubtotalCartRequest(),
            (STATE, "pos.cart/CART_EMPTY", {"state": "ENTERING", "event": "SUBTOTAL"}),
        ),
        (
            "paying",
            pay("none", 1),
            ("NOT_FOUND", "pos.cart/PAYMENT_METHOD_NOT_FOUND", {"payment_method_code": "none"}),
        ),
        ("paying", pay("retired", 1), (STATE, "pos.cart/PAYMENT_METHOD_INACTIVE", {"payment_method_code": "retired"})),
        ("paid", pay("cash", 1), PAID),
        ("free", pay("cash", 1), PAID),
        (
            "paying",
            pay("voucher", 5001),
            (
                STATE,
                "pos.cart/DEPOSIT_OVER_LIMIT",
                {"payment_method_code": "voucher", "deposit": "5001", "limit": "5000"},
            ),
        ),
        (
            "paying",
            pay("card", 221),
            (
                STATE,
                "pos.cart/DEPOSIT_OVER_BALANCE",
                {"payment_method_code": "card", "deposit": "221", "balance": "220"},
            ),
        ),
        ("paying", pb.AddPaymentRequest(payment_method_code="cash", deposit=USD), DOLLARS),
        ("paying", pb.FinalizeCartRequest(), (STATE, "pos.cart/BALANCE_DUE", {"cart_id": "{cart}", "balance": "220"})),
    ],
)
async def test_refuses_and_changes_nothing(shared, state, request_, expected):
    """I9: a refusal has its status, reason and metadata; nothing is changed, numbered, answered or published."""
    cart_id = await bring(shared, state)
    before = await shared.shop.stored()
    status, reason, metadata = await refusal(send(shared.carts, of(request_, cart_id)))
    named = {name: value.format(cart=cart_id) for name, value in expected[2].items()}
    assert (status, reason, metadata) == (*expected[:2], named)
    assert await shared.shop.stored() == before


@pytest.mark.parametrize("state", ALLOWED)
async def test_a_state_allows_what_its_row_says(shared, state):
    """Every other change is refused with the state and the event, and changes nothing."""
    cart_id = await shared.new_cart(state)
    before = await shared.shop.stored()
    for event in EVENTS.keys() - ALLOWED[state]:
        refused = await refusal(send(shared.carts, of(EVENTS[event], cart_id)))
        assert refused == (STATE, "pos.cart/CART_WRONG_STATE", {"state": state.upper(), "event": event})
    assert await shared.shop.stored() == before


@pytest.mark.parametrize(
    "request_",
    [
        pb.AddLinesRequest(),
        pb.AddLinesRequest(lines=[line("A")] * 101),
        pb.AddLinesRequest(lines=[line("A", 0)]),
        pb.AddLinesRequest(lines=[line("A", 1_000_001)]),
        pb.AddLinesRequest(lines=[line("A", 1, -1)]),
        pb.ChangeLineQuantityRequest(line_no=1),
        pb.ChangeLineQuantityRequest(line_no=1, quantity=1_000_001),
        pb.CancelLineRequest(line_no=0),
        pb.AddPaymentRequest(payment_method_code="cash"),
        pay("cash", 0),
        pay("cash", -1),
    ],
)
async def test_refuses_what_the_contract_rules_out(shared, request_):
    """I9: requests beyond the contract's bounds never reach a cart."""
    cart_id = await shared.new_cart("entering")
    refused = await refusal(send(shared.carts, of(request_, cart_id)))
    assert refused[:2] == ("INVALID_ARGUMENT", "trunk/REQUEST_INVALID")


async def test_a_cart_needs_a_terminal_that_is_ready(shop):
    """A cart is made on an OPENED terminal with somebody signed in, and on no other."""
    lane = await shop.lane()
    create, who = pb.CreateCartRequest(), {"terminal": lane.key}
    before = await shop.stored()
    assert await refusal(lane.carts.CreateCart(create)) == (STATE, "pos.cart/TERMINAL_NOT_OPEN", who)
    await lane.open()
    await lane.sign_out()
    assert await refusal(lane.carts.CreateCart(create)) == (STATE, "pos.cart/STAFF_NOT_SIGNED_IN", who)
    await lane.sign_in()
    await lane.close()
    sealed = await shop.stored()
    assert await refusal(lane.carts.CreateCart(create)) == (STATE, "pos.cart/TERMINAL_NOT_OPEN", who)
    assert await shop.stored() == sealed
    assert sealed["cart"] == before["cart"]


async def test_nobody_else_finds_a_cart(shop, lane):
    """To another terminal, store or tenant a cart looks like none, in every method; so does one that is none."""
    cart_id = await lane.new_cart("entering")
    await furnish(shop.system, "zeta")
    strangers = [
        await shop.lane(),
        await shop.lane("0002", terminal_no=lane.terminal_no),
        await shop.lane("0001", "zeta", terminal_no=lane.terminal_no),
    ]
    for stranger in strangers:
        await stranger.open()
    before = await shop.stored()
    asked = [(stranger, cart_id) for stranger in strangers] + [(lane, "none")]
    for who, wanted in asked:
        for request in (pb.GetCartRequest(), *EVENTS.values()):
            refused = await refusal(send(who.carts, of(request, wanted)))
            assert refused == ("NOT_FOUND", "pos.cart/CART_NOT_FOUND", {"cart_id": wanted})
    assert await shop.stored() == before
    assert (await lane.carts.GetCart(pb.GetCartRequest(cart_id=cart_id))).cart.cart_id == cart_id


async def test_only_tills_touch_carts(shop, lane):
    """The back office makes no carts and sees none."""
    cart_id = await lane.new_cart()
    office = CartServiceStub(shop.office("cart"))
    for request in (pb.CreateCartRequest(), pb.GetCartRequest(cart_id=cart_id), pb.CancelCartRequest(cart_id=cart_id)):
        assert (await refusal(send(office, request)))[:2] == ("PERMISSION_DENIED", "trunk/ACCESS_DENIED")


async def test_a_till_that_was_not_created(shop):
    """The token of a terminal that the terminal service does not know makes no cart."""
    stranger = CartServiceStub(till(shop.system, terminal_no=9000).channel("cart"))
    missing = ("NOT_FOUND", "pos.terminal/TERMINAL_NOT_FOUND", {"store_code": "0001", "terminal_no": "9000"})
    assert await refusal(stranger.CreateCart(pb.CreateCartRequest())) == missing
