"""StoreService on the wire."""

from __future__ import annotations

from pos.store.v1 import store_service_pb2 as pb
from pos.store.v1 import store_service_pb2_grpc as pb_grpc
from trunkline.call import require_tenant
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.store.handlers.convert import from_store, to_store
from services.store.storage import stores
from services.wire.failures import refusals
from services.wire.pages import page_of
from services.wire.reach import own_store, require_store


class StoreServicer(pb_grpc.StoreServiceServicer):
    """Reads and maintains stores."""

    def __init__(self, database: Database, unit: UnitOfWork) -> None:
        self._database = database
        self._unit = unit

    @refusals
    async def CreateStore(self, request: pb.CreateStoreRequest, context: Context) -> pb.CreateStoreResponse:
        """Creates a store."""
        tenant_id, store = require_tenant(), from_store(request.store)

        def work(tx: Transaction) -> pb.CreateStoreResponse:
            stores.add(tx.connection, tenant_id, store)
            return pb.CreateStoreResponse(store=to_store(store))

        return await self._unit.run(work)

    @refusals
    async def GetStore(self, request: pb.GetStoreRequest, context: Context) -> pb.GetStoreResponse:
        """Gets a store."""
        tenant_id, code = require_store(request.store_code), request.store_code
        store = await self._database.read(lambda connection: stores.get(connection, tenant_id, code))
        return pb.GetStoreResponse(store=to_store(store))

    @refusals
    async def ListStores(self, request: pb.ListStoresRequest, context: Context) -> pb.ListStoresResponse:
        """Lists stores by code."""
        tenant_id, only = require_tenant(), own_store()
        page = page_of(request.page_size, request.page_token, tenant_id, only)
        after = str(page.after[0]) if page.after else ""
        rows = await self._database.read(
            lambda connection: stores.page(connection, tenant_id, only=only, after=after, limit=page.size + 1)
        )
        shown, more = rows[: page.size], len(rows) > page.size
        return pb.ListStoresResponse(
            stores=[to_store(one) for one in shown],
            next_page_token=page.next_token([shown[-1].store_code] if shown else [], more=more),
        )
