"""The parts that documents of carts and of transactions share, to and from plain JSON values."""

from __future__ import annotations

from datetime import date
from typing import Any

from services.cart.domain.payment import AppliedPayment
from services.cart.domain.tax import TaxRule
from services.kernel.opening import Opening
from services.kernel.staff import SignedInStaff
from services.kernel.tax_kind import TaxKind
from services.kernel.tender_kind import TenderKind

Document = dict[str, Any]
"""A value that `json.dumps` takes and `json.loads` gives back equal."""


def opening_to(opening: Opening) -> Document:
    """The document of an opening."""
    return {
        "business_date": opening.business_date.isoformat(),
        "open_counter": opening.open_counter,
        "business_counter": opening.business_counter,
    }


def opening_from(document: Document) -> Opening:
    """The opening of a document."""
    return Opening(
        date.fromisoformat(document["business_date"]), document["open_counter"], document["business_counter"]
    )


def staff_to(staff: SignedInStaff) -> Document:
    """The document of a staff member."""
    return {"staff_id": staff.staff_id, "name": staff.name}


def staff_from(document: Document) -> SignedInStaff:
    """The staff member of a document."""
    return SignedInStaff(document["staff_id"], document["name"])


def tax_to(rule: TaxRule) -> Document:
    """The document of a tax."""
    return {"tax_code": rule.tax_code, "kind": rule.kind.value, "rate_bps": rule.rate_bps}


def tax_from(document: Document) -> TaxRule:
    """The tax of a document."""
    return TaxRule(document["tax_code"], TaxKind(document["kind"]), document["rate_bps"])


def payment_to(payment: AppliedPayment) -> Document:
    """The document of a payment."""
    return {
        "payment_method_code": payment.payment_method_code,
        "description": payment.description,
        "kind": payment.kind.value,
        "deposit": payment.deposit,
        "applied": payment.applied,
        "change": payment.change,
        "forfeited": payment.forfeited,
    }


def payment_from(document: Document) -> AppliedPayment:
    """The payment of a document."""
    return AppliedPayment(
        payment_method_code=document["payment_method_code"],
        description=document["description"],
        kind=TenderKind(document["kind"]),
        deposit=document["deposit"],
        applied=document["applied"],
        change=document["change"],
        forfeited=document["forfeited"],
    )
