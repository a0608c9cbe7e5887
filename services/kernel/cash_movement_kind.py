"""Which way cash moved without a sale."""

from __future__ import annotations

from enum import StrEnum


class CashMovementKind(StrEnum):
    """Kinds of cash movements; the initial float is a CASH_IN."""

    CASH_IN = "CASH_IN"
    CASH_OUT = "CASH_OUT"

    @property
    def sign(self) -> int:
        """+1 where cash goes into the drawer, -1 where it is taken out."""
        return 1 if self is CashMovementKind.CASH_IN else -1
