"""Puts the cart service together."""

from __future__ import annotations

from trunkline.node import Node
from trunkline.service import Service

from services.cart.handlers.cart_service import CartServicer
from services.cart.handlers.transaction_service import TransactionServicer
from services.cart.peers.items import ItemPeer
from services.cart.peers.payment_methods import PaymentMethodPeer
from services.cart.peers.receipt_ranges import ReceiptRangePeer
from services.cart.peers.receivers import ReceiverPeer
from services.cart.peers.terminals import TerminalPeer
from services.cart.settings import CartSettings
from services.cart.storage.tables import METADATA, PLATFORM, VERSIONS
from services.cart.storage.views import CartViews


async def build(node: Node[CartSettings]) -> Service:
    """The service, ready to be served."""
    storage = await node.open_storage(METADATA, PLATFORM, VERSIONS, publishes=True)
    terminals = TerminalPeer(node.connect("terminal"))
    methods = PaymentMethodPeer(node.connect("payment"))
    ranges = ReceiptRangePeer(node.connect("store"))
    items = ItemPeer(node.connect("item"))
    caches = node.settings.cache == "redis" and node.platform.redis_url
    views = CartViews(node.state("view", node.platform.redis_cache_database) if caches else None)
    return node.service(
        storage,
        servicers=[
            CartServicer(storage.database, storage.unit, terminals, items, methods, ranges, views),
            TransactionServicer(storage.database, storage.unit, terminals, methods, ranges, ReceiverPeer(node.connect)),
        ],
        close=[views.close],
    )
