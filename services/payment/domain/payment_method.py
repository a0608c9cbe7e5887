"""Payment methods: what a till may do with a way to pay."""

from __future__ import annotations

from dataclasses import dataclass

from services.kernel.failure import AlreadyExists, InvalidInput, NotFound
from services.kernel.tender_kind import TenderKind


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod:
    """A way to pay (a tender). One that contradicts itself cannot be built."""

    payment_method_code: str
    """Code in the tenant."""
    description: str
    """For receipts and screens."""
    kind: TenderKind
    """What it is; CASH moves the drawer."""
    can_refund: bool
    """A returned sale may be refunded to it."""
    can_deposit_over: bool
    """A customer may hand over more than is due."""
    can_change: bool
    """The excess is given back; otherwise it is forfeited."""
    limit_amount: int
    """The most that one deposit may be, in minor units; 0 any amount."""
    active: bool
    """It may be used."""

    def __post_init__(self) -> None:
        if self.can_change and not self.can_deposit_over:
            raise InvalidInput(
                "CHANGE_WITHOUT_DEPOSIT_OVER",
                "change is given only where more than is due may be handed over",
                payment_method_code=self.payment_method_code,
            )


def payment_method_missing(payment_method_code: str) -> NotFound:
    """There is no such payment method."""
    return NotFound(
        "PAYMENT_METHOD_NOT_FOUND", "there is no such payment method", payment_method_code=payment_method_code
    )


def payment_method_taken(payment_method_code: str) -> AlreadyExists:
    """There is a payment method of this code."""
    return AlreadyExists("PAYMENT_METHOD_EXISTS", "the code is taken", payment_method_code=payment_method_code)
