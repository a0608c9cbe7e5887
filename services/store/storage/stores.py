"""Stores in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from services.store.domain.store import Store, store_missing, store_taken
from services.store.storage.tables import STORE

_FIELDS = [column for column in STORE.c if column.name != "tenant_id"]


def find(connection: sa.Connection, tenant_id: str, store_code: str) -> Store | None:
    """The store, if there is one."""
    query = sa.select(*_FIELDS).where(STORE.c.tenant_id == tenant_id, STORE.c.store_code == store_code)
    row = connection.execute(query).first()
    return Store(**row._mapping) if row is not None else None


def get(connection: sa.Connection, tenant_id: str, store_code: str) -> Store:
    """The store; NotFound / STORE_NOT_FOUND."""
    store = find(connection, tenant_id, store_code)
    if store is None:
        raise store_missing(store_code)
    return store


def page(connection: sa.Connection, tenant_id: str, *, only: str, after: str, limit: int) -> list[Store]:
    """Stores by code, after one; only that one store if it is named."""
    query = sa.select(*_FIELDS).where(STORE.c.tenant_id == tenant_id, STORE.c.store_code > after)
    if only:
        query = query.where(STORE.c.store_code == only)
    return [Store(**row._mapping) for row in connection.execute(query.order_by(STORE.c.store_code).limit(limit))]


def add(connection: sa.Connection, tenant_id: str, store: Store) -> None:
    """Adds a new store; AlreadyExists / STORE_EXISTS."""
    if find(connection, tenant_id, store.store_code) is not None:
        raise store_taken(store.store_code)
    connection.execute(sa.insert(STORE).values(tenant_id=tenant_id, **asdict(store)))
