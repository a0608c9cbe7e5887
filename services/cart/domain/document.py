"""A cart as one document of plain JSON values, and back."""

from __future__ import annotations

from datetime import datetime

from services.cart.domain.cart import Cart, Line, SoldItem
from services.cart.domain.discount import Discount, DiscountKind
from services.cart.domain.numbering import TransactionNumbers
from services.cart.domain.parts_document import (
    Document,
    opening_from,
    opening_to,
    payment_from,
    payment_to,
    staff_from,
    staff_to,
    tax_from,
    tax_to,
)
from services.cart.domain.state import CartState
from services.kernel.ids import TerminalId


def to_document(cart: Cart) -> Document:
    """The document of a cart; nothing computed is in it."""
    return {
        "version": 1,
        "cart_id": cart.cart_id,
        "terminal": cart.terminal_id.key,
        "opening": opening_to(cart.opening),
        "staff": staff_to(cart.staff),
        "currency_code": cart.currency_code,
        "create_time": cart.create_time.isoformat(),
        "state": cart.state.value,
        "lines": [_line_to(line) for line in cart.lines],
        "subtotal_discounts": [_discount_to(discount) for discount in cart.subtotal_discounts],
        "payments": [payment_to(payment) for payment in cart.payments],
        "transaction_no": cart.numbers.transaction_no if cart.numbers else 0,
        "receipt_no": cart.numbers.receipt_no if cart.numbers else 0,
    }


def from_document(document: Document) -> Cart:
    """The cart of a document."""
    return Cart(
        cart_id=document["cart_id"],
        terminal_id=TerminalId.parse(document["terminal"]),
        opening=opening_from(document["opening"]),
        staff=staff_from(document["staff"]),
        currency_code=document["currency_code"],
        create_time=datetime.fromisoformat(document["create_time"]),
        state=CartState(document["state"]),
        lines=tuple(_line_from(line) for line in document["lines"]),
        subtotal_discounts=tuple(_discount_from(discount) for discount in document["subtotal_discounts"]),
        payments=tuple(payment_from(payment) for payment in document["payments"]),
        numbers=_numbers_from(document),
    )


def _numbers_from(document: Document) -> TransactionNumbers | None:
    if document["transaction_no"] == 0:
        return None
    return TransactionNumbers(document["transaction_no"], document["receipt_no"])


def _line_to(line: Line) -> Document:
    item = line.item
    return {
        "line_no": line.line_no,
        "item_code": item.item_code,
        "description": item.description,
        "category_code": item.category_code,
        "tax": tax_to(item.tax),
        "unit_price": item.unit_price,
        "discount_restricted": item.discount_restricted,
        "quantity": line.quantity,
        "discounts": [_discount_to(discount) for discount in line.discounts],
        "cancelled": line.cancelled,
    }


def _line_from(document: Document) -> Line:
    item = SoldItem(
        item_code=document["item_code"],
        description=document["description"],
        category_code=document["category_code"],
        tax=tax_from(document["tax"]),
        unit_price=document["unit_price"],
        discount_restricted=document["discount_restricted"],
    )
    return Line(
        line_no=document["line_no"],
        item=item,
        quantity=document["quantity"],
        discounts=tuple(_discount_from(discount) for discount in document["discounts"]),
        cancelled=document["cancelled"],
    )


def _discount_to(discount: Discount) -> Document:
    return {"kind": discount.kind.value, "value": discount.value}


def _discount_from(document: Document) -> Discount:
    return Discount(DiscountKind(document["kind"]), document["value"])
