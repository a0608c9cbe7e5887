"""Payment methods, asked of the payment service."""

from __future__ import annotations

import grpc
from pos.payment.v1 import payment_method_service_pb2, payment_method_service_pb2_grpc
from pos.type.v1 import tender_kind_pb2
from trunkline.errors import ServiceError

from services.cart.domain.payment import Tender
from services.kernel.failure import NotFound
from services.kernel.tender_kind import TenderKind
from services.wire.kinds import from_enum

MISSING = ("pos.payment", "PAYMENT_METHOD_NOT_FOUND")
"""Domain and reason of the payment service's refusal of a code it does not know."""


class PaymentMethodPeer:
    """Implements `PaymentMethods`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: payment_method_service_pb2_grpc.PaymentMethodServiceAsyncStub = (
            payment_method_service_pb2_grpc.PaymentMethodServiceStub(channel)
        )

    async def tender(self, payment_method_code: str) -> Tender:
        """The payment method."""
        request = payment_method_service_pb2.GetPaymentMethodRequest(payment_method_code=payment_method_code)
        try:
            method = (await self._stub.GetPaymentMethod(request)).payment_method
        except ServiceError as error:
            if (error.domain, error.reason) != MISSING:
                raise
            raise NotFound(
                "PAYMENT_METHOD_NOT_FOUND", "there is no such payment method", payment_method_code=payment_method_code
            ) from error
        return Tender(
            payment_method_code=method.payment_method_code,
            description=method.description,
            kind=from_enum(tender_kind_pb2.TenderKind, TenderKind, method.kind),
            can_refund=method.can_refund,
            can_deposit_over=method.can_deposit_over,
            can_change=method.can_change,
            limit_amount=method.limit_amount.minor_units,
            active=method.active,
        )
