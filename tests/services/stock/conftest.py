"""The stock service in the process of the test, with a stand-in for item that knows two items."""

from __future__ import annotations

import pytest
from pos.item.v1 import item_pb2, item_service_pb2, item_service_pb2_grpc
from pos.stock.v1 import stock_service_pb2_grpc as pb_grpc
from trunkline.errors import not_found
from trunkline.server import Context
from trunkline.testing.clock import FakeClock
from trunkline.testing.local import LocalNode, LocalSystem

from services.stock.app import build
from services.stock.consumers.handlers import HANDLERS
from services.stock.settings import StockSettings
from tests.services.callers import admin
from tests.services.received import Feed


class TwoItems(item_service_pb2_grpc.ItemServiceServicer):
    """Item as far as a movement by hand needs it: A is sold, B was deleted, and there are no others."""

    async def GetItem(
        self, request: item_service_pb2.GetItemRequest, context: Context
    ) -> item_service_pb2.GetItemResponse:
        """Gets an item, deleted or not."""
        if request.item_code not in {"A", "B"}:
            raise not_found("ITEM_NOT_FOUND", "there is no such item", item_code=request.item_code)
        item = item_pb2.Item(item_code=request.item_code, deleted=request.item_code == "B")
        return item_service_pb2.GetItemResponse(item=item)


@pytest.fixture
async def node(system: LocalSystem) -> LocalNode[StockSettings]:
    """The running service."""
    await system.stand_in("item", TwoItems())  # type: ignore[abstract]
    return await system.start("stock", build, StockSettings())


@pytest.fixture
def feed(node: LocalNode[StockSettings], clock: FakeClock) -> Feed:
    """What the service receives."""
    assert node.storage is not None
    return Feed(node.storage, "stock", HANDLERS, clock)


@pytest.fixture
async def stocks(system: LocalSystem, node: LocalNode[StockSettings]) -> pb_grpc.StockServiceAsyncStub:
    """StockService for the back office."""
    return pb_grpc.StockServiceStub(admin(system).channel("stock"))
