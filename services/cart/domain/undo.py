"""Voids and returns: transactions that undo a whole earlier one, and what then may still be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.cart.domain.cart import Till
from services.cart.domain.numbering import TakeNumbers
from services.cart.domain.payment import AppliedPayment, Tender, find_tender, refund
from services.cart.domain.transaction import TransactionId, TransactionRecord
from services.kernel.failure import NotFound, Refused
from services.kernel.transaction_kind import TransactionKind

VOIDED_BY = {TransactionKind.SALE: TransactionKind.VOID_SALE, TransactionKind.RETURN: TransactionKind.VOID_RETURN}
"""The kinds that can be voided, and the kind of their void."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What has been done with a transaction since it was made."""

    voided_by: TransactionId | None = None
    """The transaction that voids it."""
    returned_by: TransactionId | None = None
    """The return of it, unless that is voided."""


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """An amount that is to go back to a tender."""

    payment_method_code: str
    """Code of the payment method."""
    amount: int
    """How much, at least 1."""


@dataclass(frozen=True, slots=True)
class Undoing:
    """A void or a return, and what it does to others."""

    record: TransactionRecord
    """The new transaction; its origin names the one it undoes."""
    standing: Standing
    """New standing of the one it undoes."""
    returnable: TransactionId | None = None
    """The sale that is not returned any more, because this voids its return."""


def void(
    original: TransactionRecord,
    standing: Standing,
    till: Till,
    refunds: Sequence[RefundRequest],
    take_numbers: TakeNumbers,
    now: datetime,
) -> Undoing:
    """Undoes a sale or a return of the same terminal and opening, to the tenders it was paid with."""
    opening, _ = till.duty()
    if original.transaction_id.terminal_id != till.terminal_id:
        raise transaction_not_found(original.transaction_id)
    kind = VOIDED_BY.get(original.kind)
    if kind is None:
        raise _refusal("NOT_VOIDABLE", f"a {original.kind} cannot be voided", original, kind=original.kind)
    if original.opening.business_counter != opening.business_counter:
        raise _refusal("OPENING_OVER", "only a transaction of this opening can be voided", original)
    _check_standing(original, standing)
    _check_same_tenders(original, refunds)
    # One refund for each payment, so that counts of payments cancel out as amounts do.
    payments = tuple(replace(paid, deposit=paid.applied, change=0, forfeited=0) for paid in original.payments)
    record = _undoing(kind, original, till, payments, take_numbers, now)
    sale = original.origin.transaction_id if kind is TransactionKind.VOID_RETURN and original.origin else None
    return Undoing(record, replace(standing, voided_by=record.transaction_id), sale)


def return_sale(
    original: TransactionRecord,
    standing: Standing,
    till: Till,
    refunds: Sequence[RefundRequest],
    tenders: Mapping[str, Tender],
    take_numbers: TakeNumbers,
    now: datetime,
) -> Undoing:
    """Takes a whole sale of the same store back, to any tenders that can be refunded to.

    tenders holds the payment methods that exist, at least those named in refunds, by code.
    """
    till.duty()
    here, there = till.terminal_id, original.transaction_id.terminal_id
    if (there.tenant_id, there.store_code) != (here.tenant_id, here.store_code):
        raise transaction_not_found(original.transaction_id)
    if original.kind is not TransactionKind.SALE:
        raise _refusal("NOT_RETURNABLE", f"a {original.kind} cannot be returned", original, kind=original.kind)
    _check_standing(original, standing)
    payments = tuple(refund(find_tender(tenders, request.payment_method_code), request.amount) for request in refunds)
    refunded = sum(payment.applied for payment in payments)
    if refunded != original.total_with_tax:
        raise Refused(
            "REFUND_SUM_WRONG", "refunds must sum to the total with tax", refunded=refunded, due=original.total_with_tax
        )
    record = _undoing(TransactionKind.RETURN, original, till, payments, take_numbers, now)
    return Undoing(record, replace(standing, returned_by=record.transaction_id))


def transaction_not_found(transaction_id: TransactionId) -> NotFound:
    """The refusal for a transaction that the caller cannot see."""
    return NotFound("TRANSACTION_NOT_FOUND", "there is no such transaction", transaction=transaction_id.subject)


def _check_standing(original: TransactionRecord, standing: Standing) -> None:
    if standing.voided_by is not None:
        raise _refusal("ALREADY_VOIDED", "the transaction is voided", original)
    if standing.returned_by is not None:
        raise _refusal("ALREADY_RETURNED", "the sale is returned", original)


def _check_same_tenders(original: TransactionRecord, refunds: Sequence[RefundRequest]) -> None:
    paid: dict[str, int] = {}
    for payment in original.payments:
        paid[payment.payment_method_code] = paid.get(payment.payment_method_code, 0) + payment.applied
    named: dict[str, int] = {}
    for request in refunds:
        named[request.payment_method_code] = named.get(request.payment_method_code, 0) + request.amount
    if named != paid:
        raise _refusal("TENDERS_DIFFER", "the tenders of a void equal the original's, per code", original)


def _undoing(
    kind: TransactionKind,
    original: TransactionRecord,
    till: Till,
    payments: tuple[AppliedPayment, ...],
    take_numbers: TakeNumbers,
    now: datetime,
) -> TransactionRecord:
    opening, staff = till.duty()
    numbers = take_numbers()
    return replace(
        original,
        kind=kind,
        transaction_id=TransactionId(till.terminal_id, numbers.transaction_no),
        receipt_no=numbers.receipt_no,
        opening=opening,
        create_time=now,
        staff=staff,
        payments=payments,
        change=0,
        cart_id="",
        origin=original.as_origin(),
    )


def _refusal(reason: str, message: str, original: TransactionRecord, **metadata: object) -> Refused:
    return Refused(reason, message, transaction=original.subject, **metadata)
