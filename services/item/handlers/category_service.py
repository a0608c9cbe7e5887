"""CategoryService on the wire."""

from __future__ import annotations

from collections.abc import Sequence

from pos.item.v1 import category_service_pb2 as pb
from pos.item.v1 import category_service_pb2_grpc as pb_grpc
from trunkline.call import require_tenant
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.item.domain.item import Category, category_missing, check_distinct, check_free
from services.item.handlers.convert import from_category, to_category
from services.item.storage import categories
from services.wire.failures import refusals
from services.wire.pages import page_of


class CategoryServicer(pb_grpc.CategoryServiceServicer):
    """Reads and maintains categories."""

    def __init__(self, database: Database, unit: UnitOfWork) -> None:
        self._database = database
        self._unit = unit

    @refusals
    async def CreateCategory(self, request: pb.CreateCategoryRequest, context: Context) -> pb.CreateCategoryResponse:
        """Creates a category."""
        tenant_id, category = require_tenant(), from_category(request.category)

        def work(tx: Transaction) -> pb.CreateCategoryResponse:
            _add(tx, tenant_id, [category])
            return pb.CreateCategoryResponse(category=to_category(category))

        return await self._unit.run(work)

    @refusals
    async def BatchCreateCategories(
        self, request: pb.BatchCreateCategoriesRequest, context: Context
    ) -> pb.BatchCreateCategoriesResponse:
        """Creates categories, all or none."""
        tenant_id, batch = require_tenant(), [from_category(one) for one in request.categories]

        def work(tx: Transaction) -> pb.BatchCreateCategoriesResponse:
            _add(tx, tenant_id, batch)
            return pb.BatchCreateCategoriesResponse(created_count=len(batch))

        return await self._unit.run(work)

    @refusals
    async def GetCategory(self, request: pb.GetCategoryRequest, context: Context) -> pb.GetCategoryResponse:
        """Gets a category."""
        tenant_id, code = require_tenant(), request.category_code
        found = await self._database.read(lambda connection: categories.find(connection, tenant_id, [code]))
        if code not in found:
            raise category_missing(code)
        return pb.GetCategoryResponse(category=to_category(found[code]))

    @refusals
    async def ListCategories(self, request: pb.ListCategoriesRequest, context: Context) -> pb.ListCategoriesResponse:
        """Lists categories by code."""
        tenant_id = require_tenant()
        page = page_of(request.page_size, request.page_token, tenant_id)
        after = str(page.after[0]) if page.after else ""
        rows = await self._database.read(
            lambda connection: categories.page(connection, tenant_id, after=after, limit=page.size + 1)
        )
        shown, more = rows[: page.size], len(rows) > page.size
        return pb.ListCategoriesResponse(
            categories=[to_category(one) for one in shown],
            next_page_token=page.next_token([shown[-1].category_code] if shown else [], more=more),
        )


def _add(tx: Transaction, tenant_id: str, batch: Sequence[Category]) -> None:
    codes = [one.category_code for one in batch]
    check_distinct(codes, "category_code")
    taken = set(categories.find(tx.connection, tenant_id, codes))
    check_free(codes, taken, "CATEGORY_EXISTS", "category_code")
    categories.add(tx.connection, tenant_id, batch)
