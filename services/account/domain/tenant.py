"""Tenants: the retailers that everything recorded belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.kernel.failure import AlreadyExists, NotFound
from services.kernel.money import currency_exponent

DEFAULT_LANGUAGE = "en"
"""Language of a tenant that names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A retailer."""

    tenant_id: str
    """Chosen by whoever creates it."""
    name: str
    """For people."""
    currency_code: str
    """Currency of all its amounts; never changes, and so may stand in tokens."""
    language_code: str
    """Language of its receipts and journals."""
    create_time: datetime
    """When it was created."""

    def __post_init__(self) -> None:
        # InvalidInput / CURRENCY_UNKNOWN where amounts could not be written.
        currency_exponent(self.currency_code)


def tenant_missing(tenant_id: str) -> NotFound:
    """There is no such tenant."""
    return NotFound("TENANT_NOT_FOUND", "there is no such tenant", tenant_id=tenant_id)


def tenant_taken(tenant_id: str) -> AlreadyExists:
    """Another tenant has this id."""
    return AlreadyExists("TENANT_EXISTS", "a tenant with this id exists", tenant_id=tenant_id)
