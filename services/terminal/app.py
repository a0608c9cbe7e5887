"""Puts the terminal service together."""

from __future__ import annotations

from trunkline.node import Node
from trunkline.service import Service

from services.terminal.handlers.terminal_service import TerminalServicer
from services.terminal.peers.cart import CartPeer
from services.terminal.peers.store import StorePeer
from services.terminal.settings import TerminalSettings
from services.terminal.storage.tables import METADATA, PLATFORM, VERSIONS


async def build(node: Node[TerminalSettings]) -> Service:
    """The service, ready to be served."""
    storage = await node.open_storage(METADATA, PLATFORM, VERSIONS, publishes=True)
    stores, carts = StorePeer(node.connect("store")), CartPeer(node.connect("cart"))
    return node.service(storage, servicers=[TerminalServicer(storage.database, storage.unit, stores, carts)])
