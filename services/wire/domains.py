"""Domains of error reasons that are the same in every retail service."""

from __future__ import annotations

SHARED = "pos.type"
"""Reasons of pos.type.v1.ErrorReason."""
SHARED_REASONS = frozenset(
    {"MONEY_INVALID", "CURRENCY_MISMATCH", "DATE_INVALID", "PAGE_TOKEN_INVALID", "STORE_FOREIGN"}
)
"""All of them."""
