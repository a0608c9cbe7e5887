"""Puts the stock service together."""

from __future__ import annotations

from trunkline.node import Node
from trunkline.service import Service

from services.stock.consumers.handlers import HANDLERS
from services.stock.handlers.stock_service import StockServicer
from services.stock.peers.items import ItemPeer
from services.stock.settings import StockSettings
from services.stock.storage.tables import METADATA, PLATFORM, VERSIONS


async def build(node: Node[StockSettings]) -> Service:
    """The service, ready to be served."""
    storage = await node.open_storage(METADATA, PLATFORM, VERSIONS)
    items = ItemPeer(node.connect("item"))
    return node.service(
        storage,
        servicers=[StockServicer(storage.database, storage.unit, items)],
        background=[node.consumer(storage, HANDLERS)],
    )
