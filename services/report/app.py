"""Puts the report service together."""

from __future__ import annotations

from trunkline.node import Node
from trunkline.service import Service

from services.report.consumers.handlers import HANDLERS
from services.report.handlers.report_service import ReportServicer
from services.report.peers.terminals import TerminalPeer
from services.report.settings import ReportSettings
from services.report.storage.tables import METADATA, PLATFORM, VERSIONS


async def build(node: Node[ReportSettings]) -> Service:
    """The service, ready to be served."""
    storage = await node.open_storage(METADATA, PLATFORM, VERSIONS, publishes=True)
    terminals = TerminalPeer(node.connect("terminal"))
    return node.service(
        storage,
        servicers=[ReportServicer(storage.database, storage.unit, terminals)],
        background=[node.consumer(storage, HANDLERS)],
    )
