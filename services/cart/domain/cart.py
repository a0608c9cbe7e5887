"""What a cart holds. Values only: every change makes a new cart, in `checkout`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.cart.domain.discount import Discount
from services.cart.domain.numbering import TransactionNumbers
from services.cart.domain.payment import AppliedPayment
from services.cart.domain.state import CartState
from services.cart.domain.tax import TaxRule
from services.kernel.failure import NotFound, WrongState
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.kernel.terminal_state import TerminalState

MAX_QUANTITY = 1_000_000
"""Most units of one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """The terminal a call comes from, as the terminal service answers for it."""

    terminal_id: TerminalId
    """Which terminal."""
    state: TerminalState
    """Where it stands in its day."""
    opening: Opening | None
    """The opening it is or was last in; None if it was never opened."""
    staff: SignedInStaff | None
    """Who is signed in; None for nobody."""

    def duty(self) -> tuple[Opening, SignedInStaff]:
        """The opening and who is signed in, or a refusal if the terminal is not ready to trade."""
        if self.opening is None or self.state is not TerminalState.OPENED:
            raise WrongState("TERMINAL_NOT_OPEN", "the terminal is not open", terminal=self.terminal_id.key)
        if self.staff is None:
            raise WrongState("STAFF_NOT_SIGNED_IN", "nobody is signed in", terminal=self.terminal_id.key)
        return self.opening, self.staff


@dataclass(frozen=True, slots=True, kw_only=True)
class SoldItem:
    """An item as it was when its line was added."""

    item_code: str
    """Code of the item in the tenant."""
    description: str
    """Its description."""
    category_code: str
    """Its category."""
    tax: TaxRule
    """Its tax."""
    unit_price: int
    """Its price in the store: the store's if it has one, else the tenant's."""
    discount_restricted: bool = False
    """No manual discount and no share of a subtotal discount falls on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a cart."""

    line_no: int
    """Position in the cart, from 1 without holes."""
    item: SoldItem
    """What is sold; its unit price is the one charged."""
    quantity: int
    """Units, at least 1."""
    discounts: tuple[Discount, ...] = ()
    """Discounts of the line, in the order given."""
    cancelled: bool = False
    """The line was cancelled: it counts in no total."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cart:
    """One customer's goods at one terminal, on their way to becoming a transaction."""

    cart_id: str
    """Id of the cart in its tenant."""
    terminal_id: TerminalId
    """Terminal it belongs to, and its store and tenant."""
    opening: Opening
    """Opening of the terminal it was made in."""
    staff: SignedInStaff
    """Who was signed in when it was made."""
    currency_code: str
    """Currency of all its amounts."""
    create_time: datetime
    """When it was made."""
    state: CartState = CartState.IDLE
    """How far it has come."""
    lines: tuple[Line, ...] = ()
    """Its lines by number, cancelled ones included."""
    subtotal_discounts: tuple[Discount, ...] = ()
    """Discounts of the subtotal, in the order given."""
    payments: tuple[AppliedPayment, ...] = ()
    """Payments in the order they were made; empty but in PAYING and after."""
    numbers: TransactionNumbers | None = None
    """Numbers of the transaction it became; None while there is none."""

    @property
    def active_lines(self) -> tuple[Line, ...]:
        """The lines that are not cancelled."""
        return tuple(line for line in self.lines if not line.cancelled)

    def line(self, line_no: int) -> Line:
        """The line of this number."""
        if not 1 <= line_no <= len(self.lines):
            raise NotFound("LINE_NOT_FOUND", "the cart has no such line", cart_id=self.cart_id, line_no=line_no)
        return self.lines[line_no - 1]


def check_owner(cart: Cart, terminal_id: TerminalId) -> None:
    """Refuses a cart to any terminal but its own, as if it did not exist."""
    if cart.terminal_id != terminal_id:
        raise NotFound("CART_NOT_FOUND", "the terminal has no such cart", cart_id=cart.cart_id)
