"""Rules of taking a payment: what of a deposit pays the balance, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.kernel.failure import NotFound, Refused
from services.kernel.money import check_amount
from services.kernel.tender_kind import TenderKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Tender:
    """A payment method as it is at the moment of payment."""

    payment_method_code: str
    """Code of the payment method in the tenant."""
    description: str
    """Its description."""
    kind: TenderKind
    """What it is made with."""
    can_refund: bool
    """Money of a return may go back to it."""
    can_deposit_over: bool
    """The customer may hand over more than is due."""
    can_change: bool
    """The excess is given back; otherwise it is forfeited."""
    limit_amount: int
    """The most one deposit may be; 0 none."""
    active: bool
    """It is in use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPayment:
    """A payment of a cart, or a refund of a void or a return: deposit = applied + change + forfeited."""

    payment_method_code: str
    """Code of the payment method."""
    description: str
    """Its description at that time."""
    kind: TenderKind
    """Its kind at that time."""
    deposit: int
    """What was handed over."""
    applied: int
    """What of it paid the balance; of a refund, what was given back."""
    change: int = 0
    """What of it was given back as change."""
    forfeited: int = 0
    """What of it was neither applied nor given back."""


def find_tender(tenders: Mapping[str, Tender], payment_method_code: str) -> Tender:
    """The payment method of this code."""
    tender = tenders.get(payment_method_code)
    if tender is None:
        raise NotFound(
            "PAYMENT_METHOD_NOT_FOUND", "there is no such payment method", payment_method_code=payment_method_code
        )
    return tender


def check_active(tender: Tender) -> None:
    """Refuses a payment method that is not in use."""
    if not tender.active:
        raise Refused(
            "PAYMENT_METHOD_INACTIVE",
            "the payment method is not in use",
            payment_method_code=tender.payment_method_code,
        )


def apply_payment(tender: Tender, deposit: int, balance: int) -> AppliedPayment:
    """The payment that deposit makes towards balance, by the rules of its tender."""
    code = tender.payment_method_code
    check_active(tender)
    check_amount(deposit, "deposit", minimum=1)
    if balance <= 0:
        raise Refused("NOTHING_TO_PAY", "nothing is left to pay", balance=balance)
    if 0 < tender.limit_amount < deposit:
        raise Refused(
            "DEPOSIT_OVER_LIMIT", "the deposit exceeds the limit of the payment method",
            payment_method_code=code, deposit=deposit, limit=tender.limit_amount,
        )  # fmt: skip
    if deposit > balance and not tender.can_deposit_over:
        raise Refused(
            "DEPOSIT_OVER_BALANCE", "the payment method takes no more than is due",
            payment_method_code=code, deposit=deposit, balance=balance,
        )  # fmt: skip
    applied = min(deposit, balance)
    excess = deposit - applied
    return AppliedPayment(
        payment_method_code=code, description=tender.description, kind=tender.kind, deposit=deposit, applied=applied,
        change=excess if tender.can_change else 0, forfeited=0 if tender.can_change else excess,
    )  # fmt: skip


def refund(tender: Tender, amount: int) -> AppliedPayment:
    """The payment that gives amount back to an active tender that can be refunded to."""
    check_active(tender)
    check_amount(amount, "amount", minimum=1)
    if not tender.can_refund:
        raise Refused(
            "REFUND_NOT_ALLOWED", "nothing is refunded to the payment method",
            payment_method_code=tender.payment_method_code,
        )  # fmt: skip
    return AppliedPayment(
        payment_method_code=tender.payment_method_code, description=tender.description, kind=tender.kind,
        deposit=amount, applied=amount,
    )  # fmt: skip
