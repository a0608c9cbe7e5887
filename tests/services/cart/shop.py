"""A shop whose services all run in the process of the test, and its lanes: one terminal for each test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from pos.cart.v1 import cart_service_pb2 as pb
from pos.cart.v1 import cart_service_pb2_grpc as cart_grpc
from pos.cart.v1 import transaction_service_pb2 as tx_pb
from pos.cart.v1 import transaction_service_pb2_grpc as tx_grpc
from pos.cart.v1.cart_pb2 import Cart, CartTotals
from pos.cart.v1.transaction_pb2 import Transaction
from pos.event.v1.transaction_log_pb2 import TransactionLog
from pos.terminal.v1 import terminal_service_pb2 as terminal_pb
from pos.terminal.v1 import terminal_service_pb2_grpc as terminal_grpc
from pos.type.v1.date_pb2 import Date
from trunkline.call import acting_for
from trunkline.client import PeerChannel
from trunkline.testing.clock import FakeClock
from trunkline.testing.local import Caller, LocalNode, LocalSystem

from services.cart.settings import CartSettings
from services.cart.storage.tables import METADATA
from tests.services.callers import admin, service, till
from tests.services.cart.goods import PIN, yen
from tests.services.published import envelopes

DAY = Date(year=2026, month=3, day=1)
NEXT_DAY = Date(year=2026, month=3, day=2)
TWO_A = [pb.AddLinesRequest.NewLine(item_code="A", quantity=2)]
"""Comes to 200, with tax 220."""


def line(item_code: str, quantity: int = 1, unit_price: int | None = None) -> pb.AddLinesRequest.NewLine:
    """A line to add."""
    price = None if unit_price is None else yen(unit_price)
    return pb.AddLinesRequest.NewLine(item_code=item_code, quantity=quantity, unit_price=price)


def tender(payment_method_code: str, amount: int) -> tx_pb.TenderAmount:
    """An amount that goes back to a payment method."""
    return tx_pb.TenderAmount(payment_method_code=payment_method_code, amount=yen(amount))


@dataclass
class Shop:
    """The running services, furnished; its tenant is acme unless another one is furnished too."""

    system: LocalSystem
    """Where they run."""
    clock: FakeClock
    """Their time."""
    cart: LocalNode[CartSettings]
    """The cart service."""
    lanes: int = 0
    """Terminals made so far."""
    callers: dict[str, Caller] = field(default_factory=dict)
    """Back offices by tenant, and the service that seals."""

    def office(self, name: str, tenant_id: str = "acme") -> PeerChannel:
        """A channel of a tenant's back office to a service."""
        return self.callers.setdefault(tenant_id, admin(self.system, tenant_id)).channel(name)

    async def lane(self, store_code: str = "0001", tenant_id: str = "acme", terminal_no: int = 0) -> Lane:
        """A terminal of its own, created and not opened."""
        self.lanes += 1
        number = terminal_no or self.lanes
        request = terminal_pb.CreateTerminalRequest(store_code=store_code, terminal_no=number)
        await terminal_grpc.TerminalServiceStub(self.office("terminal", tenant_id)).CreateTerminal(request)
        return Lane(self, till(self.system, number, store_code, tenant_id))

    async def stored(self) -> dict[str, list[Any]]:
        """Everything that stands in the cart service's database: events and answers too."""
        assert self.cart.storage is not None
        tables = METADATA.sorted_tables
        return await self.cart.storage.database.read(
            lambda connection: {table.name: list(connection.execute(sa.select(table))) for table in tables}
        )

    async def write(self, statement: sa.Executable) -> None:
        """Changes the cart service's database behind its back."""
        assert self.cart.storage is not None
        await self.cart.storage.database.write(lambda connection: connection.execute(statement) and None)


@dataclass
class Lane:
    """One terminal and what can be done at it."""

    shop: Shop
    """Whose terminal it is."""
    caller: Caller
    """The terminal."""
    carts: cart_grpc.CartServiceAsyncStub = field(init=False)
    """CartService."""
    transactions: tx_grpc.TransactionServiceAsyncStub = field(init=False)
    """TransactionService."""
    terminal: terminal_grpc.TerminalServiceAsyncStub = field(init=False)
    """TerminalService."""

    def __post_init__(self) -> None:
        self.carts = cart_grpc.CartServiceStub(self.caller.channel("cart"))
        self.transactions = tx_grpc.TransactionServiceStub(self.caller.channel("cart"))
        self.terminal = terminal_grpc.TerminalServiceStub(self.caller.channel("terminal"))

    @property
    def terminal_no(self) -> int:
        """Its number."""
        return self.caller.claims.terminal_no

    @property
    def key(self) -> str:
        """Its name in metadata and events."""
        claims = self.caller.claims
        return f"{claims.tenant_id}/{claims.store_code}/{claims.terminal_no}"

    def transaction(self, transaction_no: int) -> str:
        """Resource name of one of its transactions."""
        tenant_id, store_code, terminal_no = self.key.split("/")
        return f"tenants/{tenant_id}/stores/{store_code}/terminals/{terminal_no}/transactions/{transaction_no}"

    async def sign_in(self) -> None:
        """Signs s1 in."""
        await self.terminal.SignIn(terminal_pb.SignInRequest(staff_id="s1", pin=PIN))

    async def sign_out(self) -> None:
        """Signs out."""
        await self.terminal.SignOut(terminal_pb.SignOutRequest())

    async def open(self) -> None:
        """Signs s1 in and opens, on the first day."""
        await self.sign_in()
        await self.reopen(DAY)

    async def reopen(self, business_date: Date) -> None:
        """Opens, with whoever is signed in."""
        await self.terminal.OpenTerminal(terminal_pb.OpenTerminalRequest(business_date=business_date))

    async def close(self) -> Any:
        """Closes; gives the numbers it was closed with."""
        return (await self.terminal.CloseTerminal(terminal_pb.CloseTerminalRequest(counted_cash=yen(0)))).closing

    async def seal(self, business_counter: int = 1, **options: Any) -> tx_pb.SealOpeningResponse:
        """Has a service seal an opening."""
        claims = self.caller.claims
        sealer = self.shop.callers.setdefault("", service(self.shop.system, "terminal"))
        stub = tx_grpc.TransactionServiceStub(sealer.channel("cart"))
        request = tx_pb.SealOpeningRequest(
            store_code=claims.store_code, terminal_no=claims.terminal_no, business_counter=business_counter
        )
        with acting_for(claims.tenant_id):
            return await stub.SealOpening(request, **options)

    async def new_cart(self, state: str = "idle") -> str:
        """A cart in a state of the table of carts, or paid for: 2 A come to 220, of 1,000 in cash."""
        cart_id = (await self.carts.CreateCart(pb.CreateCartRequest())).cart_id
        steps = ["idle", "entering", "paying", "paid", "completed"]
        if state == "cancelled":
            await self.add(cart_id, *TWO_A)
            await self.cancel(cart_id)
            return cart_id
        for step in steps[1 : steps.index(state) + 1]:
            if step == "entering":
                await self.add(cart_id, *TWO_A)
            elif step == "paying":
                await self.subtotal(cart_id)
            elif step == "paid":
                await self.pay(cart_id, "cash", 1000)
            else:
                await self.finalise(cart_id)
        return cart_id

    async def add(self, cart_id: str, *lines: pb.AddLinesRequest.NewLine) -> pb.AddLinesResponse:
        """Adds lines."""
        return await self.carts.AddLines(pb.AddLinesRequest(cart_id=cart_id, lines=lines))

    async def subtotal(self, cart_id: str) -> CartTotals:
        """Ends the entering of lines."""
        return (await self.carts.SubtotalCart(pb.SubtotalCartRequest(cart_id=cart_id))).totals

    async def pay(self, cart_id: str, payment_method_code: str, deposit: int) -> pb.AddPaymentResponse:
        """Adds a payment."""
        return await self.carts.AddPayment(
            pb.AddPaymentRequest(cart_id=cart_id, payment_method_code=payment_method_code, deposit=yen(deposit))
        )

    async def finalise(self, cart_id: str, **options: Any) -> pb.FinalizeCartResponse:
        """Makes the sale."""
        return await self.carts.FinalizeCart(pb.FinalizeCartRequest(cart_id=cart_id), **options)

    async def cancel(self, cart_id: str, **options: Any) -> pb.CancelCartResponse:
        """Cancels a cart."""
        return await self.carts.CancelCart(pb.CancelCartRequest(cart_id=cart_id), **options)

    async def sell(self, *payments: tuple[str, int]) -> int:
        """Sells 2 A for 220, in cash unless told otherwise; gives the number of the transaction."""
        cart_id = await self.new_cart("paying")
        for payment_method_code, deposit in payments or [("cash", 220)]:
            await self.pay(cart_id, payment_method_code, deposit)
        return (await self.finalise(cart_id)).transaction_no

    async def void(self, number: int, *payments: tx_pb.TenderAmount, **options: Any) -> tx_pb.VoidTransactionResponse:
        """Voids a transaction, of 220 in cash unless told otherwise."""
        request = tx_pb.VoidTransactionRequest(transaction_no=number, payments=payments or [tender("cash", 220)])
        return await self.transactions.VoidTransaction(request, **options)

    async def take_back(
        self, number: int, *payments: tx_pb.TenderAmount, seller: int = 0, **options: Any
    ) -> tx_pb.ReturnTransactionResponse:
        """Takes a sale back, of 220 in cash unless told otherwise; of another terminal if one is named."""
        request = tx_pb.ReturnTransactionRequest(
            terminal_no=seller or self.terminal_no,
            transaction_no=number,
            payments=payments or [tender("cash", 220)],
        )
        return await self.transactions.ReturnTransaction(request, **options)

    async def look(self, number: int) -> Transaction:
        """One of its transactions."""
        claims = self.caller.claims
        request = tx_pb.GetTransactionRequest(
            store_code=claims.store_code, terminal_no=claims.terminal_no, transaction_no=number
        )
        return (await self.transactions.GetTransaction(request)).transaction

    async def published(self) -> Sequence[TransactionLog]:
        """What it has published, oldest first."""
        mine = [one for one in await envelopes(self.shop.cart) if one.key == self.key]
        assert [one.number for one in mine] == list(range(1, len(mine) + 1))
        return [TransactionLog.FromString(one.payload) for one in mine]


def sums(totals: CartTotals) -> tuple[int, int, int, int]:
    """Total, the same with tax, what is due, and units."""
    amounts = (totals.total, totals.total_with_tax, totals.balance)
    total, with_tax, due = (amount.minor_units for amount in amounts)
    return total, with_tax, due, totals.quantity


def taxes(totals: CartTotals) -> list[tuple[str, int, int]]:
    """Code, target and amount of each tax."""
    return [(one.tax_code, one.target.minor_units, one.amount.minor_units) for one in totals.taxes]


async def look(lane: Lane, cart_id: str) -> Cart:
    """The cart, whole."""
    return (await lane.carts.GetCart(pb.GetCartRequest(cart_id=cart_id))).cart
