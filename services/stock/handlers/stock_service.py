"""StockService on the wire."""

from __future__ import annotations

from pos.stock.v1 import stock_service_pb2 as pb
from pos.stock.v1 import stock_service_pb2_grpc as pb_grpc
from trunkline.server import Context
from trunkline.storage import Database, Transaction, UnitOfWork

from services.stock.domain.movement import change_by_hand
from services.stock.domain.neighbours import Items
from services.stock.handlers.convert import from_kind, to_movement, to_stock
from services.stock.storage import movements
from services.stock.storage.movements import Cause
from services.wire.failures import refusals
from services.wire.pages import page_of
from services.wire.reach import require_store


class StockServicer(pb_grpc.StockServiceServicer):
    """Reads stock, and records what moves it by hand."""

    def __init__(self, database: Database, unit: UnitOfWork, items: Items) -> None:
        self._database = database
        self._unit = unit
        self._items = items

    @refusals
    async def GetStock(self, request: pb.GetStockRequest, context: Context) -> pb.GetStockResponse:
        """Gets the stock of an item."""
        tenant_id, store_code, code = require_store(request.store_code), request.store_code, request.item_code
        stock = await self._database.read(lambda connection: movements.get(connection, tenant_id, store_code, code))
        return pb.GetStockResponse(stock=to_stock(store_code, stock))

    @refusals
    async def ListStock(self, request: pb.ListStockRequest, context: Context) -> pb.ListStockResponse:
        """Lists the stock of a store by item."""
        tenant_id, store_code = require_store(request.store_code), request.store_code
        page = page_of(request.page_size, request.page_token, tenant_id, store_code)
        after = str(page.after[0]) if page.after else ""
        rows = await self._database.read(
            lambda connection: movements.page(connection, tenant_id, store_code, after=after, limit=page.size + 1)
        )
        shown, more = rows[: page.size], len(rows) > page.size
        return pb.ListStockResponse(
            stock=[to_stock(store_code, one) for one in shown],
            next_page_token=page.next_token([shown[-1].item_code] if shown else [], more=more),
        )

    @refusals
    async def RecordMovement(self, request: pb.RecordMovementRequest, context: Context) -> pb.RecordMovementResponse:
        """Records a movement by hand."""
        tenant_id, store_code = require_store(request.store_code), request.store_code
        change = change_by_hand(request.item_code, from_kind(request.kind), request.quantity)
        await self._items.require(change.item_code)

        def work(tx: Transaction) -> pb.RecordMovementResponse:
            cause = Cause(create_time=tx.now, comment=request.comment)
            (movement,) = movements.move(tx.connection, tenant_id, store_code, [change], cause)
            return pb.RecordMovementResponse(movement=to_movement(store_code, movement))

        return await self._unit.run(work)

    @refusals
    async def ListMovements(self, request: pb.ListMovementsRequest, context: Context) -> pb.ListMovementsResponse:
        """Lists the movements of an item, newest first."""
        tenant_id, store_code, code = require_store(request.store_code), request.store_code, request.item_code
        page = page_of(request.page_size, request.page_token, tenant_id, store_code, code, key=(int,))
        before = int(page.after[0]) if page.after else None
        rows = await self._database.read(
            lambda connection: movements.movements(
                connection, tenant_id, store_code, code, before=before, limit=page.size + 1
            )
        )
        shown, more = rows[: page.size], len(rows) > page.size
        return pb.ListMovementsResponse(
            movements=[to_movement(store_code, one) for one in shown],
            next_page_token=page.next_token([shown[-1].movement.movement_no] if shown else [], more=more),
        )
