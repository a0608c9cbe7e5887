"""Items and store prices in the database. Every function runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from services.item.domain.item import Item, item_missing
from services.item.storage.tables import ITEM, STORE_PRICE

_FIELDS = [column for column in ITEM.c if column.name != "tenant_id"]


def get(connection: sa.Connection, tenant_id: str, item_code: str) -> Item:
    """The item, deleted or not; NotFound / ITEM_NOT_FOUND."""
    found = find(connection, tenant_id, [item_code])
    if item_code not in found:
        raise item_missing(item_code)
    return found[item_code]


def find(connection: sa.Connection, tenant_id: str, item_codes: Sequence[str]) -> dict[str, Item]:
    """Those of the items that exist, by code."""
    query = sa.select(*_FIELDS).where(ITEM.c.tenant_id == tenant_id, ITEM.c.item_code.in_(item_codes))
    return {row.item_code: Item(**row._mapping) for row in connection.execute(query)}


def page(
    connection: sa.Connection,
    tenant_id: str,
    *,
    category_code: str | None,
    show_deleted: bool,
    after: str,
    limit: int,
) -> list[Item]:
    """Items by code, after one."""
    query = sa.select(*_FIELDS).where(ITEM.c.tenant_id == tenant_id, ITEM.c.item_code > after)
    if category_code is not None:
        query = query.where(ITEM.c.category_code == category_code)
    if not show_deleted:
        query = query.where(ITEM.c.deleted == sa.false())
    rows = connection.execute(query.order_by(ITEM.c.item_code).limit(limit))
    return [Item(**row._mapping) for row in rows]


def add(connection: sa.Connection, tenant_id: str, items: Sequence[Item]) -> None:
    """Adds new items."""
    connection.execute(sa.insert(ITEM), [{"tenant_id": tenant_id, **asdict(item)} for item in items])


def replace(connection: sa.Connection, tenant_id: str, item: Item) -> None:
    """Writes all fields of an item that exists."""
    values = {name: value for name, value in asdict(item).items() if name != "item_code"}
    connection.execute(
        sa.update(ITEM).where(ITEM.c.tenant_id == tenant_id, ITEM.c.item_code == item.item_code).values(**values)
    )


def store_prices(
    connection: sa.Connection, tenant_id: str, store_code: str, item_codes: Sequence[str]
) -> dict[str, int]:
    """Prices that a store has of its own, by item code."""
    query = sa.select(STORE_PRICE.c.item_code, STORE_PRICE.c.price).where(
        STORE_PRICE.c.tenant_id == tenant_id,
        STORE_PRICE.c.store_code == store_code,
        STORE_PRICE.c.item_code.in_(item_codes),
    )
    return {row.item_code: row.price for row in connection.execute(query)}


def set_store_price(
    connection: sa.Connection, tenant_id: str, store_code: str, item_code: str, price: int | None
) -> None:
    """Sets a store's own price, or removes it."""
    key = {"tenant_id": tenant_id, "item_code": item_code, "store_code": store_code}
    connection.execute(sa.delete(STORE_PRICE).where(*(STORE_PRICE.c[name] == value for name, value in key.items())))
    if price is not None:
        connection.execute(sa.insert(STORE_PRICE).values(**key, price=price))
