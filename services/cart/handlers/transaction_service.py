"""TransactionService on the wire."""

from __future__ import annotations

import sqlalchemy as sa
from pos.cart.v1 import transaction_service_pb2 as pb
from pos.cart.v1 import transaction_service_pb2_grpc as pb_grpc
from pos.event.v1.transaction_log_pb2 import TransactionLog
from pos.type.v1 import transaction_kind_pb2
from trunk.event.v1 import consumer_service_pb2
from trunkline.call import require_tenant
from trunkline.events import topic_of
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.cart.domain import seal as sealing
from services.cart.domain import undo
from services.cart.domain.delivery import deliveries
from services.cart.domain.neighbours import PaymentMethods, ReceiptRanges, Receivers, Terminals
from services.cart.domain.transaction import TransactionId
from services.cart.handlers.convert_transaction import from_refunds, to_summary, to_transaction
from services.cart.handlers.publish import commit
from services.cart.storage import carts, openings, transactions
from services.kernel.ids import TerminalId
from services.wire.dates import from_date
from services.wire.failures import refusals
from services.wire.kinds import to_enum
from services.wire.money import to_money
from services.wire.pages import page_of
from services.wire.reach import own_terminal, require_store


class TransactionServicer(pb_grpc.TransactionServiceServicer):
    """Reads, voids and returns transactions, and seals openings."""

    def __init__(
        self,
        database: Database,
        unit: UnitOfWork,
        terminals: Terminals,
        methods: PaymentMethods,
        ranges: ReceiptRanges,
        receivers: Receivers,
    ) -> None:
        self._database = database
        self._unit = unit
        self._terminals = terminals
        self._methods = methods
        self._ranges = ranges
        self._receivers = receivers

    @refusals
    async def GetTransaction(self, request: pb.GetTransactionRequest, context: Context) -> pb.GetTransactionResponse:
        """Gets a transaction."""
        terminal_id = TerminalId(require_store(request.store_code), request.store_code, request.terminal_no)
        transaction_id = TransactionId(terminal_id, request.transaction_no)
        stored = await self._database.read(lambda connection: transactions.get(connection, transaction_id))
        return pb.GetTransactionResponse(transaction=to_transaction(stored))

    @refusals
    async def ListTransactions(
        self, request: pb.ListTransactionsRequest, context: Context
    ) -> pb.ListTransactionsResponse:
        """Lists the transactions of a terminal, newest first."""
        terminal_id = TerminalId(require_store(request.store_code), request.store_code, request.terminal_no)
        first = from_date(request.from_business_date) if request.HasField("from_business_date") else None
        last = from_date(request.to_business_date) if request.HasField("to_business_date") else None
        page = page_of(request.page_size, request.page_token, terminal_id.key, first, last, key=(int,))
        before = int(page.after[0]) if page.after else None
        rows = await self._database.read(
            lambda connection: transactions.page(
                connection, terminal_id, first=first, last=last, before=before, limit=page.size + 1
            )
        )
        shown, more = rows[: page.size], len(rows) > page.size
        end = [shown[-1].record.transaction_id.transaction_no] if shown else []
        return pb.ListTransactionsResponse(
            transactions=[to_summary(one) for one in shown], next_page_token=page.next_token(end, more=more)
        )

    @refusals
    async def VoidTransaction(self, request: pb.VoidTransactionRequest, context: Context) -> pb.VoidTransactionResponse:
        """Undoes a sale or a return of the caller's terminal, in the opening it was made in, once."""
        terminal_id, refunds = own_terminal(), from_refunds(request.payments)
        till = await self._terminals.till(terminal_id)
        allowed = await self._ranges.range_of(terminal_id)
        original_id = TransactionId(terminal_id, request.transaction_no)

        def work(tx: Transaction) -> pb.VoidTransactionResponse:
            original = transactions.get(tx.connection, original_id)
            openings.require_unsealed(tx.connection, terminal_id, till.duty()[0].business_counter)
            undoing = undo.void(
                original.record,
                original.standing,
                till,
                refunds,
                lambda: openings.take_numbers(tx.connection, terminal_id, allowed),
                tx.now,
            )
            record = undoing.record
            commit(tx, record)
            transactions.mark_voided(tx.connection, original_id, record.transaction_id)
            if undoing.returnable is not None:
                transactions.mark_returned(tx.connection, undoing.returnable, None)
            return pb.VoidTransactionResponse(
                transaction_no=record.transaction_id.transaction_no,
                receipt_no=record.receipt_no,
                kind=to_enum(transaction_kind_pb2.TransactionKind, record.kind),
                total_with_tax=to_money(record.total_with_tax, record.currency_code),
            )

        return await self._unit.run(work)

    @refusals
    async def ReturnTransaction(
        self, request: pb.ReturnTransactionRequest, context: Context
    ) -> pb.ReturnTransactionResponse:
        """Takes the whole of a sale of the caller's store back."""
        terminal_id, refunds = own_terminal(), from_refunds(request.payments)
        till = await self._terminals.till(terminal_id)
        allowed = await self._ranges.range_of(terminal_id)
        codes = dict.fromkeys(refund.payment_method_code for refund in refunds)
        tenders = {code: await self._methods.tender(code) for code in codes}
        seller = TerminalId(terminal_id.tenant_id, terminal_id.store_code, request.terminal_no)
        original_id = TransactionId(seller, request.transaction_no)

        def work(tx: Transaction) -> pb.ReturnTransactionResponse:
            original = transactions.get(tx.connection, original_id)
            openings.require_unsealed(tx.connection, terminal_id, till.duty()[0].business_counter)
            undoing = undo.return_sale(
                original.record,
                original.standing,
                till,
                refunds,
                tenders,
                lambda: openings.take_numbers(tx.connection, terminal_id, allowed),
                tx.now,
            )
            record = undoing.record
            commit(tx, record)
            transactions.mark_returned(tx.connection, original_id, record.transaction_id)
            return pb.ReturnTransactionResponse(
                transaction_no=record.transaction_id.transaction_no,
                receipt_no=record.receipt_no,
                total_with_tax=to_money(record.total_with_tax, record.currency_code),
            )

        return await self._unit.run(work)

    @refusals
    async def SealOpening(self, request: pb.SealOpeningRequest, context: Context) -> pb.SealOpeningResponse:
        """Seals an opening: from then on nothing is added to it."""
        terminal_id = TerminalId(require_tenant(), request.store_code, request.terminal_no)
        counter = request.business_counter

        def work(tx: Transaction) -> pb.SealOpeningResponse:
            connection = tx.connection
            earlier = openings.seal_of(connection, terminal_id, counter)
            sealed = sealing.seal(
                earlier,
                terminal_id,
                carts.unfinished(connection, terminal_id, counter),
                transactions.counted(connection, terminal_id, counter),
            )
            if earlier is None:
                openings.add_seal(connection, terminal_id, counter, sealed)
            return pb.SealOpeningResponse(
                transaction_count=sealed.transaction_count, last_transaction_no=sealed.last_transaction_no
            )

        return await self._unit.run(work)

    @refusals
    async def GetDelivery(self, request: pb.GetDeliveryRequest, context: Context) -> pb.GetDeliveryResponse:
        """Gets what became of a transaction's event in the services that receive it."""
        terminal_id = TerminalId(require_store(request.store_code), request.store_code, request.terminal_no)
        transaction_id = TransactionId(terminal_id, request.transaction_no)

        def read(connection: sa.Connection) -> bool:
            transactions.get(connection, transaction_id)
            return transactions.is_confirmed(connection, topic_of(TransactionLog).name, transaction_id)

        confirmed = await self._database.read(read)
        told = await self._receivers.states(transaction_id)
        return pb.GetDeliveryResponse(
            deliveries=[
                pb.Delivery(
                    group=one.group,
                    state=to_enum(consumer_service_pb2.DeliveryState, one.state),
                    unreachable=one.unreachable,
                )
                for one in deliveries(told, confirmed=confirmed)
            ]
        )
