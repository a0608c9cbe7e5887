"""Carts between the domain and the wire."""

from __future__ import annotations

from pos.cart.v1 import cart_pb2
from pos.type.v1 import tax_kind_pb2, tender_kind_pb2

from services.cart.domain.cart import Cart
from services.cart.domain.payment import AppliedPayment
from services.cart.domain.pricing import Bill, PricedLine
from services.cart.domain.tax import TaxAmount
from services.wire.dates import to_date, to_timestamp
from services.wire.kinds import to_enum
from services.wire.money import to_money


def to_totals(cart: Cart, bill: Bill) -> cart_pb2.CartTotals:
    """State and sums of a cart."""
    totals, currency = bill.totals, cart.currency_code
    return cart_pb2.CartTotals(
        state=to_enum(cart_pb2.Cart.State, cart.state),
        total=to_money(totals.total, currency),
        total_with_tax=to_money(totals.total_with_tax, currency),
        balance=to_money(totals.balance, currency),
        change=to_money(totals.change, currency),
        taxes=[to_tax(tax, currency) for tax in bill.taxes],
        line_count=len(cart.active_lines),
        quantity=totals.quantity,
    )


def to_tax(tax: TaxAmount, currency: str) -> cart_pb2.CartTax:
    """The tax of one code."""
    return cart_pb2.CartTax(
        tax_code=tax.rule.tax_code,
        kind=to_enum(tax_kind_pb2.TaxKind, tax.rule.kind),
        rate_bps=tax.rule.rate_bps,
        target=to_money(tax.target, currency),
        amount=to_money(tax.amount, currency),
    )


def to_line(priced: PricedLine, currency: str) -> cart_pb2.CartLine:
    """One line."""
    line = priced.line
    return cart_pb2.CartLine(
        line_no=line.line_no,
        item_code=line.item.item_code,
        description=line.item.description,
        category_code=line.item.category_code,
        tax_code=line.item.tax.tax_code,
        unit_price=to_money(line.item.unit_price, currency),
        quantity=line.quantity,
        amount=to_money(priced.amount, currency),
        cancelled=line.cancelled,
    )


def to_payment(payment: AppliedPayment, currency: str) -> cart_pb2.CartPayment:
    """One payment."""
    return cart_pb2.CartPayment(
        payment_method_code=payment.payment_method_code,
        description=payment.description,
        kind=to_enum(tender_kind_pb2.TenderKind, payment.kind),
        deposit=to_money(payment.deposit, currency),
        applied=to_money(payment.applied, currency),
        change=to_money(payment.change, currency),
        forfeited=to_money(payment.forfeited, currency),
    )


def to_cart(cart: Cart, bill: Bill) -> cart_pb2.Cart:
    """A cart, whole."""
    return cart_pb2.Cart(
        cart_id=cart.cart_id,
        store_code=cart.terminal_id.store_code,
        terminal_no=cart.terminal_id.terminal_no,
        business_date=to_date(cart.opening.business_date),
        open_counter=cart.opening.open_counter,
        business_counter=cart.opening.business_counter,
        staff_id=cart.staff.staff_id,
        staff_name=cart.staff.name,
        create_time=to_timestamp(cart.create_time),
        lines=[to_line(line, cart.currency_code) for line in bill.lines],
        payments=[to_payment(payment, cart.currency_code) for payment in cart.payments],
        totals=to_totals(cart, bill),
        transaction_no=cart.numbers.transaction_no if cart.numbers else 0,
        receipt_no=cart.numbers.receipt_no if cart.numbers else 0,
    )
