"""Anything a till might do to a cart, in any order."""

from collections.abc import Callable
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.cart.domain import checkout
from services.cart.domain.cart import Cart
from services.cart.domain.checkout import Change, Finished, LineRequest
from services.cart.domain.discount import Discount, DiscountKind
from services.cart.domain.document import from_document, to_document
from services.cart.domain.pricing import bill_of
from services.cart.domain.state import TRANSITIONS, CartEvent, CartState
from services.kernel.failure import DomainFailure, WrongState
from services.kernel.tax_kind import TaxKind
from services.kernel.transaction_kind import TransactionKind
from tests.services.cart.domain.trade import CASH, LATER, OFFERS, TENDERS, Numbers, new_cart

LINE_REQUESTS = st.builds(
    LineRequest, st.sampled_from(sorted(OFFERS)), st.integers(1, 9), st.none() | st.integers(0, 500)
)
LINE_NOS = st.integers(1, 6)


def allows(event: CartEvent) -> Callable[["CartMachine"], bool]:
    """Whether the cart's state allows event."""
    return lambda machine: event in TRANSITIONS[machine.cart.state]


class CartMachine(RuleBasedStateMachine):
    """One cart; refusals are part of the game."""

    def __init__(self) -> None:
        super().__init__()
        self.cart: Cart = new_cart()
        self.finished: Finished | None = None
        self.numbers = Numbers()

    def _step(self, event: CartEvent, change: Callable[[], Change | Finished]) -> None:
        before, document, last = self.cart, to_document(self.cart), self.numbers.last
        try:
            outcome = change()
        except DomainFailure:
            # A refused change changes nothing, and takes no number.
            assert to_document(before) == document
            assert self.numbers.last == last
            return
        assert outcome.cart.state == TRANSITIONS[before.state][event]
        assert outcome.bill == bill_of(outcome.cart)
        self.cart = outcome.cart
        if isinstance(outcome, Finished):
            self.finished = outcome

    @precondition(allows(CartEvent.ADD_LINE))
    @rule(requests=st.lists(LINE_REQUESTS, min_size=1, max_size=3))
    def add_lines(self, requests: list[LineRequest]) -> None:
        """Lines are added."""
        self._step(CartEvent.ADD_LINE, lambda: checkout.add_lines(self.cart, requests, OFFERS))

    @precondition(allows(CartEvent.CHANGE_QUANTITY))
    @rule(line_no=LINE_NOS, quantity=st.integers(1, 9))
    def change_quantity(self, line_no: int, quantity: int) -> None:
        """A quantity is changed."""
        self._step(CartEvent.CHANGE_QUANTITY, lambda: checkout.change_quantity(self.cart, line_no, quantity))

    @precondition(allows(CartEvent.CANCEL_LINE))
    @rule(line_no=LINE_NOS)
    def cancel_line(self, line_no: int) -> None:
        """A line is cancelled."""
        self._step(CartEvent.CANCEL_LINE, lambda: checkout.cancel_line(self.cart, line_no))

    @precondition(allows(CartEvent.SUBTOTAL))
    @rule()
    def subtotal(self) -> None:
        """Entering ends."""
        self._step(CartEvent.SUBTOTAL, lambda: checkout.subtotal(self.cart))

    @precondition(lambda machine: machine.cart.state is CartState.PAYING and not machine.cart.payments)
    @rule(minor_units=st.integers(1, 300))
    def carry_a_subtotal_discount(self, minor_units: int) -> None:
        """A cart in payment, not yet paid, carries a discount that later changes must respect."""
        discounted = replace(self.cart, subtotal_discounts=(Discount(DiscountKind.AMOUNT, minor_units),))
        self._step(CartEvent.DISCOUNT_SUBTOTAL, lambda: checkout.view(discounted))

    @precondition(allows(CartEvent.ADD_PAYMENT))
    @rule(code=st.sampled_from(sorted(TENDERS)), deposit=st.integers(1, 6000))
    def add_payment(self, code: str, deposit: int) -> None:
        """Something is paid."""
        self._step(CartEvent.ADD_PAYMENT, lambda: checkout.add_payment(self.cart, TENDERS[code], deposit))

    @precondition(allows(CartEvent.ADD_PAYMENT))
    @rule(excess=st.integers(0, 100))
    def pay_the_rest(self, excess: int) -> None:
        """What is due is paid in cash, and somewhat more."""
        deposit = bill_of(self.cart).totals.balance + excess
        self._step(CartEvent.ADD_PAYMENT, lambda: checkout.add_payment(self.cart, CASH, deposit))

    @precondition(allows(CartEvent.RESUME))
    @rule(patience=st.integers(0, 3))
    def resume(self, patience: int) -> None:
        """One in four goes on entering."""
        if patience == 3:
            self._step(CartEvent.RESUME, lambda: checkout.resume(self.cart))

    @precondition(lambda machine: machine.cart.state is CartState.PAYING and bill_of(machine.cart).totals.balance == 0)
    @rule()
    def finalise(self) -> None:
        """The sale is made."""
        self._step(CartEvent.FINALISE, lambda: checkout.finalise(self.cart, self.numbers, LATER))

    @precondition(allows(CartEvent.CANCEL))
    @rule(patience=st.integers(0, 9))
    def cancel(self, patience: int) -> None:
        """One in ten who might give the cart up does, so that most carts go further."""
        if patience == 9:
            self._step(CartEvent.CANCEL, lambda: checkout.cancel(self.cart, self.numbers, LATER))

    @rule(event=st.sampled_from(CartEvent))
    def ask_at_the_wrong_time(self, event: CartEvent) -> None:
        """What the state does not allow is refused, and changes nothing."""
        changes: dict[CartEvent, Callable[[], object]] = {
            CartEvent.ADD_LINE: lambda: checkout.add_lines(self.cart, [LineRequest("A", 1)], OFFERS),
            CartEvent.CHANGE_QUANTITY: lambda: checkout.change_quantity(self.cart, 1, 2),
            CartEvent.CANCEL_LINE: lambda: checkout.cancel_line(self.cart, 1),
            CartEvent.SUBTOTAL: lambda: checkout.subtotal(self.cart),
            CartEvent.ADD_PAYMENT: lambda: checkout.add_payment(self.cart, CASH, 1),
            CartEvent.RESUME: lambda: checkout.resume(self.cart),
            CartEvent.FINALISE: lambda: checkout.finalise(self.cart, self.numbers, LATER),
            CartEvent.CANCEL: lambda: checkout.cancel(self.cart, self.numbers, LATER),
        }
        document, last = to_document(self.cart), self.numbers.last
        if event in TRANSITIONS[self.cart.state] or event not in changes:
            return
        with pytest.raises(WrongState):
            changes[event]()
        assert (to_document(self.cart), self.numbers.last) == (document, last)

    @invariant()
    def totals_agree(self) -> None:
        """Totals are those of a recount from the lines."""
        bill = bill_of(self.cart)
        active = [line for line in bill.lines if not line.line.cancelled]
        external = sum(tax.amount for tax in bill.taxes if tax.rule.kind is TaxKind.EXTERNAL)
        assert bill.totals.total == sum(line.line.item.unit_price * line.line.quantity for line in active) - sum(
            line.allocated for line in active
        )
        assert bill.totals.total_with_tax == bill.totals.total + external
        assert bill.totals.quantity == sum(line.line.quantity for line in active)

    @invariant()
    def payments_agree(self) -> None:
        """Nothing is overpaid, every deposit is accounted for, and only carts in payment or after hold any."""
        totals = bill_of(self.cart).totals
        assert totals.balance == totals.total_with_tax - sum(payment.applied for payment in self.cart.payments) >= 0
        for payment in self.cart.payments:
            assert payment.applied + payment.change + payment.forfeited == payment.deposit
        assert not self.cart.payments or self.cart.state not in (CartState.IDLE, CartState.ENTERING)

    @invariant()
    def lines_are_numbered(self) -> None:
        """Line numbers run from 1 without holes, and only an idle or a cancelled cart has no line."""
        assert [line.line_no for line in self.cart.lines] == list(range(1, len(self.cart.lines) + 1))
        assert self.cart.lines or self.cart.state in (CartState.IDLE, CartState.CANCELLED)

    @invariant()
    def the_document_is_whole(self) -> None:
        """The cart is found again from its document."""
        assert from_document(to_document(self.cart)) == self.cart

    @invariant()
    def an_end_is_recorded_once(self) -> None:
        """A finished cart has become one transaction, or none if it had no line; an unfinished one took no number."""
        if self.finished is None:
            assert not self.cart.state.finished
            assert self.numbers.last is None
            return
        record = self.finished.record
        assert self.finished.cart is self.cart
        assert self.cart.numbers == self.numbers.last
        if record is None:
            assert not self.cart.lines
            assert self.numbers.last is None
            return
        assert record.transaction_id.transaction_no == 1
        if self.cart.state is CartState.COMPLETED:
            assert record.kind is TransactionKind.SALE
            assert record.total_with_tax == sum(payment.applied for payment in record.payments)
        else:
            assert record.kind is TransactionKind.CANCELLED_SALE


CartMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
TestCart = CartMachine.TestCase
