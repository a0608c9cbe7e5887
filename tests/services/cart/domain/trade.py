"""A shop to try carts in: one till, a few goods and tenders, and numbers that count themselves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from services.cart.domain import checkout
from services.cart.domain.cart import Cart, SoldItem, Till
from services.cart.domain.checkout import LineRequest, Offer
from services.cart.domain.numbering import ReceiptRange, TransactionNumbers, next_numbers
from services.cart.domain.payment import Tender
from services.cart.domain.tax import TaxRule
from services.cart.domain.transaction import TransactionRecord
from services.kernel.ids import TerminalId
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.kernel.tax_kind import TaxKind
from services.kernel.tender_kind import TenderKind
from services.kernel.terminal_state import TerminalState

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
LATER = datetime(2026, 3, 1, 9, 45, tzinfo=UTC)

TAXES = {
    "00": TaxRule("00", TaxKind.EXEMPT, 0),
    "01": TaxRule("01", TaxKind.EXTERNAL, 1000),
    "02": TaxRule("02", TaxKind.INTERNAL, 1000),
    "11": TaxRule("11", TaxKind.EXTERNAL, 800),
    "12": TaxRule("12", TaxKind.INTERNAL, 800),
}

TILL = Till(
    terminal_id=TerminalId("acme", "0001", 1),
    state=TerminalState.OPENED,
    opening=Opening(date(2026, 3, 1), 1, 12),
    staff=SignedInStaff("s1", "Hanako"),
)

CASH = Tender(
    payment_method_code="cash", description="Cash", kind=TenderKind.CASH, can_refund=True, can_deposit_over=True,
    can_change=True, limit_amount=0, active=True,
)  # fmt: skip
CARD = replace(
    CASH, payment_method_code="card", description="Card", kind=TenderKind.CASHLESS, can_deposit_over=False,
    can_change=False,
)  # fmt: skip
VOUCHER = replace(
    CASH, payment_method_code="voucher", description="Voucher", kind=TenderKind.OTHER, can_refund=False,
    can_change=False, limit_amount=5000,
)  # fmt: skip
TENDERS = {tender.payment_method_code: tender for tender in (CASH, CARD, VOUCHER)}


def sold_item(code: str, price: int, tax_code: str, *, restricted: bool = False) -> SoldItem:
    """An item of the shop."""
    return SoldItem(
        item_code=code, description=f"Item {code}", category_code="food", tax=TAXES[tax_code], unit_price=price,
        discount_restricted=restricted,
    )  # fmt: skip


OFFERS = {
    item.item_code: Offer(item)
    for item in (
        sold_item("A", 100, "01"),
        sold_item("B", 200, "02"),
        sold_item("C", 98, "11"),
        sold_item("FREE", 0, "00"),
        sold_item("LOCKED", 300, "12", restricted=True),
    )
}


class Numbers:
    """Takes the numbers of one terminal, one after the other."""

    def __init__(self, allowed: ReceiptRange | None = None) -> None:
        self.last: TransactionNumbers | None = None
        self._allowed = allowed or ReceiptRange()

    def __call__(self) -> TransactionNumbers:
        """The next numbers."""
        self.last = next_numbers(self.last, self._allowed)
        return self.last


def new_cart(till: Till = TILL) -> Cart:
    """An empty cart."""
    return checkout.create("c1", till, "JPY", NOW).cart


def cart_with(*lines: tuple[str, int]) -> Cart:
    """A cart with lines of (item code, quantity)."""
    return checkout.add_lines(new_cart(), [LineRequest(code, quantity) for code, quantity in lines], OFFERS).cart


def paid_cart(*lines: tuple[str, int], tender: Tender = CASH, deposit: int = 10_000) -> Cart:
    """A cart with lines, paid and ready to be finalised."""
    return checkout.add_payment(checkout.subtotal(cart_with(*lines)).cart, tender, deposit).cart


def sale(numbers: Numbers, *lines: tuple[str, int], till: Till = TILL) -> TransactionRecord:
    """A sale of lines at a till, paid in cash."""
    opening, staff = till.duty()
    cart = replace(paid_cart(*lines), terminal_id=till.terminal_id, opening=opening, staff=staff)
    record = checkout.finalise(cart, numbers, NOW).record
    assert record is not None
    return record
