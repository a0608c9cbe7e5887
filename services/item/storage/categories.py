"""Categories in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from services.item.domain.item import Category
from services.item.storage.tables import CATEGORY

_FIELDS = [CATEGORY.c.category_code, CATEGORY.c.description]


def find(connection: sa.Connection, tenant_id: str, codes: Sequence[str]) -> dict[str, Category]:
    """Those of the categories that exist, by code."""
    query = sa.select(*_FIELDS).where(CATEGORY.c.tenant_id == tenant_id, CATEGORY.c.category_code.in_(codes))
    return {row.category_code: Category(**row._mapping) for row in connection.execute(query)}


def page(connection: sa.Connection, tenant_id: str, *, after: str, limit: int) -> list[Category]:
    """Categories by code, after one."""
    query = sa.select(*_FIELDS).where(CATEGORY.c.tenant_id == tenant_id, CATEGORY.c.category_code > after)
    return [
        Category(**row._mapping) for row in connection.execute(query.order_by(CATEGORY.c.category_code).limit(limit))
    ]


def add(connection: sa.Connection, tenant_id: str, categories: Sequence[Category]) -> None:
    """Adds new categories."""
    connection.execute(sa.insert(CATEGORY), [{"tenant_id": tenant_id, **asdict(one)} for one in categories])
