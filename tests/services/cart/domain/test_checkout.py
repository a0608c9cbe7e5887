"""What can be done to a cart, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from services.cart.domain import checkout
from services.cart.domain.cart import check_owner
from services.cart.domain.checkout import LineRequest, Offer
from services.cart.domain.numbering import TransactionNumbers
from services.cart.domain.state import CartState
from services.kernel.failure import InvalidInput, NotFound, Refused, WrongState
from services.kernel.ids import TerminalId
from services.kernel.terminal_state import TerminalState
from services.kernel.transaction_kind import TransactionKind
from tests.services.cart.domain.trade import (
    CARD,
    CASH,
    LATER,
    NOW,
    OFFERS,
    TAXES,
    TILL,
    VOUCHER,
    Numbers,
    cart_with,
    new_cart,
    paid_cart,
)


def test_a_cart_is_made_in_the_opening_of_its_till():
    """A new cart is empty, and carries till, opening, staff and currency."""
    change = checkout.create("c1", TILL, "JPY", NOW)
    cart = change.cart
    assert (cart.terminal_id, cart.opening, cart.staff) == (TILL.terminal_id, TILL.opening, TILL.staff)
    assert (cart.state, cart.currency_code, cart.create_time, change.touched) == (CartState.IDLE, "JPY", NOW, ())
    assert change.bill.totals.total_with_tax == 0


@pytest.mark.parametrize(
    ("till", "reason"),
    [
        (replace(TILL, state=TerminalState.CLOSED), "TERMINAL_NOT_OPEN"),
        (replace(TILL, state=TerminalState.IDLE, opening=None), "TERMINAL_NOT_OPEN"),
        (replace(TILL, staff=None), "STAFF_NOT_SIGNED_IN"),
    ],
)
def test_a_cart_needs_a_till_on_duty(till, reason):
    """A till that is not open, or has nobody signed in, makes no cart."""
    with pytest.raises(WrongState) as refusal:
        new_cart(till)
    assert (refusal.value.reason, refusal.value.metadata) == (reason, {"terminal": "acme/0001/1"})


@pytest.mark.parametrize(
    "stranger", [TerminalId("other", "0001", 1), TerminalId("acme", "0002", 1), TerminalId("acme", "0001", 2)]
)
def test_a_cart_is_found_by_its_own_terminal_only(stranger):
    """To another tenant, store or terminal a cart does not exist."""
    check_owner(new_cart(), TILL.terminal_id)
    with pytest.raises(NotFound) as refusal:
        check_owner(new_cart(), stranger)
    assert (refusal.value.reason, refusal.value.metadata) == ("CART_NOT_FOUND", {"cart_id": "c1"})


def test_lines_are_numbered_in_order():
    """Lines get the next numbers, and the change tells which were touched."""
    change = checkout.add_lines(cart_with(("A", 1)), [LineRequest("B", 2), LineRequest("A", 3)], OFFERS)
    assert [line.line_no for line in change.cart.lines] == [1, 2, 3]
    assert [(priced.line.line_no, priced.line.item.item_code, priced.amount) for priced in change.lines] == [
        (2, "B", 400), (3, "A", 300),
    ]  # fmt: skip


@pytest.mark.parametrize(("given", "charged"), [(None, 100), (0, 0), (70, 70)])
def test_the_given_price_is_charged(given, charged):
    """A price given on the line is charged even if it is 0; without one, the item's."""
    change = checkout.add_lines(new_cart(), [LineRequest("A", 1, given)], OFFERS)
    assert change.lines[0].line.item.unit_price == charged


@pytest.mark.parametrize(
    ("code", "failure", "reason"), [("NONE", NotFound, "ITEM_NOT_FOUND"), ("GONE", Refused, "ITEM_DELETED")]
)
def test_all_lines_are_added_or_none(code, failure, reason):
    """An item that does not exist, or was deleted, refuses the whole change."""
    offers = {**OFFERS, "GONE": Offer(OFFERS["A"].item, deleted=True)}
    with pytest.raises(failure) as refusal:
        checkout.add_lines(new_cart(), [LineRequest("A", 1), LineRequest(code, 1)], offers)
    assert (refusal.value.reason, refusal.value.metadata) == (reason, {"item_code": code})


def test_a_negative_price_is_refused():
    """Nobody is paid to take goods."""
    with pytest.raises(InvalidInput) as refusal:
        checkout.add_lines(new_cart(), [LineRequest("A", 1, -1)], OFFERS)
    assert refusal.value.reason == "MONEY_INVALID"


@pytest.mark.parametrize("quantity", [0, -1, 1_000_001])
def test_a_quantity_outside_its_range_is_a_defect(quantity):
    """Contracts let no such quantity through, and neither does the domain."""
    with pytest.raises(ValueError, match="quantity"):
        cart_with(("A", quantity))
    with pytest.raises(ValueError, match="quantity"):
        checkout.change_quantity(cart_with(("A", 1)), 1, quantity)


def test_a_tax_code_means_one_rule_in_a_cart():
    """A rate that changes while a cart is open holds for its later lines only if the code is new to it."""
    raised = {"A": Offer(replace(OFFERS["A"].item, tax=replace(TAXES["01"], rate_bps=2000)))}
    change = checkout.add_lines(cart_with(("A", 1)), [LineRequest("A", 1)], raised)
    assert [(tax.rule, tax.target) for tax in change.bill.taxes] == [(TAXES["01"], 200)]


def test_quantity_is_set():
    """A quantity replaces the earlier one, and its line is touched."""
    change = checkout.change_quantity(cart_with(("A", 1), ("B", 2)), 2, 5)
    assert [line.quantity for line in change.cart.lines] == [1, 5]
    assert (change.touched, change.bill.totals.quantity) == ((2,), 6)


@pytest.mark.parametrize("line_no", [0, -1, 2])
def test_a_line_must_exist(line_no):
    """Only lines of the cart can be changed."""
    with pytest.raises(NotFound) as refusal:
        checkout.cancel_line(cart_with(("A", 1)), line_no)
    assert (refusal.value.reason, refusal.value.metadata) == (
        "LINE_NOT_FOUND",
        {"cart_id": "c1", "line_no": str(line_no)},
    )


@pytest.mark.parametrize("change", [checkout.cancel_line, partial(checkout.change_quantity, quantity=2)])
def test_a_cancelled_line_stays_cancelled(change):
    """A cancelled line can be neither cancelled again nor changed."""
    cart = checkout.cancel_line(cart_with(("A", 1), ("B", 1)), 1).cart
    with pytest.raises(Refused) as refusal:
        change(cart, 1)
    assert (refusal.value.reason, refusal.value.metadata) == ("LINE_CANCELLED", {"cart_id": "c1", "line_no": "1"})


def test_subtotal_needs_a_line_that_counts():
    """A cart whose lines are all cancelled cannot go on to payment."""
    cart = checkout.cancel_line(cart_with(("A", 1)), 1).cart
    with pytest.raises(WrongState) as refusal:
        checkout.subtotal(cart)
    assert refusal.value.reason == "CART_EMPTY"
    assert refusal.value.metadata == {"state": "ENTERING", "event": "SUBTOTAL"}


def test_tenders_mix_and_change_accumulates():
    """Payments reduce the balance one after the other; what was given back is added up."""
    cart = checkout.subtotal(cart_with(("A", 10))).cart
    for tender, deposit, balance in ((CARD, 300, 800), (VOUCHER, 500, 300), (CASH, 1000, 0)):
        change = checkout.add_payment(cart, tender, deposit)
        cart = change.cart
        assert change.bill.totals.balance == balance
    assert (change.bill.totals.paid, change.bill.totals.change) == (1100, 700)


def test_nothing_is_paid_beyond_the_balance():
    """A cart that is paid takes no further payment."""
    with pytest.raises(Refused) as refusal:
        checkout.add_payment(paid_cart(("A", 1)), CASH, 1)
    assert refusal.value.reason == "NOTHING_TO_PAY"


def test_resume_clears_payments():
    """Going back to the lines gives up all payments."""
    change = checkout.resume(paid_cart(("A", 1)))
    assert (change.cart.state, change.cart.payments) == (CartState.ENTERING, ())
    assert change.bill.totals.balance == 110


def test_finalise_makes_the_sale():
    """A paid cart becomes a sale with everything in the cart and its numbers."""
    cart = checkout.cancel_line(cart_with(("A", 2), ("B", 3)), 1).cart
    cart = checkout.add_payment(checkout.subtotal(cart).cart, CASH, 1000).cart
    finished = checkout.finalise(cart, Numbers(), LATER)
    record = finished.record
    assert record is not None
    assert finished.cart.state is CartState.COMPLETED
    assert finished.cart.numbers == TransactionNumbers(1, 111_111)
    assert (record.kind, record.subject) == (
        TransactionKind.SALE, "tenants/acme/stores/0001/terminals/1/transactions/1",
    )  # fmt: skip
    assert (record.receipt_no, record.create_time, record.opening, record.staff) == (
        111_111, LATER, TILL.opening, TILL.staff,
    )  # fmt: skip
    assert (record.total, record.total_with_tax, record.change, record.quantity) == (600, 600, 400, 3)
    assert [(line.line_no, line.amount, line.cancelled) for line in record.lines] == [(1, 200, True), (2, 600, False)]
    assert [(tax.rule.tax_code, tax.amount) for tax in record.taxes] == [("02", 54)]
    assert record.payments == cart.payments
    assert (record.cart_id, record.origin) == ("c1", None)


def test_an_unpaid_cart_takes_no_number():
    """Finalising with a balance is refused before any number is taken."""
    numbers = Numbers()
    with pytest.raises(Refused) as refusal:
        checkout.finalise(checkout.subtotal(cart_with(("A", 1))).cart, numbers, LATER)
    assert (refusal.value.reason, refusal.value.metadata) == ("BALANCE_DUE", {"cart_id": "c1", "balance": "110"})
    assert numbers.last is None


def test_goods_for_nothing_are_sold_without_payment():
    """A cart that comes to nothing is finalised unpaid, and takes no payment."""
    cart = checkout.subtotal(cart_with(("FREE", 2))).cart
    with pytest.raises(Refused) as refusal:
        checkout.add_payment(cart, CASH, 1)
    assert refusal.value.reason == "NOTHING_TO_PAY"
    record = checkout.finalise(cart, Numbers(), LATER).record
    assert record is not None
    assert (record.total_with_tax, record.payments, record.quantity) == (0, (), 2)


@pytest.mark.parametrize(
    ("cart", "quantity"),
    [(cart_with(("A", 2)), 2), (checkout.cancel_line(cart_with(("A", 2)), 1).cart, 0), (paid_cart(("A", 2)), 2)],
)
def test_cancelling_a_cart_is_a_transaction(cart, quantity):
    """Where a line was ever added, cancelling takes numbers and records what was in the cart."""
    finished = checkout.cancel(cart, Numbers(), LATER)
    assert finished.record is not None
    assert (finished.record.kind, finished.record.quantity) == (TransactionKind.CANCELLED_SALE, quantity)
    assert (finished.cart.state, finished.cart.numbers) == (CartState.CANCELLED, TransactionNumbers(1, 111_111))


def test_cancelling_an_empty_cart_burns_no_number():
    """Where no line was ever added there is no transaction."""
    numbers = Numbers()
    finished = checkout.cancel(new_cart(), numbers, LATER)
    assert (finished.record, finished.cart.state, finished.cart.numbers) == (None, CartState.CANCELLED, None)
    assert numbers.last is None


def test_a_finished_cart_can_be_seen_and_not_changed():
    """After its end a cart is shown whole, and refuses everything else."""
    cart = checkout.finalise(paid_cart(("A", 1), ("B", 1)), Numbers(), LATER).cart
    assert [priced.line.line_no for priced in checkout.view(cart).lines] == [1, 2]
    numbers = Numbers()
    changes: dict[str, Callable[[], object]] = {
        "ADD_LINE": lambda: checkout.add_lines(cart, [LineRequest("A", 1)], OFFERS),
        "CHANGE_QUANTITY": lambda: checkout.change_quantity(cart, 1, 2),
        "CANCEL_LINE": lambda: checkout.cancel_line(cart, 1),
        "SUBTOTAL": lambda: checkout.subtotal(cart),
        "ADD_PAYMENT": lambda: checkout.add_payment(cart, CASH, 1),
        "RESUME": lambda: checkout.resume(cart),
        "FINALISE": lambda: checkout.finalise(cart, numbers, LATER),
        "CANCEL": lambda: checkout.cancel(cart, numbers, LATER),
    }
    for event, change in changes.items():
        with pytest.raises(WrongState) as refusal:
            change()
        assert refusal.value.metadata == {"state": "COMPLETED", "event": event}
    assert numbers.last is None
