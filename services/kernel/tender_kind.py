"""What a payment is made with."""

from __future__ import annotations

from enum import StrEnum


class TenderKind(StrEnum):
    """Kinds of payment methods; the cash drawer looks at CASH."""

    CASH = "CASH"
    CASHLESS = "CASHLESS"
    OTHER = "OTHER"
