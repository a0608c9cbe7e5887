"""CartService on the wire."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from google.protobuf.message import Message
from pos.cart.v1 import cart_service_pb2 as pb
from pos.cart.v1 import cart_service_pb2_grpc as pb_grpc
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.cart.domain import checkout
from services.cart.domain.cart import Cart
from services.cart.domain.checkout import Change, Finished, LineRequest
from services.cart.domain.neighbours import Items, PaymentMethods, ReceiptRanges, Terminals
from services.cart.domain.numbering import TakeNumbers
from services.cart.handlers.convert import to_cart, to_line, to_payment, to_totals
from services.cart.handlers.publish import commit, foresee
from services.cart.storage import carts, openings
from services.cart.storage.views import CartViews
from services.wire.failures import refusals
from services.wire.money import from_money, tenant_currency
from services.wire.reach import own_terminal

A = TypeVar("A", bound=Message)


class CartServicer(pb_grpc.CartServiceServicer):
    """From the first line to the receipt, on the caller's terminal."""

    def __init__(
        self,
        database: Database,
        unit: UnitOfWork,
        terminals: Terminals,
        items: Items,
        methods: PaymentMethods,
        ranges: ReceiptRanges,
        views: CartViews,
    ) -> None:
        self._views = views
        self._database = database
        self._unit = unit
        self._terminals = terminals
        self._items = items
        self._methods = methods
        self._ranges = ranges

    @refusals
    async def CreateCart(self, request: pb.CreateCartRequest, context: Context) -> pb.CreateCartResponse:
        """Makes an empty cart."""
        till = await self._terminals.till(own_terminal())
        cart_id, currency = uuid.uuid4().hex, tenant_currency()

        def work(tx: Transaction) -> pb.CreateCartResponse:
            change = checkout.create(cart_id, till, currency, tx.now)
            openings.require_unsealed(tx.connection, till.terminal_id, change.cart.opening.business_counter)
            carts.add(tx.connection, change.cart)
            return pb.CreateCartResponse(cart_id=cart_id, totals=to_totals(change.cart, change.bill))

        return await self._unit.run(work)

    @refusals
    async def GetCart(self, request: pb.GetCartRequest, context: Context) -> pb.GetCartResponse:
        """Gets a cart in any state."""
        terminal_id = own_terminal()
        cart_id, long = request.cart_id, self._views.long
        version, cart = await self._database.read(lambda connection: carts.look(connection, terminal_id, cart_id, long))
        if cart is not None:
            return _viewed(cart)
        kept = await self._views.get(terminal_id, cart_id, version)
        if kept is not None:
            return pb.GetCartResponse.FromString(kept)
        stored = await self._database.read(lambda connection: carts.get(connection, terminal_id, cart_id))
        answer = _viewed(stored.cart)
        self._views.keep(terminal_id, cart_id, stored.version, answer.SerializeToString())
        return answer

    @refusals
    async def AddLines(self, request: pb.AddLinesRequest, context: Context) -> pb.AddLinesResponse:
        """Adds lines, all or none."""
        offers = await self._items.offers(own_terminal(), [line.item_code for line in request.lines])
        lines = [
            LineRequest(
                line.item_code,
                line.quantity,
                from_money(line.unit_price) if line.HasField("unit_price") else None,
            )
            for line in request.lines
        ]

        def answer(change: Change) -> pb.AddLinesResponse:
            currency = change.cart.currency_code
            return pb.AddLinesResponse(
                totals=to_totals(change.cart, change.bill), lines=[to_line(line, currency) for line in change.lines]
            )

        return await self._change(
            request.cart_id, lambda cart: checkout.add_lines(cart, lines, offers), answer, grows=True
        )

    @refusals
    async def ChangeLineQuantity(
        self, request: pb.ChangeLineQuantityRequest, context: Context
    ) -> pb.ChangeLineQuantityResponse:
        """Changes how many units a line has."""

        def answer(change: Change) -> pb.ChangeLineQuantityResponse:
            line = to_line(change.lines[0], change.cart.currency_code)
            return pb.ChangeLineQuantityResponse(totals=to_totals(change.cart, change.bill), line=line)

        return await self._change(
            request.cart_id, lambda cart: checkout.change_quantity(cart, request.line_no, request.quantity), answer
        )

    @refusals
    async def CancelLine(self, request: pb.CancelLineRequest, context: Context) -> pb.CancelLineResponse:
        """Cancels a line."""

        def answer(change: Change) -> pb.CancelLineResponse:
            line = to_line(change.lines[0], change.cart.currency_code)
            return pb.CancelLineResponse(totals=to_totals(change.cart, change.bill), line=line)

        return await self._change(request.cart_id, lambda cart: checkout.cancel_line(cart, request.line_no), answer)

    @refusals
    async def SubtotalCart(self, request: pb.SubtotalCartRequest, context: Context) -> pb.SubtotalCartResponse:
        """Ends the entering of lines."""
        return await self._change(
            request.cart_id,
            checkout.subtotal,
            lambda change: pb.SubtotalCartResponse(totals=to_totals(change.cart, change.bill)),
        )

    @refusals
    async def AddPayment(self, request: pb.AddPaymentRequest, context: Context) -> pb.AddPaymentResponse:
        """Adds a payment."""
        deposit = from_money(request.deposit)
        tender = await self._methods.tender(request.payment_method_code)

        def answer(change: Change) -> pb.AddPaymentResponse:
            payment = to_payment(change.cart.payments[-1], change.cart.currency_code)
            return pb.AddPaymentResponse(totals=to_totals(change.cart, change.bill), payment=payment)

        return await self._change(
            request.cart_id, lambda cart: checkout.add_payment(cart, tender, deposit), answer, grows=True
        )

    @refusals
    async def ResumeCart(self, request: pb.ResumeCartRequest, context: Context) -> pb.ResumeCartResponse:
        """Goes back from payments to lines."""
        return await self._change(
            request.cart_id,
            checkout.resume,
            lambda change: pb.ResumeCartResponse(totals=to_totals(change.cart, change.bill)),
        )

    @refusals
    async def FinalizeCart(self, request: pb.FinalizeCartRequest, context: Context) -> pb.FinalizeCartResponse:
        """Makes the sale."""

        def answer(finished: Finished) -> pb.FinalizeCartResponse:
            return pb.FinalizeCartResponse(totals=to_totals(finished.cart, finished.bill), **_numbers(finished))

        return await self._finish(request.cart_id, checkout.finalise, answer)

    @refusals
    async def CancelCart(self, request: pb.CancelCartRequest, context: Context) -> pb.CancelCartResponse:
        """Cancels the cart."""

        def answer(finished: Finished) -> pb.CancelCartResponse:
            return pb.CancelCartResponse(totals=to_totals(finished.cart, finished.bill), **_numbers(finished))

        return await self._finish(request.cart_id, checkout.cancel, answer)

    async def _change(
        self, cart_id: str, apply: Callable[[Cart], Change], answer: Callable[[Change], A], *, grows: bool = False
    ) -> A:
        terminal_id = own_terminal()

        def work(tx: Transaction) -> A:
            stored = carts.get(tx.connection, terminal_id, cart_id)
            openings.require_unsealed(tx.connection, terminal_id, stored.cart.opening.business_counter)
            change = apply(stored.cart)
            if grows:
                foresee(tx, stored.cart, change)
            carts.replace(tx.connection, change.cart, stored.version)
            return answer(change)

        return await self._unit.run(work)

    async def _finish(
        self,
        cart_id: str,
        apply: Callable[[Cart, TakeNumbers, datetime], Finished],
        answer: Callable[[Finished], A],
    ) -> A:
        terminal_id = own_terminal()
        allowed = await self._ranges.range_of(terminal_id)

        def work(tx: Transaction) -> A:
            stored = carts.get(tx.connection, terminal_id, cart_id)
            openings.require_unsealed(tx.connection, terminal_id, stored.cart.opening.business_counter)
            finished = apply(stored.cart, lambda: openings.take_numbers(tx.connection, terminal_id, allowed), tx.now)
            if finished.record is not None:
                commit(tx, finished.record)
            carts.replace(tx.connection, finished.cart, stored.version)
            return answer(finished)

        return await self._unit.run(work)


def _viewed(cart: Cart) -> pb.GetCartResponse:
    return pb.GetCartResponse(cart=to_cart(cart, checkout.view(cart).bill))


def _numbers(finished: Finished) -> dict[str, int]:
    numbers = finished.cart.numbers
    return {"transaction_no": numbers.transaction_no, "receipt_no": numbers.receipt_no} if numbers else {}
