"""Payment methods between the wire and the domain."""

from __future__ import annotations

from pos.payment.v1 import payment_method_pb2
from pos.type.v1 import tender_kind_pb2

from services.kernel.tender_kind import TenderKind
from services.payment.domain.payment_method import PaymentMethod
from services.wire.kinds import from_enum, to_enum
from services.wire.money import from_money, tenant_currency, to_money


def from_payment_method(message: payment_method_pb2.PaymentMethod) -> PaymentMethod:
    """A new payment method as the caller describes it."""
    return PaymentMethod(
        payment_method_code=message.payment_method_code,
        description=message.description,
        kind=from_enum(tender_kind_pb2.TenderKind, TenderKind, message.kind),
        can_refund=message.can_refund,
        can_deposit_over=message.can_deposit_over,
        can_change=message.can_change,
        limit_amount=from_money(message.limit_amount) if message.HasField("limit_amount") else 0,
        active=message.active,
    )


def to_payment_method(method: PaymentMethod) -> payment_method_pb2.PaymentMethod:
    """A payment method."""
    return payment_method_pb2.PaymentMethod(
        payment_method_code=method.payment_method_code,
        description=method.description,
        kind=to_enum(tender_kind_pb2.TenderKind, method.kind),
        can_refund=method.can_refund,
        can_deposit_over=method.can_deposit_over,
        can_change=method.can_change,
        limit_amount=to_money(method.limit_amount, tenant_currency()) if method.limit_amount else None,
        active=method.active,
    )
