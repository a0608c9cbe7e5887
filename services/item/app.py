"""Puts the item service together."""

from __future__ import annotations

from trunkline.node import Node
from trunkline.service import Service

from services.item.handlers.category_service import CategoryServicer
from services.item.handlers.item_service import ItemServicer
from services.item.handlers.tax_service import TaxServicer
from services.item.settings import ItemSettings
from services.item.storage.tables import METADATA, PLATFORM, VERSIONS


async def build(node: Node[ItemSettings]) -> Service:
    """The service, ready to be served."""
    storage = await node.open_storage(METADATA, PLATFORM, VERSIONS)
    return node.service(
        storage,
        servicers=[
            ItemServicer(storage.database, storage.unit),
            CategoryServicer(storage.database, storage.unit),
            TaxServicer(),
        ],
    )
