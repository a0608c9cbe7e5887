"""Items, asked of the item service."""

from __future__ import annotations

import grpc
from pos.item.v1 import item_service_pb2, item_service_pb2_grpc
from trunkline.errors import ServiceError

from services.kernel.failure import NotFound


class ItemPeer:
    """Implements `Items`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: item_service_pb2_grpc.ItemServiceAsyncStub = item_service_pb2_grpc.ItemServiceStub(channel)

    async def require(self, item_code: str) -> None:
        """Refuses an item that does not exist; a deleted one may still be there."""
        try:
            await self._stub.GetItem(item_service_pb2.GetItemRequest(item_code=item_code))
        except ServiceError as error:
            if (error.domain, error.reason) == ("pos.item", "ITEM_NOT_FOUND"):
                raise NotFound("ITEM_NOT_FOUND", "there is no such item", item_code=item_code) from error
            raise
