"""Transactions: what carts become when they are finalised or cancelled. Never changed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from services.cart.domain.cart import Cart
from services.cart.domain.numbering import TransactionNumbers
from services.cart.domain.payment import AppliedPayment
from services.cart.domain.pricing import Bill, PricedLine
from services.cart.domain.tax import TaxAmount
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.kernel.transaction_kind import TransactionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionLine:
    """One line of a transaction."""

    line_no: int
    """Position in the cart, from 1 without holes."""
    item_code: str
    """Code of the item."""
    description: str
    """Its description when the line was added."""
    category_code: str
    """Its category when the line was added."""
    tax_code: str
    """Its tax when the line was added."""
    unit_price: int
    """Price charged for one unit."""
    quantity: int
    """Units."""
    line_discount: int
    """Sum of the line's discounts."""
    subtotal_discount: int
    """Its share of the subtotal discounts."""
    amount: int
    """unit price * quantity - line discount."""
    cancelled: bool
    """It counts in no total."""


@dataclass(frozen=True, slots=True, order=True)
class TransactionId:
    """Which transaction of which terminal."""

    terminal_id: TerminalId
    """Terminal that made it."""
    transaction_no: int
    """Its number on the terminal."""

    @property
    def subject(self) -> str:
        """Resource name of the transaction."""
        return self.terminal_id.transaction_subject(self.transaction_no)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The transaction that a void or a return undoes."""

    transaction_id: TransactionId
    """Which one."""
    business_date: date
    """Trading day it was made on."""
    open_counter: int
    """Opening of that day it was made in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRecord:
    """One transaction, whole."""

    kind: TransactionKind
    """What it did; it gives the amounts their sign."""
    transaction_id: TransactionId
    """Terminal and number."""
    receipt_no: int
    """Number of its receipt."""
    opening: Opening
    """Opening of the terminal it was made in."""
    create_time: datetime
    """When it was made."""
    staff: SignedInStaff
    """Who was signed in."""
    currency_code: str
    """Currency of all its amounts."""
    lines: tuple[TransactionLine, ...]
    """Its lines by number, cancelled ones included."""
    taxes: tuple[TaxAmount, ...]
    """Taxes of the lines that are not cancelled, by code."""
    payments: tuple[AppliedPayment, ...]
    """Payments in order; of a void or a return, the refunds."""
    subtotal_discount: int
    """Sum of the subtotal discounts."""
    total: int
    """Line amounts - subtotal discounts."""
    total_with_tax: int
    """total + external taxes."""
    change: int
    """What was given back of deposits."""
    quantity: int
    """Units of the lines that are not cancelled."""
    cart_id: str = ""
    """Cart it was made from; empty with voids and returns."""
    origin: Origin | None = None
    """What it undoes; only with VOID_SALE, RETURN and VOID_RETURN."""

    @property
    def subject(self) -> str:
        """Resource name of the transaction."""
        return self.transaction_id.subject

    def as_origin(self) -> Origin:
        """This transaction, named by the one that undoes it."""
        return Origin(
            transaction_id=self.transaction_id,
            business_date=self.opening.business_date,
            open_counter=self.opening.open_counter,
        )


def record_of(
    kind: TransactionKind, cart: Cart, bill: Bill, numbers: TransactionNumbers, now: datetime
) -> TransactionRecord:
    """The transaction that a cart becomes."""
    return TransactionRecord(
        kind=kind,
        transaction_id=TransactionId(cart.terminal_id, numbers.transaction_no),
        receipt_no=numbers.receipt_no,
        opening=cart.opening,
        create_time=now,
        staff=cart.staff,
        currency_code=cart.currency_code,
        lines=tuple(_line_of(priced) for priced in bill.lines),
        taxes=bill.taxes,
        payments=cart.payments,
        subtotal_discount=bill.totals.subtotal_discount,
        total=bill.totals.total,
        total_with_tax=bill.totals.total_with_tax,
        change=bill.totals.change,
        quantity=bill.totals.quantity,
        cart_id=cart.cart_id,
    )


def _line_of(priced: PricedLine) -> TransactionLine:
    line, item = priced.line, priced.line.item
    return TransactionLine(
        line_no=line.line_no,
        item_code=item.item_code,
        description=item.description,
        category_code=item.category_code,
        tax_code=item.tax.tax_code,
        unit_price=item.unit_price,
        quantity=line.quantity,
        line_discount=priced.discount,
        subtotal_discount=priced.allocated,
        amount=priced.amount,
        cancelled=line.cancelled,
    )
