"""A terminal and who stands at it: signs in, opens, sells, takes back, moves cash, closes."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from pathlib import Path

import grpc
from pos.cart.v1 import cart_service_pb2, transaction_service_pb2
from pos.cart.v1.cart_service_pb2_grpc import CartServiceStub
from pos.cart.v1.transaction_service_pb2_grpc import TransactionServiceStub
from pos.terminal.v1 import terminal_pb2, terminal_service_pb2
from pos.terminal.v1.terminal_service_pb2_grpc import TerminalServiceStub
from pos.type.v1.cash_movement_kind_pb2 import CASH_MOVEMENT_KIND_CASH_IN, CASH_MOVEMENT_KIND_CASH_OUT
from pos.type.v1.date_pb2 import Date
from pos.type.v1.money_pb2 import Money
from trunkline.errors import ServiceError

from deploy.local.calls import Caller, surely
from deploy.local.ledger import CANCELLED_SALE, RETURN, SALE, VOID_RETURN, VOID_SALE, Ledger, Transaction
from deploy.local.sale import Sale


class Till:
    """One terminal. What it is answered goes into the ledger."""

    def __init__(
        self, caller: Caller, store_code: str, terminal_no: int, currency: str, ledger: Ledger, note: Path | None = None
    ) -> None:
        """Makes the till.

        Args:
            caller: the terminal.
            store_code: its store.
            terminal_no: its number there.
            currency: of all amounts.
            ledger: what it writes down.
            note: file that names the cart being filled, so that a next run finds what this one left; None: no file.
        """
        self._carts = CartServiceStub(caller.channel("cart"))
        self._transactions = TransactionServiceStub(caller.channel("cart"))
        self._terminals = TerminalServiceStub(caller.channel("terminal"))
        self._store_code = store_code
        self.terminal_no = terminal_no
        self._currency = currency
        self._ledger = ledger
        self._note = note
        self._run = uuid.uuid4().hex[:12]
        self._step = 0
        self.opening = terminal_pb2.Terminal()
        """The terminal as it was opened."""

    async def sign_in(self, staff_id: str, pin: str) -> None:
        """Signs a staff member in, unless somebody is."""
        request = terminal_service_pb2.GetTerminalRequest(store_code=self._store_code, terminal_no=self.terminal_no)
        terminal = (await surely(self._terminals.GetTerminal, request)).terminal
        if not terminal.staff_id:
            sign_in = terminal_service_pb2.SignInRequest(staff_id=staff_id, pin=pin)
            await surely(self._terminals.SignIn, sign_in, key=self._key("sign-in"))
        if terminal.state == terminal_pb2.Terminal.STATE_OPENED:
            # An earlier run ended in the middle of its day.
            await self._give_up_noted()
            await self.close(0)

    async def open(self, initial_float: int | None = None, business_date: datetime.date | None = None) -> None:
        """Opens the terminal."""
        request = terminal_service_pb2.OpenTerminalRequest(
            business_date=_date(business_date) if business_date else None,
            initial_float=None if initial_float is None else self._money(initial_float),
        )
        answer = await surely(self._terminals.OpenTerminal, request, key=self._key("open"))
        self.opening = answer.terminal
        if initial_float is not None:
            self._ledger.cash_movements.append(initial_float)

    async def close(self, counted_cash: int) -> None:
        """Closes the terminal."""
        request = terminal_service_pb2.CloseTerminalRequest(counted_cash=self._money(counted_cash))
        key = self._key("close")
        while True:
            try:
                await surely(self._terminals.CloseTerminal, request, key=key)
            except ServiceError as error:
                if error.reason != "CARTS_UNFINISHED":
                    raise
                # Left by an earlier run that died: nobody will pay for them.
                for cart_id in error.metadata["cart_ids"].split(","):
                    await self._give_up(cart_id)
            else:
                return

    async def move_cash(self, amount: int, comment: str) -> None:
        """Puts cash into the drawer, or with a negative amount takes it out."""
        request = terminal_service_pb2.RecordCashMovementRequest(
            kind=CASH_MOVEMENT_KIND_CASH_IN if amount > 0 else CASH_MOVEMENT_KIND_CASH_OUT,
            amount=self._money(abs(amount)),
            comment=comment,
        )
        await surely(self._terminals.RecordCashMovement, request, key=self._key("cash"))
        self._ledger.cash_movements.append(amount)

    async def new_sale(self) -> Sale:
        """An empty cart."""
        key = self._key("cart")
        if self._note is not None:
            self._note.write_text(key)
        answer = await surely(self._carts.CreateCart, cart_service_pb2.CreateCartRequest(), key=key)
        return Sale(self._carts, self._currency, answer.cart_id, self._key)

    async def finish(self, sale: Sale) -> Transaction:
        """Makes the sale."""
        return self._book(await sale.finish(self.terminal_no))

    async def give_up(self, sale: Sale) -> None:
        """Cancels the cart."""
        done = await sale.give_up(self.terminal_no)
        if done is not None:
            self._book(done)

    async def void(self, original: Transaction) -> Transaction:
        """Undoes a sale or a return of this opening."""
        request = transaction_service_pb2.VoidTransactionRequest(
            transaction_no=original.transaction_no, payments=self._tenders(original.payments)
        )
        answer = await surely(self._transactions.VoidTransaction, request, key=self._key("void"))
        kind = {SALE: VOID_SALE, RETURN: VOID_RETURN}[original.kind]
        return self._book(original.undone(kind, self.terminal_no, answer.transaction_no, original.payments))

    async def take_back(self, sale: Transaction, tender: str) -> Transaction:
        """Takes a sale of the store back, and refunds all of it with one tender."""
        payments = {tender: sale.total_with_tax} if sale.total_with_tax else {}
        request = transaction_service_pb2.ReturnTransactionRequest(
            terminal_no=sale.terminal_no, transaction_no=sale.transaction_no, payments=self._tenders(payments)
        )
        answer = await surely(self._transactions.ReturnTransaction, request, key=self._key("return"))
        return self._book(sale.undone(RETURN, self.terminal_no, answer.transaction_no, payments))

    async def _give_up_noted(self) -> None:
        """Cancels the cart that an earlier run was filling when it died."""
        if self._note is None or not self._note.exists():
            return
        # The same key gives the same cart, or a new one if that call never arrived; either way it is cancelled.
        try:
            answer = await surely(
                self._carts.CreateCart, cart_service_pb2.CreateCartRequest(), key=self._note.read_text()
            )
            request = cart_service_pb2.CancelCartRequest(cart_id=answer.cart_id)
            await surely(self._carts.CancelCart, request, key=self._key("give-up"))
        except ServiceError as error:
            # It is finished, or its opening is sealed: there is nothing to give up.
            if error.code is not grpc.StatusCode.FAILED_PRECONDITION:
                raise

    async def _give_up(self, cart_id: str) -> None:
        request = cart_service_pb2.CancelCartRequest(cart_id=cart_id)
        answer = await surely(self._carts.CancelCart, request, key=self._key("give-up"))
        if answer.transaction_no:
            self._book(
                Transaction(kind=CANCELLED_SALE, terminal_no=self.terminal_no, transaction_no=answer.transaction_no)
            )

    def _book(self, transaction: Transaction) -> Transaction:
        self._ledger.transactions.append(transaction)
        return transaction

    def _key(self, step: str) -> str:
        self._step += 1
        return f"till/{self._store_code}/{self.terminal_no}/{self._run}/{self._step}/{step}"

    def _tenders(self, payments: Mapping[str, int]) -> list[transaction_service_pb2.TenderAmount]:
        return [
            transaction_service_pb2.TenderAmount(payment_method_code=code, amount=self._money(amount))
            for code, amount in payments.items()
        ]

    def _money(self, minor_units: int) -> Money:
        return Money(currency_code=self._currency, minor_units=minor_units)


def _date(date: datetime.date) -> Date:
    return Date(year=date.year, month=date.month, day=date.day)
