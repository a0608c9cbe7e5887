"""ItemService on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from pos.item.v1 import item_service_pb2 as pb
from pos.item.v1 import item_service_pb2_grpc as pb_grpc
from trunkline.call import require_tenant
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.item.domain.item import Item, check_changeable, check_distinct, check_free, check_references
from services.item.handlers.convert import from_item, to_item, to_priced_item
from services.item.storage import categories, items
from services.wire.failures import refusals
from services.wire.money import from_money
from services.wire.pages import page_of
from services.wire.reach import require_store


class ItemServicer(pb_grpc.ItemServiceServicer):
    """Reads and maintains items."""

    def __init__(self, database: Database, unit: UnitOfWork) -> None:
        self._database = database
        self._unit = unit

    @refusals
    async def CreateItem(self, request: pb.CreateItemRequest, context: Context) -> pb.CreateItemResponse:
        """Creates an item."""
        tenant_id, item = require_tenant(), from_item(request.item)

        def work(tx: Transaction) -> pb.CreateItemResponse:
            _add(tx, tenant_id, [item])
            return pb.CreateItemResponse(item=to_item(item))

        return await self._unit.run(work)

    @refusals
    async def BatchCreateItems(
        self, request: pb.BatchCreateItemsRequest, context: Context
    ) -> pb.BatchCreateItemsResponse:
        """Creates items, all or none."""
        tenant_id, batch = require_tenant(), [from_item(one) for one in request.items]

        def work(tx: Transaction) -> pb.BatchCreateItemsResponse:
            _add(tx, tenant_id, batch)
            return pb.BatchCreateItemsResponse(created_count=len(batch))

        return await self._unit.run(work)

    @refusals
    async def GetItem(self, request: pb.GetItemRequest, context: Context) -> pb.GetItemResponse:
        """Gets an item, deleted or not."""
        store_code = request.store_code if request.HasField("store_code") else None
        tenant_id, code = require_store(store_code or ""), request.item_code
        item, prices = await self._database.read(
            lambda connection: (
                items.get(connection, tenant_id, code),
                items.store_prices(connection, tenant_id, store_code, [code]) if store_code else {},
            )
        )
        return pb.GetItemResponse(item=to_item(item, store_code, prices.get(code)))

    @refusals
    async def BatchGetItems(self, request: pb.BatchGetItemsRequest, context: Context) -> pb.BatchGetItemsResponse:
        """Gets what a till needs to sell items in one store."""
        tenant_id, codes, store_code = require_store(request.store_code), request.item_codes, request.store_code
        found, prices = await self._database.read(
            lambda connection: (
                items.find(connection, tenant_id, codes),
                items.store_prices(connection, tenant_id, store_code, codes),
            )
        )
        return pb.BatchGetItemsResponse(
            items=[to_priced_item(found[code], prices.get(code)) for code in codes if code in found],
            missing_item_codes=[code for code in codes if code not in found],
        )

    @refusals
    async def ListItems(self, request: pb.ListItemsRequest, context: Context) -> pb.ListItemsResponse:
        """Lists items by code."""
        category = request.category_code if request.HasField("category_code") else None
        store_code = request.store_code if request.HasField("store_code") else None
        tenant_id, deleted = require_store(store_code or ""), request.show_deleted
        page = page_of(request.page_size, request.page_token, tenant_id, category, store_code, deleted)
        after = str(page.after[0]) if page.after else ""
        rows, prices = await self._database.read(
            lambda connection: _page(connection, tenant_id, category, deleted, after, page.size + 1, store_code)
        )
        shown, more = rows[: page.size], len(rows) > page.size
        return pb.ListItemsResponse(
            items=[to_item(one, store_code, prices.get(one.item_code)) for one in shown],
            next_page_token=page.next_token([shown[-1].item_code] if shown else [], more=more),
        )

    @refusals
    async def UpdateItem(self, request: pb.UpdateItemRequest, context: Context) -> pb.UpdateItemResponse:
        """Changes the fields that are given."""
        tenant_id, changes = require_tenant(), _changes(request)

        def work(tx: Transaction) -> pb.UpdateItemResponse:
            old = items.get(tx.connection, tenant_id, request.item_code)
            check_changeable(old)
            item = replace(old, **changes)
            check_references(item, set(categories.find(tx.connection, tenant_id, [item.category_code])))
            items.replace(tx.connection, tenant_id, item)
            return pb.UpdateItemResponse(item=to_item(item))

        return await self._unit.run(work)

    @refusals
    async def DeleteItem(self, request: pb.DeleteItemRequest, context: Context) -> pb.DeleteItemResponse:
        """Deletes an item logically."""
        tenant_id, code = require_tenant(), request.item_code

        def work(tx: Transaction) -> pb.DeleteItemResponse:
            item = replace(items.get(tx.connection, tenant_id, code), deleted=True)
            items.replace(tx.connection, tenant_id, item)
            return pb.DeleteItemResponse(item=to_item(item))

        return await self._unit.run(work)

    @refusals
    async def SetStorePrice(self, request: pb.SetStorePriceRequest, context: Context) -> pb.SetStorePriceResponse:
        """Sets or removes a store's own price."""
        tenant_id, code, store_code = require_tenant(), request.item_code, request.store_code
        price = from_money(request.price) if request.HasField("price") else None

        def work(tx: Transaction) -> pb.SetStorePriceResponse:
            item = items.get(tx.connection, tenant_id, code)
            check_changeable(item)
            items.set_store_price(tx.connection, tenant_id, store_code, code, price)
            return pb.SetStorePriceResponse(item=to_item(item, store_code, price))

        return await self._unit.run(work)


def _add(tx: Transaction, tenant_id: str, batch: Sequence[Item]) -> None:
    codes = [one.item_code for one in batch]
    check_distinct(codes, "item_code")
    check_free(codes, set(items.find(tx.connection, tenant_id, codes)), "ITEM_EXISTS", "item_code")
    known = set(categories.find(tx.connection, tenant_id, sorted({one.category_code for one in batch})))
    for item in batch:
        check_references(item, known)
    items.add(tx.connection, tenant_id, batch)


def _page(
    connection: sa.Connection,
    tenant_id: str,
    category_code: str | None,
    show_deleted: bool,
    after: str,
    limit: int,
    store_code: str | None,
) -> tuple[list[Item], dict[str, int]]:
    rows = items.page(
        connection, tenant_id, category_code=category_code, show_deleted=show_deleted, after=after, limit=limit
    )
    codes = [row.item_code for row in rows]
    return rows, items.store_prices(connection, tenant_id, store_code, codes) if store_code else {}


def _changes(request: Any) -> dict[str, Any]:
    plain = ("description", "category_code", "tax_code", "discount_restricted", "image_url", "detail")
    changes: dict[str, Any] = {name: getattr(request, name) for name in plain if request.HasField(name)}
    if request.HasField("unit_price"):
        changes["unit_price"] = from_money(request.unit_price)
    return changes
