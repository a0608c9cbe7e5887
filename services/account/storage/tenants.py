"""Tenants in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from services.account.domain.tenant import Tenant, tenant_missing
from services.account.storage.tables import TENANT


def find(connection: sa.Connection, tenant_id: str) -> Tenant | None:
    """The tenant, or None."""
    row = connection.execute(sa.select(TENANT).where(TENANT.c.tenant_id == tenant_id)).one_or_none()
    return Tenant(**row._mapping) if row is not None else None


def get(connection: sa.Connection, tenant_id: str) -> Tenant:
    """The tenant; NotFound / TENANT_NOT_FOUND."""
    found = find(connection, tenant_id)
    if found is None:
        raise tenant_missing(tenant_id)
    return found


def add(connection: sa.Connection, tenant: Tenant) -> None:
    """Adds a new tenant."""
    connection.execute(sa.insert(TENANT).values(**asdict(tenant)))
