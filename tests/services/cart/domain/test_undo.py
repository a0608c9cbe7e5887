"""Voids and returns."""

from dataclasses import replace
from datetime import date

import pytest

from services.cart.domain import checkout
from services.cart.domain.transaction import TransactionId, TransactionRecord
from services.cart.domain.undo import RefundRequest, Standing, return_sale, void
from services.kernel.failure import DomainFailure, NotFound, Refused, WrongState
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.kernel.terminal_state import TerminalState
from services.kernel.transaction_kind import TransactionKind
from tests.services.cart.domain.trade import (
    CARD,
    CASH,
    LATER,
    TENDERS,
    TILL,
    VOUCHER,
    Numbers,
    cart_with,
    new_cart,
    sale,
)

OTHER_TILL = replace(TILL, terminal_id=TerminalId("acme", "0001", 2), staff=SignedInStaff("s2", "Taro"))
LATER_OPENING = replace(TILL, opening=Opening(date(2026, 3, 2), 1, 13))
CASH_220 = [RefundRequest("cash", 220)]


def mixed_sale(numbers: Numbers) -> TransactionRecord:
    """A sale of 1,100 paid with card 300, voucher 500 (of which nothing is forfeited) and twice in cash."""
    cart = checkout.subtotal(cart_with(("A", 10))).cart
    for tender, deposit in ((CARD, 300), (VOUCHER, 500), (CASH, 100), (CASH, 1000)):
        cart = checkout.add_payment(cart, tender, deposit).cart
    record = checkout.finalise(cart, numbers, LATER).record
    assert record is not None
    return record


def test_a_void_undoes_a_sale():
    """A void repeats the sale under its own numbers, names it, and gives the same payments back."""
    numbers = Numbers()
    original = sale(numbers, ("A", 2))
    undoing = void(original, Standing(), TILL, CASH_220, numbers, LATER)
    record = undoing.record
    assert (record.kind, record.transaction_id, record.receipt_no) == (
        TransactionKind.VOID_SALE, TransactionId(TILL.terminal_id, 2), 111_112,
    )  # fmt: skip
    assert (record.lines, record.taxes, record.total_with_tax) == (original.lines, original.taxes, 220)
    assert [(paid.deposit, paid.applied, paid.change) for paid in record.payments] == [(220, 220, 0)]
    assert (record.change, record.cart_id, record.create_time) == (0, "", LATER)
    assert record.origin is not None
    assert record.origin.transaction_id == original.transaction_id
    assert (record.origin.business_date, record.origin.open_counter) == (date(2026, 3, 1), 1)
    assert undoing.standing == Standing(voided_by=record.transaction_id)
    assert undoing.returnable is None


@pytest.mark.parametrize(
    "refunds",
    [
        [("card", 300), ("voucher", 500), ("cash", 300)],
        [("cash", 100), ("voucher", 500), ("cash", 200), ("card", 300)],
    ],
)
def test_a_void_names_the_tenders_per_code(refunds):
    """Only the sum per code counts; the record has one refund for each payment."""
    numbers = Numbers()
    original = mixed_sale(numbers)
    requests = [RefundRequest(code, amount) for code, amount in refunds]
    record = void(original, Standing(), TILL, requests, numbers, LATER).record
    assert [(paid.payment_method_code, paid.applied) for paid in record.payments] == [
        ("card", 300), ("voucher", 500), ("cash", 100), ("cash", 200),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "refunds",
    [
        [],
        [("cash", 219)],
        [("cash", 221)],
        [("card", 220)],
        [("cash", 220), ("card", 1)],
        [("cash", 220), ("card", 0)],
    ],
)
def test_other_tenders_are_refused(refunds):
    """A void to other tenders, or of other amounts, is refused before a number is taken."""
    numbers = Numbers()
    original = sale(numbers, ("A", 2))
    with pytest.raises(Refused) as refusal:
        void(original, Standing(), TILL, [RefundRequest(*refund) for refund in refunds], numbers, LATER)
    assert (refusal.value.reason, refusal.value.metadata) == ("TENDERS_DIFFER", {"transaction": original.subject})
    assert numbers.last is not None
    assert numbers.last.transaction_no == 1


@pytest.mark.parametrize(
    ("till", "failure", "reason"),
    [
        (LATER_OPENING, Refused, "OPENING_OVER"),
        (OTHER_TILL, NotFound, "TRANSACTION_NOT_FOUND"),
        (replace(TILL, staff=None), WrongState, "STAFF_NOT_SIGNED_IN"),
        (replace(TILL, state=TerminalState.CLOSED), WrongState, "TERMINAL_NOT_OPEN"),
    ],
)
def test_a_void_belongs_to_its_terminal_and_opening(till, failure, reason):
    """Voids are made where and while the original was made, by somebody signed in."""
    numbers = Numbers()
    with pytest.raises(failure) as refusal:
        void(sale(numbers, ("A", 2)), Standing(), till, CASH_220, numbers, LATER)
    assert refusal.value.reason == reason


def test_a_sale_is_voided_once():
    """A second void is refused."""
    numbers = Numbers()
    original = sale(numbers, ("A", 2))
    first = void(original, Standing(), TILL, CASH_220, numbers, LATER)
    with pytest.raises(Refused) as refusal:
        void(original, first.standing, TILL, CASH_220, numbers, LATER)
    assert refusal.value.reason == "ALREADY_VOIDED"
    assert refusal.value.metadata == {"transaction": original.subject}


def test_a_return_takes_the_whole_sale_back():
    """Another terminal of the store may return a sale on another day, to tenders of its choice."""
    original = sale(Numbers(), ("A", 2))
    refunds = [RefundRequest("card", 100), RefundRequest("cash", 120)]
    till = replace(OTHER_TILL, opening=Opening(date(2026, 3, 5), 1, 40))
    undoing = return_sale(original, Standing(), till, refunds, TENDERS, Numbers(), LATER)
    record = undoing.record
    assert (record.kind, record.transaction_id) == (TransactionKind.RETURN, TransactionId(till.terminal_id, 1))
    assert (record.opening, record.staff) == (till.opening, till.staff)
    assert [(paid.payment_method_code, paid.applied) for paid in record.payments] == [("card", 100), ("cash", 120)]
    assert record.origin is not None
    assert record.origin.transaction_id == original.transaction_id
    assert undoing.standing == Standing(returned_by=record.transaction_id)


@pytest.mark.parametrize(
    ("refunds", "tenders", "failure", "reason"),
    [
        ([("cash", 219)], TENDERS, Refused, "REFUND_SUM_WRONG"),
        ([], TENDERS, Refused, "REFUND_SUM_WRONG"),
        ([("voucher", 220)], TENDERS, Refused, "REFUND_NOT_ALLOWED"),
        ([("cash", 220)], {"cash": replace(CASH, active=False)}, Refused, "PAYMENT_METHOD_INACTIVE"),
        ([("beads", 220)], TENDERS, NotFound, "PAYMENT_METHOD_NOT_FOUND"),
    ],
)
def test_refused_refunds_of_a_return(refunds, tenders, failure, reason):
    """Refunds of a return sum to the total with tax, to active tenders that can be refunded to."""
    requests = [RefundRequest(*refund) for refund in refunds]
    with pytest.raises(failure) as refusal:
        return_sale(sale(Numbers(), ("A", 2)), Standing(), TILL, requests, tenders, Numbers(), LATER)
    assert refusal.value.reason == reason


@pytest.mark.parametrize("stranger", [TerminalId("acme", "0002", 1), TerminalId("other", "0001", 1)])
def test_another_store_cannot_return_a_sale(stranger):
    """To another store or tenant the sale does not exist."""
    till = replace(TILL, terminal_id=stranger)
    with pytest.raises(NotFound) as refusal:
        return_sale(sale(Numbers(), ("A", 2)), Standing(), till, CASH_220, TENDERS, Numbers(), LATER)
    assert refusal.value.reason == "TRANSACTION_NOT_FOUND"
    assert refusal.value.metadata == {"transaction": "tenants/acme/stores/0001/terminals/1/transactions/1"}


def test_what_was_returned_is_neither_returned_nor_voided():
    """A return stands in the way of a second one and of a void."""
    numbers = Numbers()
    original = sale(numbers, ("A", 2))
    standing = return_sale(original, Standing(), OTHER_TILL, CASH_220, TENDERS, Numbers(), LATER).standing
    with pytest.raises(Refused) as again:
        return_sale(original, standing, TILL, CASH_220, TENDERS, numbers, LATER)
    with pytest.raises(Refused) as voided:
        void(original, standing, TILL, CASH_220, numbers, LATER)
    for refusal in (again.value, voided.value):
        assert refusal.reason == "ALREADY_RETURNED"
        assert refusal.metadata == {"transaction": original.subject}


def test_a_voided_sale_cannot_be_returned():
    """What was undone cannot be undone a second way."""
    numbers = Numbers()
    original = sale(numbers, ("A", 2))
    standing = void(original, Standing(), TILL, CASH_220, numbers, LATER).standing
    with pytest.raises(Refused) as refusal:
        return_sale(original, standing, TILL, CASH_220, TENDERS, numbers, LATER)
    assert refusal.value.reason == "ALREADY_VOIDED"


def test_the_void_of_a_return_makes_the_sale_returnable():
    """After it the sale may be returned again, or voided."""
    numbers = Numbers()
    original = sale(numbers, ("A", 2))
    returned = return_sale(original, Standing(), TILL, CASH_220, TENDERS, numbers, LATER)
    undoing = void(returned.record, Standing(), TILL, CASH_220, numbers, LATER)
    assert undoing.record.kind is TransactionKind.VOID_RETURN
    assert undoing.record.origin is not None
    assert undoing.record.origin.transaction_id == returned.record.transaction_id
    assert undoing.returnable == original.transaction_id
    standing = replace(returned.standing, returned_by=None)
    assert return_sale(original, standing, TILL, CASH_220, TENDERS, numbers, LATER).record.quantity == 2
    assert void(original, standing, TILL, CASH_220, numbers, LATER).record.kind is TransactionKind.VOID_SALE


def test_only_sales_are_returned_and_only_sales_and_returns_voided():
    """Voids and cancelled sales are final; a return is not returned."""
    numbers = Numbers()
    original = sale(numbers, ("A", 2))
    voided = void(original, Standing(), TILL, CASH_220, numbers, LATER).record
    returned = return_sale(original, Standing(), TILL, CASH_220, TENDERS, numbers, LATER).record
    cancelled = checkout.cancel(cart_with(("A", 2)), numbers, LATER).record
    assert cancelled is not None
    assert checkout.cancel(new_cart(), numbers, LATER).record is None
    for record in (voided, cancelled):
        with pytest.raises(DomainFailure) as refusal:
            void(record, Standing(), TILL, CASH_220, numbers, LATER)
        assert refusal.value.reason == "NOT_VOIDABLE"
        assert refusal.value.metadata == {"transaction": record.subject, "kind": record.kind.value}
    for record in (voided, cancelled, returned):
        with pytest.raises(DomainFailure) as refusal:
            return_sale(record, Standing(), TILL, CASH_220, TENDERS, numbers, LATER)
        assert refusal.value.reason == "NOT_RETURNABLE"


def test_goods_for_nothing_are_undone_without_tenders():
    """A sale that took no money is voided and returned without refunds."""
    numbers = Numbers()
    cart = checkout.subtotal(cart_with(("FREE", 1))).cart
    original = checkout.finalise(cart, numbers, LATER).record
    assert original is not None
    assert void(original, Standing(), TILL, [], numbers, LATER).record.payments == ()
    assert return_sale(original, Standing(), TILL, [], TENDERS, numbers, LATER).record.payments == ()
