"""What can be done to a cart: functions from a cart to a new one. A refusal leaves the old one as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.cart.domain.cart import MAX_QUANTITY, Cart, Line, SoldItem, Till
from services.cart.domain.numbering import TakeNumbers, TransactionNumbers
from services.cart.domain.payment import Tender, apply_payment
from services.cart.domain.pricing import Bill, PricedLine, bill_of
from services.cart.domain.state import CartEvent, next_state
from services.cart.domain.transaction import TransactionRecord, record_of
from services.kernel.failure import NotFound, Refused, WrongState
from services.kernel.money import check_amount
from services.kernel.transaction_kind import TransactionKind


@dataclass(frozen=True, slots=True)
class LineRequest:
    """A line to be added."""

    item_code: str
    """Code of the item."""
    quantity: int
    """Units, 1 to 1,000,000."""
    unit_price: int | None = None
    """Price given on the line; None charges the item's. 0 is a price."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An item as the item service answers for it."""

    item: SoldItem
    """The item, at the price of the store."""
    deleted: bool = False
    """It cannot be sold any more."""


@dataclass(frozen=True, slots=True)
class Change:
    """A cart after a change, and what the change touched."""

    cart: Cart
    """The new cart."""
    bill: Bill
    """What it comes to."""
    touched: tuple[int, ...] = ()
    """Numbers of the lines that were added or changed."""

    @property
    def lines(self) -> tuple[PricedLine, ...]:
        """The touched lines."""
        return tuple(self.bill.lines[line_no - 1] for line_no in self.touched)


@dataclass(frozen=True, slots=True)
class Finished:
    """A cart at its end."""

    cart: Cart
    """The finished cart."""
    bill: Bill
    """What it came to."""
    record: TransactionRecord | None
    """The transaction it became; None where no line was ever added."""


def create(cart_id: str, till: Till, currency_code: str, now: datetime) -> Change:
    """A new cart of a terminal that is open and has somebody signed in."""
    opening, staff = till.duty()
    return _changed(
        Cart(
            cart_id=cart_id, terminal_id=till.terminal_id, opening=opening, staff=staff,
            currency_code=currency_code, create_time=now,
        )
    )  # fmt: skip


def add_lines(cart: Cart, requests: Sequence[LineRequest], offers: Mapping[str, Offer]) -> Change:
    """Adds lines in the order given, all of them or none; offers holds the items that exist, by code."""
    state = next_state(cart.state, CartEvent.ADD_LINE)
    if not requests:
        raise ValueError("at least one line is needed")
    # A tax code means one rule throughout a cart: the one its first line brought.
    rules = {line.item.tax.tax_code: line.item.tax for line in reversed(cart.lines)}
    lines = list(cart.lines)
    for request in requests:
        offered = _offered(request.item_code, offers)
        rule = rules.setdefault(offered.tax.tax_code, offered.tax)
        item = replace(offered, unit_price=_charged_price(request, offered), tax=rule)
        lines.append(Line(line_no=len(lines) + 1, item=item, quantity=_checked_quantity(request.quantity)))
    touched = tuple(range(len(cart.lines) + 1, len(lines) + 1))
    return _changed(replace(cart, state=state, lines=tuple(lines)), *touched)


def change_quantity(cart: Cart, line_no: int, quantity: int) -> Change:
    """Sets the units of a line."""
    state = next_state(cart.state, CartEvent.CHANGE_QUANTITY)
    line = replace(_active_line(cart, line_no), quantity=_checked_quantity(quantity))
    return _changed(_with_line(replace(cart, state=state), line), line_no)


def cancel_line(cart: Cart, line_no: int) -> Change:
    """Cancels a line; it stays in the cart and counts nowhere."""
    state = next_state(cart.state, CartEvent.CANCEL_LINE)
    line = replace(_active_line(cart, line_no), cancelled=True)
    return _changed(_with_line(replace(cart, state=state), line), line_no)


def subtotal(cart: Cart) -> Change:
    """Ends the entering of lines; payments may follow."""
    state = next_state(cart.state, CartEvent.SUBTOTAL)
    if not cart.active_lines:
        raise WrongState(
            "CART_EMPTY", "the cart has no line that is not cancelled",
            state=cart.state, event=CartEvent.SUBTOTAL,
        )  # fmt: skip
    return _changed(replace(cart, state=state))


def add_payment(cart: Cart, tender: Tender, deposit: int) -> Change:
    """Pays with a tender; what exceeds the balance is change or forfeited, by the tender's rules."""
    state = next_state(cart.state, CartEvent.ADD_PAYMENT)
    payment = apply_payment(tender, deposit, bill_of(cart).totals.balance)
    return _changed(replace(cart, state=state, payments=(*cart.payments, payment)))


def resume(cart: Cart) -> Change:
    """Goes back to entering lines; all payments are cleared."""
    return _changed(replace(cart, state=next_state(cart.state, CartEvent.RESUME), payments=()))


def finalise(cart: Cart, take_numbers: TakeNumbers, now: datetime) -> Finished:
    """Makes the sale of a cart that is paid."""
    state = next_state(cart.state, CartEvent.FINALISE)
    bill = bill_of(cart)
    if bill.totals.balance > 0:
        raise Refused("BALANCE_DUE", "the cart is not paid", cart_id=cart.cart_id, balance=bill.totals.balance)
    return _finished(TransactionKind.SALE, replace(cart, state=state), bill, take_numbers(), now)


def cancel(cart: Cart, take_numbers: TakeNumbers, now: datetime) -> Finished:
    """Cancels a cart. Where a line was ever added, that is a transaction, which sells nothing."""
    state = next_state(cart.state, CartEvent.CANCEL)
    bill = bill_of(cart)
    cancelled = replace(cart, state=state)
    if not cart.lines:
        return Finished(cancelled, bill, None)
    return _finished(TransactionKind.CANCELLED_SALE, cancelled, bill, take_numbers(), now)


def view(cart: Cart) -> Change:
    """The cart as it is, with all its lines."""
    next_state(cart.state, CartEvent.GET)
    return _changed(cart, *(line.line_no for line in cart.lines))


def _finished(kind: TransactionKind, cart: Cart, bill: Bill, numbers: TransactionNumbers, now: datetime) -> Finished:
    return Finished(replace(cart, numbers=numbers), bill, record_of(kind, cart, bill, numbers, now))


def _changed(cart: Cart, *touched: int) -> Change:
    return Change(cart, bill_of(cart), touched)


def _offered(item_code: str, offers: Mapping[str, Offer]) -> SoldItem:
    offer = offers.get(item_code)
    if offer is None:
        raise NotFound("ITEM_NOT_FOUND", "there is no such item", item_code=item_code)
    if offer.deleted:
        raise Refused("ITEM_DELETED", "the item was deleted and cannot be sold", item_code=item_code)
    return offer.item


def _charged_price(request: LineRequest, offered: SoldItem) -> int:
    price = offered.unit_price if request.unit_price is None else request.unit_price
    return check_amount(price, "unit_price")


def _checked_quantity(quantity: int) -> int:
    if not 1 <= quantity <= MAX_QUANTITY:
        raise ValueError(f"a quantity is 1 to {MAX_QUANTITY}")
    return quantity


def _active_line(cart: Cart, line_no: int) -> Line:
    line = cart.line(line_no)
    if line.cancelled:
        raise Refused("LINE_CANCELLED", "the line is cancelled", cart_id=cart.cart_id, line_no=line_no)
    return line


def _with_line(cart: Cart, line: Line) -> Cart:
    return replace(cart, lines=tuple(line if line.line_no == old.line_no else old for old in cart.lines))
