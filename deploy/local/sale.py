"""One cart, from the first line to the receipt: the calls, and what they answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pos.cart.v1 import cart_pb2, cart_service_pb2, cart_service_pb2_grpc
from pos.type.v1.money_pb2 import Money

from deploy.local.calls import surely
from deploy.local.ledger import CANCELLED_SALE, SALE, Transaction

MOST_LINES = 100
"""Lines that one call may add."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be sold."""

    item_code: str
    """What is sold."""
    quantity: int
    """Units of it."""
    unit_price: int | None = None
    """Price given with the line, in minor units; None: the shop's."""


@dataclass(slots=True)
class Sale:
    """A cart that is being filled."""

    stub: cart_service_pb2_grpc.CartServiceAsyncStub
    """To the cart service."""
    currency: str
    """Of all amounts."""
    cart_id: str
    """The cart."""
    new_key: Callable[[str], str]
    """Gives a new idempotency key for a step."""
    lines: dict[int, cart_pb2.CartLine] = field(default_factory=dict)
    """Lines as last answered, by number."""
    payments: Counter[str] = field(default_factory=Counter)
    """Tender → applied so far."""
    totals: cart_pb2.CartTotals = field(default_factory=cart_pb2.CartTotals)
    """As last answered."""

    async def add(self, lines: Sequence[Line]) -> None:
        """Adds lines, a hundred a call."""
        for start in range(0, len(lines), MOST_LINES):
            new = [self._new_line(line) for line in lines[start : start + MOST_LINES]]
            request = cart_service_pb2.AddLinesRequest(cart_id=self.cart_id, lines=new)
            answer = await self._do("add", self.stub.AddLines, request)
            self.lines |= {line.line_no: line for line in answer.lines}

    async def change(self, line_no: int, quantity: int) -> None:
        """Changes the units of a line."""
        request = cart_service_pb2.ChangeLineQuantityRequest(cart_id=self.cart_id, line_no=line_no, quantity=quantity)
        answer = await self._do("change", self.stub.ChangeLineQuantity, request)
        self.lines[line_no] = answer.line

    async def cancel_line(self, line_no: int) -> None:
        """Cancels a line."""
        request = cart_service_pb2.CancelLineRequest(cart_id=self.cart_id, line_no=line_no)
        answer = await self._do("cancel-line", self.stub.CancelLine, request)
        self.lines[line_no] = answer.line

    async def subtotal(self) -> int:
        """Ends the entering of lines; gives what is due."""
        request = cart_service_pb2.SubtotalCartRequest(cart_id=self.cart_id)
        await self._do("subtotal", self.stub.SubtotalCart, request)
        return self.totals.balance.minor_units

    async def resume(self) -> None:
        """Goes back to entering lines."""
        await self._do("resume", self.stub.ResumeCart, cart_service_pb2.ResumeCartRequest(cart_id=self.cart_id))
        self.payments.clear()

    async def pay(self, tender: str, deposit: int) -> int:
        """Adds a payment; gives what is still due."""
        request = cart_service_pb2.AddPaymentRequest(
            cart_id=self.cart_id, payment_method_code=tender, deposit=self._money(deposit)
        )
        answer = await self._do("pay", self.stub.AddPayment, request)
        self.payments[tender] += answer.payment.applied.minor_units
        return self.totals.balance.minor_units

    async def finish(self, terminal_no: int) -> Transaction:
        """Makes the sale."""
        request = cart_service_pb2.FinalizeCartRequest(cart_id=self.cart_id)
        answer = await self._do("finish", self.stub.FinalizeCart, request)
        return self._transaction(SALE, terminal_no, answer.transaction_no, self.payments)

    async def give_up(self, terminal_no: int) -> Transaction | None:
        """Cancels the cart; gives the transaction that it became, if it did."""
        request = cart_service_pb2.CancelCartRequest(cart_id=self.cart_id)
        answer = await self._do("give-up", self.stub.CancelCart, request)
        if not answer.transaction_no:
            return None
        return self._transaction(CANCELLED_SALE, terminal_no, answer.transaction_no, {})

    async def _do(self, step: str, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        answer = await surely(method, request, key=self.new_key(step))
        self.totals = answer.totals
        return answer

    def _transaction(self, kind: str, terminal_no: int, number: int, payments: Mapping[str, int]) -> Transaction:
        units: Counter[str] = Counter()
        for line in self.lines.values():
            if not line.cancelled:
                units[line.item_code] += line.quantity
        return Transaction(
            kind=kind,
            terminal_no=terminal_no,
            transaction_no=number,
            total=self.totals.total.minor_units,
            total_with_tax=self.totals.total_with_tax.minor_units,
            tax=sum(tax.amount.minor_units for tax in self.totals.taxes),
            quantity=self.totals.quantity,
            payments=dict(payments),
            units=dict(units),
        )

    def _new_line(self, line: Line) -> cart_service_pb2.AddLinesRequest.NewLine:
        price = None if line.unit_price is None else self._money(line.unit_price)
        return cart_service_pb2.AddLinesRequest.NewLine(
            item_code=line.item_code, quantity=line.quantity, unit_price=price
        )

    def _money(self, minor_units: int) -> Money:
        return Money(currency_code=self.currency, minor_units=minor_units)
