"""A transaction as one document of plain JSON values, and back."""

from __future__ import annotations

from datetime import date, datetime

from services.cart.domain.parts_document import (
    Document,
    opening_from,
    opening_to,
    payment_from,
    payment_to,
    staff_from,
    staff_to,
    tax_from,
    tax_to,
)
from services.cart.domain.tax import TaxAmount
from services.cart.domain.transaction import Origin, TransactionId, TransactionLine, TransactionRecord
from services.kernel.ids import TerminalId
from services.kernel.transaction_kind import TransactionKind

LINE_FIELDS = (
    "line_no", "item_code", "description", "category_code", "tax_code", "unit_price", "quantity", "line_discount",
    "subtotal_discount", "amount", "cancelled",
)  # fmt: skip
"""Fields of a transaction's line; all of them are plain values."""

PLAIN_FIELDS = (
    "receipt_no", "currency_code", "subtotal_discount", "total", "total_with_tax", "change", "quantity", "cart_id",
)  # fmt: skip
"""Fields of a transaction that are plain values."""


def record_to_document(record: TransactionRecord) -> Document:
    """The document of a transaction."""
    return {
        "version": 1,
        **{field: getattr(record, field) for field in PLAIN_FIELDS},
        "kind": record.kind.value,
        "terminal": record.transaction_id.terminal_id.key,
        "transaction_no": record.transaction_id.transaction_no,
        "opening": opening_to(record.opening),
        "create_time": record.create_time.isoformat(),
        "staff": staff_to(record.staff),
        "lines": [{field: getattr(line, field) for field in LINE_FIELDS} for line in record.lines],
        "taxes": [{**tax_to(tax.rule), "target": tax.target, "amount": tax.amount} for tax in record.taxes],
        "payments": [payment_to(payment) for payment in record.payments],
        "origin": _origin_to(record.origin) if record.origin else None,
    }


def record_from_document(document: Document) -> TransactionRecord:
    """The transaction of a document."""
    return TransactionRecord(
        **{field: document[field] for field in PLAIN_FIELDS},
        kind=TransactionKind(document["kind"]),
        transaction_id=_id_from(document),
        opening=opening_from(document["opening"]),
        create_time=datetime.fromisoformat(document["create_time"]),
        staff=staff_from(document["staff"]),
        lines=tuple(TransactionLine(**line) for line in document["lines"]),
        taxes=tuple(TaxAmount(tax_from(tax), tax["target"], tax["amount"]) for tax in document["taxes"]),
        payments=tuple(payment_from(payment) for payment in document["payments"]),
        origin=_origin_from(document["origin"]) if document["origin"] else None,
    )


def _id_from(document: Document) -> TransactionId:
    return TransactionId(TerminalId.parse(document["terminal"]), document["transaction_no"])


def _origin_to(origin: Origin) -> Document:
    return {
        "terminal": origin.transaction_id.terminal_id.key,
        "transaction_no": origin.transaction_id.transaction_no,
        "business_date": origin.business_date.isoformat(),
        "open_counter": origin.open_counter,
    }


def _origin_from(document: Document) -> Origin:
    return Origin(
        transaction_id=_id_from(document),
        business_date=date.fromisoformat(document["business_date"]),
        open_counter=document["open_counter"],
    )
