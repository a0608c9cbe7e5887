"""Asks a running system for an item that does not exist."""

import asyncio

from pos.item.v1 import item_service_pb2 as pb
from pos.item.v1 import item_service_pb2_grpc as pb_grpc
from trunkline.client import connect
from trunkline.errors import ServiceError


async def main() -> None:
    """One call; what the server raises is what the caller catches."""
    async with connect("item") as channel:  # found by name; one channel per process
        items = pb_grpc.ItemServiceStub(channel)  # the generated stub
        try:
            await items.GetItem(pb.GetItemRequest(item_code="no-such-item"))
        except ServiceError as error:  # the same over any number of hops
            print(error.code.name, error.domain, error.reason, dict(error.metadata))


asyncio.run(main())
