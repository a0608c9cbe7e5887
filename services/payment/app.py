"""Puts the payment service together."""

from __future__ import annotations

from trunkline.node import Node
from trunkline.service import Service

from services.payment.handlers.payment_method_service import PaymentMethodServicer
from services.payment.settings import PaymentSettings
from services.payment.storage.tables import METADATA, PLATFORM, VERSIONS


async def build(node: Node[PaymentSettings]) -> Service:
    """The service, ready to be served."""
    storage = await node.open_storage(METADATA, PLATFORM, VERSIONS)
    return node.service(storage, servicers=[PaymentMethodServicer(storage.database, storage.unit)])
