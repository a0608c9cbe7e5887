"""Puts the store service together."""

from __future__ import annotations

from trunkline.node import Node
from trunkline.service import Service

from services.store.handlers.settings_service import SettingsServicer
from services.store.handlers.staff_service import StaffServicer
from services.store.handlers.store_service import StoreServicer
from services.store.settings import StoreSettings
from services.store.storage.tables import METADATA, PLATFORM, VERSIONS
from services.wire.slow_hashes import SlowHashes


async def build(node: Node[StoreSettings]) -> Service:
    """The service, ready to be served."""
    storage = await node.open_storage(METADATA, PLATFORM, VERSIONS)
    return node.service(
        storage,
        servicers=[
            StoreServicer(storage.database, storage.unit),
            StaffServicer(storage.database, storage.unit, SlowHashes("pins")),
            SettingsServicer(storage.database, storage.unit),
        ],
    )
