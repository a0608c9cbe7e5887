"""PaymentMethodService on the wire."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pos.payment.v1 import payment_method_service_pb2 as pb
from pos.payment.v1 import payment_method_service_pb2_grpc as pb_grpc
from trunkline.call import require_tenant
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.payment.handlers.convert import from_payment_method, to_payment_method
from services.payment.storage import payment_methods
from services.wire.failures import refusals
from services.wire.money import from_money
from services.wire.pages import page_of


class PaymentMethodServicer(pb_grpc.PaymentMethodServiceServicer):
    """Reads and maintains payment methods."""

    def __init__(self, database: Database, unit: UnitOfWork) -> None:
        self._database = database
        self._unit = unit

    @refusals
    async def CreatePaymentMethod(
        self, request: pb.CreatePaymentMethodRequest, context: Context
    ) -> pb.CreatePaymentMethodResponse:
        """Creates a payment method."""
        tenant_id, method = require_tenant(), from_payment_method(request.payment_method)

        def work(tx: Transaction) -> pb.CreatePaymentMethodResponse:
            payment_methods.add(tx.connection, tenant_id, method)
            return pb.CreatePaymentMethodResponse(payment_method=to_payment_method(method))

        return await self._unit.run(work)

    @refusals
    async def GetPaymentMethod(
        self, request: pb.GetPaymentMethodRequest, context: Context
    ) -> pb.GetPaymentMethodResponse:
        """Gets a payment method, active or not."""
        tenant_id, code = require_tenant(), request.payment_method_code
        method = await self._database.read(lambda connection: payment_methods.get(connection, tenant_id, code))
        return pb.GetPaymentMethodResponse(payment_method=to_payment_method(method))

    @refusals
    async def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest, context: Context
    ) -> pb.ListPaymentMethodsResponse:
        """Lists payment methods by code."""
        tenant_id = require_tenant()
        page = page_of(request.page_size, request.page_token, tenant_id)
        after = str(page.after[0]) if page.after else ""
        rows = await self._database.read(
            lambda connection: payment_methods.page(connection, tenant_id, after=after, limit=page.size + 1)
        )
        shown, more = rows[: page.size], len(rows) > page.size
        return pb.ListPaymentMethodsResponse(
            payment_methods=[to_payment_method(one) for one in shown],
            next_page_token=page.next_token([shown[-1].payment_method_code] if shown else [], more=more),
        )

    @refusals
    async def UpdatePaymentMethod(
        self, request: pb.UpdatePaymentMethodRequest, context: Context
    ) -> pb.UpdatePaymentMethodResponse:
        """Changes the fields that are given."""
        tenant_id, changes = require_tenant(), _changes(request)

        def work(tx: Transaction) -> pb.UpdatePaymentMethodResponse:
            method = replace(payment_methods.get(tx.connection, tenant_id, request.payment_method_code), **changes)
            payment_methods.replace(tx.connection, tenant_id, method)
            return pb.UpdatePaymentMethodResponse(payment_method=to_payment_method(method))

        return await self._unit.run(work)


def _changes(request: Any) -> dict[str, Any]:
    plain = ("description", "can_refund", "can_deposit_over", "can_change", "active")
    changes: dict[str, Any] = {name: getattr(request, name) for name in plain if request.HasField(name)}
    if request.HasField("limit_amount"):
        changes["limit_amount"] = from_money(request.limit_amount)
    return changes
