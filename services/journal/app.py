"""Puts the journal service together."""

from __future__ import annotations

from trunkline.node import Node
from trunkline.service import Service

from services.journal.consumers.handlers import HANDLERS
from services.journal.handlers.journal_service import JournalServicer
from services.journal.settings import JournalSettings
from services.journal.storage.tables import METADATA, PLATFORM, VERSIONS


async def build(node: Node[JournalSettings]) -> Service:
    """The service, ready to be served."""
    storage = await node.open_storage(METADATA, PLATFORM, VERSIONS)
    return node.service(
        storage,
        servicers=[JournalServicer(storage.database)],
        background=[node.consumer(storage, HANDLERS)],
    )
